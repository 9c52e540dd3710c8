"""Layouts: how reviewed samples lie in a folder.

Each module here is one, and its file name is what `--format` takes.

A unit is the file or folder that a sample's content goes into; samples of one unit are written together. What
belongs to unchanged units is linked from the export before.
"""

import importlib
import pkgutil
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import IO, Any, Protocol, Self, cast

import orjson

from lsloop.errors import UsageError
from lsloop.records import Reviewed

Place = Callable[[str, str], None]
"""Put a media file under a path, by whatever way is cheap there."""

Write = Callable[[Reviewed], None]


class Unfit(Exception):
    """Reason why a sample cannot be written in a layout.

    `everywhere`: what is wrong when that is so of every sample.
    """

    def __init__(self, reason: str, everywhere: UsageError | None = None) -> None:
        super().__init__(reason)
        self.everywhere = everywhere


class Layout(Protocol):
    """Interface that a module must have to be a layout."""

    NAME: str
    """Its name and version. A new version writes everything anew."""

    def unit(self, entry: dict[str, Any]) -> str | None:
        """Return where a sample goes, relative to the folder of its task type.

        None means nowhere. It follows from `sample_id`, `arrival`, `split` and `gold` of its index entry: the
        others need not be there.
        """

    # A layout with `CONVERTED` needs results, and what it wrote is then converted to that: see
    # `labelstudio.conversion`.

    def writer(self, folder: Path, task_type: str, place: Place) -> AbstractContextManager[Write]:
        """Return what writes samples into their units, in the order of their arrival.

        It raises Unfit, OSError, or what else a sample makes it raise; of that sample nothing is there then.
        """


def names() -> list[str]:
    """The layouts there are, sorted."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def load(name: str) -> Layout:
    """The layout called `name`.

    Raises UsageError.
    """
    if name not in names():
        raise UsageError(f"There is no export format {name!r}.", f"Use one of: {', '.join(names())}.")
    return cast(Layout, importlib.import_module(f"{__name__}.{name}"))


def converted(layout: Layout) -> str | None:
    """Return the format that Label Studio's converter makes of each unit.

    Empty means none, but results are wanted; None means neither.
    """
    found: str | None = getattr(layout, "CONVERTED", None)
    return found


def line(row: dict[str, Any] | list[dict[str, Any]]) -> bytes:
    """A row as a line of JSON; the same row is always the same line."""
    return orjson.dumps(row, option=orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE)


def is_for_training(entry: dict[str, Any]) -> bool:
    """Tell whether a model may meet the sample.

    Gold would measure annotators no more, and a sample without split may leak.
    """
    return entry["split"] is not None and not entry["gold"]


class Folders:
    """Folders that are made when the first row goes into one.

    Each has its rows in one file of JSON lines.
    """

    def __init__(self, folder: Path, file_name: str) -> None:
        self._folder, self._file_name = folder, file_name
        self._files: dict[str, IO[bytes]] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def add(
        self, unit: str, rows: Sequence[dict[str, Any]], put: Callable[[Path], None] = lambda there: None
    ) -> None:
        """Write rows into the folder `unit`.

        Before, `put` puts there what belongs to them.
        """
        there, written = self._folder / unit, b"".join(map(line, rows))
        if unit not in self._files:
            there.mkdir(parents=True, exist_ok=True)
            self._files[unit] = self._stack.enter_context((there / self._file_name).open("xb"))
        put(there)
        self._files[unit].write(written)
