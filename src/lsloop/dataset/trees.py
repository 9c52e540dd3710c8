"""Folders that change as a whole: built beside, then swapped in one step.

Whoever looks sees the old one or the new.
"""

import ctypes
import errno
import os
import shutil
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_EXCHANGE = 2  # RENAME_EXCHANGE of linux/fs.h
_HERE = -100  # AT_FDCWD
_REFLINK = 0x40049409  # FICLONE of linux/fs.h


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Yield a new folder to build, which takes the place of `target` at the end.

    At an error it is gone.

    What a killed run left is mended first. Nobody else may be at it: hold a lock.
    """
    mend(target)
    new = building(target)
    new.mkdir(parents=True)
    try:
        yield new
    except BaseException:
        remove(new)
        raise
    _swap(new, target)
    mend(target)


def building(target: Path) -> Path:
    """Return where the next `target` is built.

    That is beside it, because a rename cannot leave a file system.
    """
    return target.parent / f".{target.name}.building"


def _old(target: Path) -> Path:
    return target.parent / f".{target.name}.old"


def mend(target: Path) -> None:
    """Remove what a killed run left, and end what it had begun."""
    old = _old(target)
    if old.exists() and not target.exists():  # killed between two renames
        old.rename(target)
    for left in (building(target), old):
        if left.exists():
            remove(left)


def _swap(new: Path, target: Path) -> None:
    if not target.exists():
        new.rename(target)
    elif not _exchange(new, target):
        target.rename(_old(target))
        new.rename(target)


def _exchange(a: Path, b: Path) -> bool:
    """Swap two folders in one step, where the system can."""
    if sys.platform != "linux":
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.renameat2(_HERE, os.fsencode(a), _HERE, os.fsencode(b), _EXCHANGE) == 0:
        return True
    error = ctypes.get_errno()
    if error in (errno.EINVAL, errno.ENOSYS):  # this file system, or this kernel, cannot
        return False
    raise OSError(error, os.strerror(error), str(b))


def remove(folder: Path | str) -> None:
    """Remove a folder with all that is in it."""
    for entry in os.scandir(folder):
        if entry.is_dir(follow_symlinks=False):
            remove(entry.path)
        else:
            os.unlink(entry.path)
    os.rmdir(folder)


class Placer:
    """Placer of files: by a reflink, where the file system can, else by a copy.

    A reflink shares the content until one side changes. Never by a hard link: what is written into a raw file
    later would be in the export, too.
    """

    def __init__(self) -> None:
        self._can_reflink = sys.platform == "linux"

    def place(self, source: Path | str, target: Path | str) -> None:
        """Place the content of `source` at `target`; of a link, what it leads to.

        Raises OSError, and leaves nothing then.
        """
        if self._can_reflink:
            try:
                return _reflink(source, target)
            except OSError as error:
                if error.errno not in _CANNOT:
                    raise
                self._can_reflink = False  # asking costs as much as writing a small file
        return _copy(source, target)

    def carry(self, source: Path | str, target: Path | str) -> bool:
        """Link a file, or a folder with all that is in it, as it is.

        Returns whether all of it is there: a link that leads nowhere is not.
        """
        if not os.path.isdir(source) or os.path.islink(source):
            return self._carry_file(source, target)
        os.mkdir(target)
        is_whole = True
        for entry in os.scandir(source):
            if entry.is_dir(follow_symlinks=False):
                is_whole &= self.carry(entry.path, f"{target}/{entry.name}")
            else:
                is_whole &= self._carry_file(entry.path, f"{target}/{entry.name}")
        return is_whole

    def _carry_file(self, source: Path | str, target: Path | str) -> bool:
        found = os.lstat(source)
        if stat.S_ISLNK(found.st_mode):
            _link(source, target)
            return os.path.exists(source)
        # Linked from elsewhere and writable: exports used to link raw files. DVC's own links are read-only.
        is_shared = found.st_nlink > 1 and found.st_mode & 0o222
        (_copy if is_shared else _link)(source, target)
        return True


_CANNOT = {errno.EOPNOTSUPP, errno.ENOTTY, errno.EXDEV, errno.EPERM, errno.EINVAL, errno.ENOSYS, errno.EMLINK}


def _link(source: Path | str, target: Path | str) -> None:
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _CANNOT:
            raise
        shutil.copy2(source, target, follow_symlinks=False)


def _copy(source: Path | str, target: Path | str) -> None:
    """Copy a file's content within the kernel, where it can."""
    given = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
    try:
        made = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        try:
            _pour(given, made)
        except BaseException:
            os.unlink(target)
            raise
        finally:
            os.close(made)
    finally:
        os.close(given)


def _pour(given: int, made: int) -> None:
    if sys.platform == "linux" and _poured_within(given, made):
        return
    while some := os.read(given, 2**20):
        while some:
            some = some[os.write(made, some) :]


def _poured_within(given: int, made: int) -> bool:
    """Tell whether the kernel copied something, and then all of it.

    Some file systems cannot, or say that nothing is there.
    """
    some = 0
    try:
        while more := os.copy_file_range(given, made, 2**30):
            some += more
    except OSError as error:
        if error.errno not in _CANNOT:
            raise
        return False  # what there is to read begins where it stopped
    return some > 0


def _reflink(source: Path | str, target: Path | str) -> None:
    import fcntl

    with open(source, "rb") as given:
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        try:
            fcntl.ioctl(descriptor, _REFLINK, given.fileno())
        except OSError:
            os.unlink(target)
            raise
        finally:
            os.close(descriptor)


def write_whole(path: Path, content: bytes) -> None:
    """Write a file that is never seen half written."""
    beside = path.with_name(f".{path.name}.writing")
    beside.write_bytes(content)
    beside.replace(path)
