"""The reviewed tree, read back for training: rows of one split, read from their files only when they are looked at."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import orjson

from lsloop.dataset import indexes
from lsloop.errors import LsloopError, UsageError
from lsloop.records import Split

_LAYOUT = "tree/1"


@dataclass(frozen=True)
class Data:
    """What was exported for a task type. Gold, and what has no split, is in none of them."""

    folder: Path
    sha256: str  # of the index, which changes with anything that was exported
    splits: dict[Split, list[str]]  # the ids of the samples, oldest first
    groups: dict[str, str | None]  # of the test split: sample_id → group

    def rows(self, split: Split) -> "Rows":
        """The rows of a split."""
        return Rows(self.folder, self.splits[split])


def read(folder: Path) -> Data:
    """What an export left in the folder of a task type. Raises UsageError where there is none that can be trained on."""
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
    """Training rows, `media` as a path that can be opened. Only their ids are in memory."""

    def __init__(self, folder: Path, sample_ids: Sequence[str]) -> None:
        self._folder, self.ids = folder, sample_ids

    def __len__(self) -> int:
        return len(self.ids)

    @overload
    def __getitem__(self, place: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, place: slice) -> "Rows": ...
    def __getitem__(self, place: int | slice) -> "dict[str, Any] | Rows":
        if isinstance(place, slice):
            return Rows(self._folder, self.ids[place])
        return _row(self._folder / self.ids[place])

    def readable(self) -> tuple[list[dict[str, Any]], dict[str, str]]:
        """All rows that can be read; and of the others, by sample id, why not."""
        rows, problems = [], dict[str, str]()
        for sample_id in self.ids:
            try:
                rows.append(_row(self._folder / sample_id))
            except LsloopError as error:
                problems[sample_id] = error.problem
        return rows, problems


def _row(folder: Path) -> dict[str, Any]:
    """Raises LsloopError for a sample that the index names and whose folder is not whole."""
    try:
        document = orjson.loads((folder / "metadata.json").read_bytes())
        row: dict[str, Any] = document["training_row"]
    except (OSError, ValueError, KeyError) as error:
        raise LsloopError(
            f"{folder} is not whole: its metadata.json cannot be read.", "Run `lsloop export --include-exported`."
        ) from error
    if "media" in row:
        row["media"] = str(folder / document["media"]["file"]) if document.get("media") else None
    row["external_id"] = document.get("external_id")  # to be named by
    return row | ({"language": str(document["language"])} if document.get("language") else {})
