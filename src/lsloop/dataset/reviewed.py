"""Reviewed tree, read back: rows to learn from and cases to measure on.

Rows are read when they are looked at.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload
from uuid import UUID

import orjson

from lsloop.dataset import indexes
from lsloop.errors import LsloopError, UsageError
from lsloop.records import Sample, Split, Value

_LAYOUT = "tree/1"


@dataclass(frozen=True)
class Data:
    """Export of a task type.

    Gold, and what has no split, is in none of the splits.
    """

    folder: Path
    sha256: str  # of the index, which changes with anything that was exported
    splits: dict[Split, list[str]]  # the ids of the samples, oldest first
    groups: dict[str, str | None]  # of the test split: sample_id → group

    def rows(self, split: Split) -> "Rows":
        """Return what is learnt from a split."""
        return Rows(self.folder, list(_places(self.folder, self.splits[split])))

    def cases(self, split: Split) -> "tuple[list[Case], dict[str, str]]":
        """Return what is measured on a split: all that can be read.

        It also tells of the other samples, by their ids, why not.
        """
        found, problems = list[Case](), dict[str, str]()
        for sample_id in self.splits[split]:
            try:
                found.append(_case(self.folder / sample_id))
            except LsloopError as error:
                problems[sample_id] = error.problem
        return found, problems


def read(folder: Path) -> Data:
    """Read what an export left in the folder of a task type.

    Raises UsageError where there is none that can be trained on.
    """
    try:
        content = (folder / indexes.FILE).read_bytes()
    except FileNotFoundError as error:
        name = folder.name
        raise UsageError(
            f"Nothing was exported for {name}: there is no {folder / indexes.FILE}.",
            f"Run `lsloop export --task-type {name}`, or `dvc pull`.",
        ) from error
    data = Data(folder, hashlib.sha256(content).hexdigest(), {"train": [], "validation": [], "test": []}, {})
    for entry in map(orjson.loads, content.splitlines()):
        if entry["layout"] != _LAYOUT:
            raise UsageError(
                f"{folder} was exported as {entry['layout']}, which nothing is trained from.",
                "Run `lsloop export` without --format.",
            )
        if entry["gold"] or entry["split"] is None:
            continue
        data.splits[entry["split"]].append(entry["sample_id"])
        if entry["split"] == "test":
            data.groups[entry["sample_id"]] = entry["group"]
    return data


class Rows(Sequence[dict[str, Any]]):
    """Training rows, `media` as a path that can be opened.

    Only whose they are is in memory.

    A sample has one row, or one for each of its parts; one that cannot be read has one, which raises
    LsloopError.
    """

    def __init__(self, folder: Path, places: Sequence[tuple[str, int]]) -> None:
        self._folder, self._places = folder, places

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, place: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, place: slice) -> "Rows": ...
    def __getitem__(self, place: int | slice) -> "dict[str, Any] | Rows":
        if isinstance(place, slice):
            return Rows(self._folder, self._places[place])
        sample_id, number = self._places[place]
        return _rows(self._folder / sample_id)[number]

    def sample_id(self, place: int) -> str:
        """Whose row it is."""
        return self._places[place][0]


@dataclass(frozen=True)
class Case:
    """Sample to measure a model on, and what people accepted for it.

    Its media path is relative to the export.
    """

    sample: Sample
    value: Value
    language: str | None


def _places(folder: Path, sample_ids: Sequence[str]) -> Iterator[tuple[str, int]]:
    for sample_id in sample_ids:
        try:
            count = len(_rows(folder / sample_id))
        except LsloopError:
            count = 1
        yield from ((sample_id, number) for number in range(count))


def _rows(folder: Path) -> list[dict[str, Any]]:
    """Read the rows of a sample.

    Raises LsloopError for a sample that the index names and whose folder is not whole.
    """
    document = _document(folder)
    try:
        found = document["training_rows"] if "training_rows" in document else [document["training_row"]]
        return [_opened(folder, document, row) for row in found]
    except (KeyError, TypeError, AttributeError) as error:
        raise _not_whole(folder, "metadata.json") from error


def _opened(folder: Path, document: dict[str, Any], row: dict[str, Any]) -> dict[str, Any]:
    media = {"media": _media(folder, document)} if "media" in row else {}
    language = {"language": str(document["language"])} if document.get("language") else {}
    return row | media | {"external_id": document.get("external_id")} | language  # to be named by


def _case(folder: Path) -> Case:
    """Read the case of a sample.

    Raises LsloopError for a sample that the index names and whose folder is not whole.
    """
    document, value = _document(folder), dict[str, Any]()
    try:
        for name in document.get("answers") or ():
            answer = _document(folder, f"{name}.json")
            value |= {name: answer["value"]} | (answer.get("remarks") or {})
        sample = _sample(folder, document, value)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise _not_whole(folder, "metadata.json") from error
    return Case(sample, value, str(document["language"]) if document.get("language") else None)


def _sample(folder: Path, document: dict[str, Any], value: Value) -> Sample:
    media = document.get("media") or {}
    return Sample(
        UUID(folder.name), str(document.get("external_id")), (document.get("reads") or {}) | value,
        f"{folder.name}/{media['file']}" if media else None, media.get("md5"),
        media.get("duration"), media.get("width"), media.get("height"),
    )  # fmt: skip


def _media(folder: Path, document: dict[str, Any]) -> str | None:
    return str(folder / document["media"]["file"]) if document.get("media") else None


def _document(folder: Path, name: str = "metadata.json") -> dict[str, Any]:
    try:
        document = orjson.loads((folder / name).read_bytes())
    except (OSError, ValueError) as error:
        raise _not_whole(folder, name) from error
    if not isinstance(document, dict):
        raise _not_whole(folder, name)
    return document


def _not_whole(folder: Path, name: str) -> LsloopError:
    problem = f"{folder} is not whole: its {name} cannot be read."
    return LsloopError(problem, "Run `lsloop export --include-exported`.")
