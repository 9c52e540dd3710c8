"""Single rule for paths of media: their spelling, and the file each names.

The file lies in the raw data.

Ingest, export and the media server all ask here, and SQL says the same (plain_path in
sql/functions/upstream.sql).
"""

import os
import re
import stat
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from lsloop.values.text import nfc

_LONGEST = 4000  # bytes; systems open paths of up to 4,096, our folder before them included
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class BadPath(ValueError):
    """Reason why a path names no media file, in words."""


class Found(NamedTuple):
    """Media file that was found.

    It has its path in the raw data as the disk spells it, where it really lies, and how it was last seen.
    """

    path: str
    real: str
    size: int
    mtime_ns: int


def plain(path: str) -> str:
    """Spell a path in its one way: without `.`, and with single slashes.

    Raises BadPath for what names no file inside.
    """
    if _CONTROL.search(path):
        raise BadPath(
            f"media {path!r} has a line break or another control character in it, which no link can carry"
        )
    if path.startswith("/") or "\\" in path or ".." in path.split("/"):
        raise BadPath(
            f"media {path!r} must be a path inside the raw data, with forward slashes and without `..`"
        )
    if path.endswith("/"):
        raise BadPath(f"media {path!r} names a folder: take the slash at its end away")
    if len(path.encode("utf-8", "surrogatepass")) > _LONGEST:
        raise BadPath(f"media {path[:60]!r}… is too long: it has {len(path):,} characters")
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if not parts:
        raise BadPath(f"media {path!r} is not a file")
    return "/".join(parts)


def is_plain(path: str) -> bool:
    """Tell whether a path is spelled as `plain` spells it."""
    try:
        return plain(path) == path
    except BadPath:
        return False


def is_inside(real: str, folders: Sequence[Path]) -> bool:
    """Tell whether a real path lies in one of these folders."""
    return any(Path(real).is_relative_to(os.path.realpath(folder)) for folder in folders)


class RawData:
    """Folder of raw data.

    Folders in it are looked at once, so that many files cost one look each.

    `also` names folders that links may lead to (DVC's cache); it is asked only when a link leads out.
    """

    def __init__(self, folder: Path, also: Callable[[], Sequence[Path]] = tuple) -> None:
        self._root, self._also = os.path.realpath(folder), also
        self._folders: dict[str, tuple[str, str]] = {"": ("", self._root)}
        self._names: dict[str, dict[str, list[str]]] = {}

    def find(self, path: str) -> Found:
        """Find the file that a path names.

        Raises BadPath with the reason why there is none that may be shown.
        """
        folder, _, name = plain(path).rpartition("/")
        shown, real = self._folder(folder, path)
        seen = _look(f"{real}/{name}") if name.isascii() else None
        shown, real = (_under(shown, name), f"{real}/{name}") if seen else self._step(shown, real, name, path)
        try:
            seen = seen or os.lstat(real)
            if stat.S_ISLNK(seen.st_mode):
                real = self._followed(real, path)
                seen = os.stat(real)
        except BadPath:
            raise
        except (OSError, ValueError) as error:
            raise _unreadable(path, error) from error
        if not stat.S_ISREG(seen.st_mode):
            raise BadPath(f"media {path!r} is not a file")
        if seen.st_size == 0:
            raise BadPath(f"media file {path!r} is empty")
        return Found(shown, real, seen.st_size, seen.st_mtime_ns)

    def _folder(self, folder: str, path: str) -> tuple[str, str]:
        """A folder as the disk spells it, and where it really lies."""
        if folder in self._folders:
            return self._folders[folder]
        above = ""
        for name in folder.split("/") if folder else ():
            here = _under(above, name)
            if here not in self._folders:
                shown, real = self._step(*self._folders[above], name, path)
                self._folders[here] = shown, self._followed(real, path) if os.path.islink(real) else real
            above = here
        return self._folders[folder]

    def _step(self, shown: str, real: str, name: str, path: str) -> tuple[str, str]:
        """Go one name further.

        What the disk spells in another Unicode form is the same name.
        """
        if not name.isascii() or not _look(f"{real}/{name}"):
            named = self._listed(real).get(nfc(name), [])
            if len(named) > 1:
                raise BadPath(
                    f"media {path!r} is ambiguous: {' and '.join(map(ascii, sorted(named)))} "
                    "differ only in their Unicode form; rename one"
                )
            name = named[0] if named else name
        return _under(shown, name), f"{real}/{name}"

    def _listed(self, folder: str) -> dict[str, list[str]]:
        """The names in a folder by their normal form C."""
        if folder not in self._names:
            names: dict[str, list[str]] = {}
            try:
                for entry in os.scandir(folder):
                    names.setdefault(nfc(entry.name), []).append(entry.name)
            except OSError:  # looking at the file says why
                pass
            self._names[folder] = names
        return self._names[folder]

    def _followed(self, link: str, path: str) -> str:
        """Find where a link leads, if that is inside."""
        try:
            real = os.path.realpath(link, strict=True)
        except OSError as error:
            raise _unreadable(path, error) from error
        if not is_inside(real, [Path(self._root)]) and not is_inside(real, self._also()):
            raise BadPath(
                f"media {path!r} is a link that leads out of the raw data; put the file itself there"
            )
        return real


def _under(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _look(path: str) -> os.stat_result | None:
    """Look at what lies there, a link as a link; None where that cannot be seen."""
    try:
        return os.lstat(path)
    except (OSError, ValueError):
        return None


def _unreadable(path: str, error: Exception) -> BadPath:
    return BadPath(f"media file {path!r} cannot be read: {getattr(error, 'strerror', None) or error}")
