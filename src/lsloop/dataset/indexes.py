"""Index of an exported folder, with a line per sample, and what follows from it.

A line says all that was written of its sample.

A unit (see layouts) whose samples have the same lines as before is the same; the others are to be written.
"""

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

FILE = "index.jsonl"
MANIFEST = "manifest.json"

Lines = dict[str, str]
"""sample_id → line, in the order of the file"""

UnitOf = Callable[[dict[str, Any]], str | None]
"""Where the sample of a parsed line goes; None: nowhere."""


@dataclass(frozen=True)
class Difference:
    """Change to be made to a folder.

    `units`: sample_id → unit, for all that will be there.
    """

    now: Lines
    added: int
    changed: int
    removed: list[str]
    beyond: int  # new, but more than the limit
    units: dict[str, str]
    dirty: frozenset[str]
    is_current: bool

    @property
    def to_write(self) -> list[str]:
        """The samples that are to be written: all of each dirty unit."""
        return [sample_id for sample_id, unit in self.units.items() if unit in self.dirty]


def read(folder: Path) -> Lines:
    """The index of a folder; empty where there is none."""
    try:
        with (folder / FILE).open(encoding="utf-8", newline="\n") as file:
            return {orjson.loads(line)["sample_id"]: line.removesuffix("\n") for line in file}
    except FileNotFoundError:
        return {}


def _entries(index: Path) -> Iterator[dict[str, Any]]:
    """Yield what the lines of an index say, one after the other.

    Keeping all of them would take a few kB of memory per sample.
    """
    with index.open("rb") as file:
        yield from map(orjson.loads, file)


def contents(folder: Path) -> Iterator[tuple[str, str, dict[str, int], str]]:
    """Yield the contents of a folder, sample by sample.

    Of each it gives its id, the folder's name, the revision of each field, and its digest.
    """
    if not (folder / FILE).is_file():
        return
    for entry in _entries(folder / FILE):
        revisions = {name: answer["revision"] for name, answer in entry["answers"].items()}
        yield entry["sample_id"], folder.name, revisions, entry["digest"]


def write(folder: Path, lines: Iterable[str]) -> None:
    """Write the index of a folder that is being built."""
    with (folder / FILE).open("x", encoding="utf-8", newline="\n") as file:
        file.writelines(f"{line}\n" for line in lines)


def compare(
    folder: Path, old: Lines, now: Lines, unit_of: UnitOf, *, limit: int | None = None, again: bool = False
) -> Difference:
    """Compare `folder`, whose index is `old`, with what is to be there.

    `limit` bounds new samples; `again`: everything is to be written.
    """
    fresh = [sample_id for sample_id in now if sample_id not in old]
    beyond = set() if limit is None else set(fresh[limit:])
    now = {sample_id: line for sample_id, line in now.items() if sample_id not in beyond} if beyond else now
    differing = set() if now is old else {s for s in old.keys() | now.keys() if old.get(s) != now.get(s)}
    units = _units(now, now, unit_of)
    touched = {units[s] for s in differing if s in units} | set(_units(old, differing, unit_of).values())
    dirty = frozenset(set(units.values()) if again else touched | _missing(folder, set(units.values())))
    return Difference(
        now=now,
        added=len(fresh) - len(beyond),
        changed=len(differing & old.keys() & now.keys()),
        removed=sorted(old.keys() - now.keys()),
        beyond=len(beyond),
        units=units,
        dirty=dirty,
        is_current=not dirty and not differing and (folder / FILE).is_file(),
    )


def sha256(folder: Path) -> str | None:
    """The digest of a folder's index; None where there is none."""
    try:
        with (folder / FILE).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return None


def _units(lines: Lines, of: Iterable[str], unit_of: UnitOf) -> dict[str, str]:
    found = ((sample_id, unit_of(orjson.loads(lines[sample_id]))) for sample_id in of if sample_id in lines)
    return {sample_id: unit for sample_id, unit in found if unit is not None}


def _missing(folder: Path, units: set[str]) -> set[str]:
    try:
        there = set(os.listdir(folder))  # one question for all of them
    except FileNotFoundError:
        return units
    return {
        unit
        for unit in units
        if unit not in there and not ("/" in unit and os.path.lexists(f"{folder}/{unit}"))
    }


def manifest(target: Path) -> bytes:
    """Describe an exported folder, from its indexes.

    That is counts, digests, and where it comes from.
    """
    parts = {index.parent.name: _summary(index) for index in sorted(target.glob(f"*/{FILE}"))}
    return orjson.dumps({"task_types": parts}, option=_PRETTY)


def _summary(index: Path) -> dict[str, Any]:
    """One pass, which keeps of each sample no more than its watermark needs."""
    layout, newest, said = None, None, list[str]()
    names = ("split", "gold", "annotator", "model_version", "commit")
    counted: dict[str, Counter[Any]] = {name: Counter() for name in names}
    for entry in _entries(index):
        layout = layout or entry["layout"]
        newest = max(newest or 0, entry["newest_revision"])
        said.append(_said(entry))
        counted["gold" if entry["gold"] else "split"][entry["split"]] += 1
        counted["commit"][entry["dvc_commit_hash"]] += 1
        for answer in entry["answers"].values():
            counted["annotator"][answer["annotator"]] += 1
            counted["model_version"][answer["model_version"]] += 1
    return {
        "layout": layout,
        "samples": len(said),
        "splits": _named(counted["split"]),
        "gold": counted["gold"].total(),
        "index_sha256": sha256(index.parent),
        "watermark": _watermark(said),
        "lineage": {
            "newest_revision": newest,
            "annotators": _named(counted["annotator"]),
            "model_versions": _named(counted["model_version"]),
            "dvc_commits": _named(counted["commit"]),
        },
    }


def _said(entry: dict[str, Any]) -> str:
    return f"{entry['sample_id']}{entry['digest']}"


def _watermark(said: list[str]) -> dict[str, Any]:
    """Compute the watermark of an export.

    It equals the ledger's watermark, if nothing was left out and nothing happened since.
    """
    digest = hashlib.md5(usedforsecurity=False)
    for one in sorted(said):
        digest.update(one.encode())
    return {"samples": len(said), "digest": digest.hexdigest()}


def _named(counts: Counter[Any]) -> dict[str, int]:
    return dict(sorted(("none" if value is None else str(value), count) for value, count in counts.items()))


_PRETTY = orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE
