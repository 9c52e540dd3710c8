"""Small files that must be whole or absent, and that nobody else may read."""

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HALF = ".half-made-"
WORK = ".at-work-"


def write(path: Path, text: str) -> None:
    """Write `text` so that a crash leaves the old file or the new one.

    Only the owner may read it.
    """
    handle, name = tempfile.mkstemp(
        dir=path.parent, prefix=f".{path.name}{HALF}"
    )  # mkstemp makes it mode 600
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


def replace(path: Path, text: str) -> None:
    """Write `text` in the place of a file, as `write` does.

    Whoever may read it may go on reading it.
    """
    mode = path.stat().st_mode
    target = path.resolve()  # what a link leads to is changed, not the link
    write(target, text)
    target.chmod(mode)


def read(path: Path) -> str:
    """Read a file; nothing when it is not there."""
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def clear_half_made(folder: Path) -> None:
    """Remove what writes that were killed left in a folder.

    Call it only while nobody else writes there.
    """
    for left in folder.glob(f".*{HALF}*"):
        left.unlink(missing_ok=True)


def keep(path: Path, new: str) -> str:
    """Return what `path` says; `new`, written down, when it says nothing yet."""
    if path.is_file() and (found := path.read_text(encoding="utf-8").strip()):
        return found
    write(path, new)
    return new


@contextmanager
def work_folder(parent: Path) -> Iterator[Path]:
    """Make a folder in `parent` that goes with the block.

    Folders that killed processes left there go, too; one that somebody is at work in stays.
    """
    for left in parent.glob(f"{WORK}*"):
        with contextlib.suppress(OSError), _locked(left):
            shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=WORK, dir=parent) as name, _locked(Path(name)):
        yield Path(name)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold a folder's lock; the kernel lets go when the process ends.

    Raises OSError where somebody else holds it.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(handle)
