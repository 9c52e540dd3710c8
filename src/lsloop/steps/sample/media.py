"""Media files, read once: the digest of their content, and how long they last.

Several are read at a time.
"""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from lsloop.ledger import samples
from lsloop.media.measuring import measure
from lsloop.media.paths import BadPath, RawData

_AT_ONCE = 4
_TOGETHER = 64  # files per piece of work: a small file takes less time than handing it to a thread

Failed = tuple[str, str]
"""A path, and why it cannot be read."""


def measured(
    raw: RawData, paths: Sequence[str], failed: Callable[[Failed], None], advance: Callable[[int], None]
) -> Iterator[samples.Media]:
    """What there is to know of these files, in order.

    Those that cannot be read go to `failed`.
    """
    with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
        for some in _pieces(paths, _TOGETHER * _AT_ONCE * 4):  # not all are put into the line at once
            work = pool.map(lambda piece: [_measured(raw, path) for path in piece], _pieces(some, _TOGETHER))
            for found in work:
                advance(len(found))
                yield from _good(found, failed)


def _pieces(paths: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    return (paths[start : start + size] for start in range(0, len(paths), size))


def _good(
    found: Iterable[samples.Media | Failed], failed: Callable[[Failed], None]
) -> Iterator[samples.Media]:
    for one in found:
        if isinstance(one, samples.Media):
            yield one
        else:
            failed(one)


def _measured(raw: RawData, path: str) -> samples.Media | Failed:
    try:
        found = raw.find(path)
        with open(found.real, "rb", buffering=0) as file:
            seen = os.fstat(file.fileno())
            md5 = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
        known = vars(measure(Path(found.real), path))
    except BadPath as why:
        return path, str(why)
    except OSError as error:
        return path, f"media file {path!r} cannot be read: {error.strerror or error}"
    problem = known["problem"] and f"media file {path!r} cannot be shown: {known['problem']}"
    return samples.Media(
        path, md5, size=seen.st_size, mtime_ns=seen.st_mtime_ns, **{**known, "problem": problem}
    )
