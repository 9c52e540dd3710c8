"""The new folder of an export, which takes the place of the old one.

What changed is written, the rest is linked. One thread writes, while PostgreSQL finds the next samples. Two
were slower: the kernel lets one at a time into a folder, and Python one between the calls.
"""

from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import orjson

from lsloop.dataset import indexes, layouts, trees
from lsloop.errors import LsloopError
from lsloop.labelstudio import conversion
from lsloop.ledger import Transaction, exports
from lsloop.ledger.exports import Entry
from lsloop.media.paths import RawData
from lsloop.progress import Progress
from lsloop.steps.export.differing import Differences
from lsloop.steps.export.sample import Making, NoMedia, check_copy, unreadable
from lsloop.steps.export.wanted import Exported, Part, Wanted

_OFTEN = 200  # samples after which it is told how far it is


def bring_up(
    transaction: Transaction, wanted: Wanted, found: Differences, done: Exported, progress: Progress
) -> bytes | None:
    """Make the folder what the ledger says; answer its manifest.

    The manifest is written where wanted. None: there was nothing to do.
    """
    if all(difference and difference.is_current for difference in found.values()):
        return None
    progress.expect(_expected(transaction, found, done))
    with trees.replacing(wanted.target) as new:
        placer = trees.Placer()
        _carry_others(wanted, new, placer)
        met = 0
        for name, difference in found.items():
            folder = _Folder(wanted, name, new / name, placer, done.task_types[name], progress)
            met += folder.write(transaction, difference)
        progress.expect(met)  # it was about so many
        manifest = indexes.manifest(new)
        if wanted.with_manifest:
            (new / indexes.MANIFEST).write_bytes(manifest)
    done.replaced = True
    return manifest


def _expected(transaction: Transaction, found: Differences, done: Exported) -> int:
    return sum(
        exports.about(transaction, name) if difference is None else done.task_types[name].written
        for name, difference in found.items()
    )


def _carry_others(wanted: Wanted, new: Path, placer: trees.Placer) -> None:
    """Link what this export is not about.

    That is other task types, and what git and DVC keep there.
    """
    if not wanted.target.is_dir():
        return
    ours = {*wanted.kinds, *([indexes.MANIFEST] if wanted.with_manifest else [])}
    for there in wanted.target.iterdir():
        if there.name not in ours:
            placer.carry(there, new / there.name)


@dataclass
class _Folder:
    """The folder of a task type while it is built. `lines` are those of its index."""

    wanted: Wanted
    name: str
    path: Path
    placer: trees.Placer
    part: Part
    progress: Progress
    lines: indexes.Lines = field(default_factory=dict)
    unfit: LsloopError | None = None  # what is wrong if no sample fits the layout
    is_carried: bool = False  # whether anything is there that was there before

    at: tuple[Entry, dict[str, Any]] = field(init=False)  # the sample that is being written, and its media

    def write(self, transaction: Transaction, difference: indexes.Difference | None) -> int:
        """Write what differs and link the rest; then write the index.

        Everything is written where nothing is there yet. It answers of how many samples `progress` was told.
        """
        self.path.mkdir()
        met = 0
        if difference is None:
            met = self._put(exports.straight(transaction, self.name, self.wanted.layout_of(self.name)))
            self.part.added = met
        else:
            self.lines |= difference.now
            broken = self._carry(difference)
            if ids := [*difference.to_write, *broken]:
                met = self._put(exports.entries(transaction, self.name, ids))
        self._convert(difference)
        indexes.write(self.path, self.lines.values())
        self.part.samples = len(self.lines)
        return met

    def _carry(self, difference: indexes.Difference) -> list[str]:
        """Link what is as it was.

        Answers the samples whose files turned out not to be whole: they are written, too.
        """
        old, new = self.wanted.target / self.name, self.path
        broken = set()
        for unit in sorted(set(difference.units.values()) - difference.dirty):
            if "/" in unit:
                (new / unit).parent.mkdir(parents=True, exist_ok=True)
            self.is_carried = True
            if not self.placer.carry(f"{old}/{unit}", f"{new}/{unit}"):
                trees.remove(new / unit)
                broken.add(unit)
        return [sample_id for sample_id, unit in difference.units.items() if unit in broken] if broken else []

    def _put(self, entries: Generator[Entry, None, None]) -> int:
        """Write samples; answer how many there were.

        Those that cannot be written are left out, by name.
        """
        wanted = self.wanted
        kind, config = wanted.kinds[self.name], wanted.label_configs.get(self.name)
        making = Making(kind, str(wanted.raw_dir), RawData(wanted.raw_dir, wanted.also), config)
        self.part.written = met = 0
        with closing(entries), wanted.layout.writer(self.path, self.name, self._place) as write:
            for some in iter(lambda: list(islice(entries, _OFTEN)), []):
                for entry in some:
                    self._put_one(entry, making, write)
                self.progress.advance(len(some))
                met += len(some)
        if self.unfit and not self.part.written and not self.is_carried:
            raise self.unfit
        return met

    def _place(self, source: str, target: str) -> None:
        self.placer.place(source, target)
        check_copy(*self.at, source, target)

    def _put_one(self, entry: Entry, making: Making, write: layouts.Write) -> None:
        document = orjson.loads(entry.document)
        self.at = entry, document["media"]
        try:
            if (
                self.wanted.layout.unit({**entry._asdict(), "gold": document["gold"]}) is not None
            ):  # else only its line
                write(making.reviewed(entry, document))
                self.part.written += 1
            self.lines[entry.sample_id] = entry.line
        except (
            Exception
        ) as error:  # one sample: a file that is not there, or values that nothing can be made of
            self.part.leave_out(
                entry.sample_id, document["external_id"], self._reason(error, making, document["media"])
            )
            self.lines.pop(entry.sample_id, None)

    def _reason(self, error: Exception, making: Making, media: dict[str, Any] | None) -> str:
        """Say why a sample is left out.

        Raises the error again when it is not the sample's: a full disk ends the export.
        """
        if isinstance(error, LsloopError | MemoryError):
            raise error
        if isinstance(error, layouts.Unfit):
            self.unfit = self.unfit or error.everywhere
        if isinstance(error, OSError):
            why = unreadable(making.raw, media["path"]) if media else None
            if why is None:
                raise error
            return f"its media file {media['path'] if media else ''} cannot be read: {why}."
        told = str(error) or type(error).__name__
        return (
            told
            if isinstance(error, NoMedia | layouts.Unfit | ValueError)
            else f"{type(error).__name__}: {told}"
        )

    def _convert(self, difference: indexes.Difference | None) -> None:
        form = layouts.converted(self.wanted.layout)
        if not form:
            return
        for unit in sorted(path.name for path in self.path.iterdir()):
            if difference is None or unit in difference.dirty:
                bad = conversion.convert(self.path / unit, self.wanted.label_configs[self.name], form)
                for sample_id, why in bad.items():
                    self.part.written -= 1
                    self.part.leave_out(
                        sample_id, orjson.loads(self.lines.pop(sample_id))["external_id"], why
                    )
