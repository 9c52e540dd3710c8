"""Lookup from the path in a media link to an open file.

It finds a regular file of the raw data, or nothing.
"""

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from lsloop.media import paths

_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK  # a FIFO must not hold the server up


def open_media(raw_dir: Path, also: Sequence[Path], path: str) -> BinaryIO | None:
    """Open `path`, relative to `raw_dir`.

    None unless it is a regular file there.

    A symbolic link may lead elsewhere in `raw_dir` or into one of the folders in `also` (DVC's cache, when it
    links rather than copies), and nowhere else.
    """
    if not paths.is_plain(path):
        return None
    try:
        real = os.path.realpath(raw_dir / path, strict=True)
        if not paths.is_inside(real, (raw_dir, *also)):
            return None
        return _regular(os.open(real, _FLAGS))
    except (OSError, ValueError):  # not there, not permitted, too long a name, a loop of links, a NUL
        return None


def _regular(descriptor: int) -> BinaryIO | None:
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return open(descriptor, "rb", buffering=0)
    os.close(descriptor)
    return None
