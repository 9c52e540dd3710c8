"""Export: what people accepted, into a folder that changes as a whole, and only where something changed."""

import hashlib
import platform
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

from lsloop import indexes, layouts, trees
from lsloop.errors import UsageError
from lsloop.labelstudio import conversion
from lsloop.layouts import Layout
from lsloop.ledger import Ledger, Transaction, exports
from lsloop.ledger.exports import Entry, There
from lsloop.records import Reviewed, Sample
from lsloop.task_types import Kind

T = TypeVar("T")

CHUNK = 200  # samples that a thread is given


@dataclass(frozen=True)
class Wanted:
    """What to export, and how. `limit` bounds how many samples are exported for the first time."""

    target: Path
    raw_dir: Path
    project_dir: Path
    layout: Layout
    kinds: dict[str, Kind]  # by task type
    validation: float
    test: float
    limit: int | None = None
    again: bool = False  # also write what is there already
    with_manifest: bool = True
    label_configs: dict[str, str] = field(default_factory=dict)  # by task type, where the layout needs results

    @property
    def destination(self) -> str:
        return f"{platform.node()}:{self.target}"


@dataclass
class Part:
    """What an export did for one task type. `waiting` are reviewed but beyond the limit; `problems` were left out."""

    samples: int = 0
    added: int = 0
    changed: int = 0
    removed: int = 0
    written: int = 0
    waiting: int = 0
    problems: list[str] = field(default_factory=list)


@dataclass
class Exported:
    """What an export did, or would do. `replaced`: the folder is another one now."""

    target: Path
    task_types: dict[str, Part]
    replaced: bool = False
    manifest_sha256: str | None = None


@dataclass(frozen=True)
class Progress:
    """How an export tells how far it is."""

    expect: Callable[[int], None] = lambda total: None
    advance: Callable[[int], None] = lambda done: None
    waiting: Callable[[], None] = lambda: None


SILENT = Progress()

_Differences = dict[str, indexes.Difference]


def plan(ledger: Ledger, wanted: Wanted) -> Exported:
    """What `export` would do now; nothing is written anywhere."""
    _require_replaceable(wanted)
    with ledger.transaction() as transaction:
        exports.assign_splits(transaction, wanted.validation, wanted.test)
        found = _differences(transaction, wanted, exports.state(transaction))
        transaction.undo()
    return _done(wanted, found)


def export(ledger: Ledger, wanted: Wanted, progress: Progress = SILENT) -> Exported:
    """Bring the folder up to the ledger. Killed at any moment, it is as it was before, or as it is after.

    Raises UsageError when the folder holds what no export made.
    """
    _require_replaceable(wanted)
    with ledger.in_turn(f"lsloop export {wanted.destination}", progress.waiting):
        trees.mend(wanted.target)
        with ledger.transaction() as transaction:
            exports.assign_splits(transaction, wanted.validation, wanted.test)
        with exports.as_it_stands(ledger) as transaction:
            state = exports.state(transaction)
            found = _differences(transaction, wanted, state)
            done = _done(wanted, found)
            _bring_up(transaction, wanted, found, done, progress)
        _write_down(ledger, wanted, done)
        _remember(ledger, wanted, done, state)
    return done


def _differences(transaction: Transaction, wanted: Wanted, state: str) -> _Differences:
    left, found = wanted.limit, {}
    before = exports.states(transaction, wanted.destination)
    for name in wanted.kinds:
        is_known = before.get(name) == _now(wanted, name, state) and not wanted.again
        found[name] = (is_known and _unchanged(wanted, name)) or _difference(transaction, wanted, name, left)
        left = None if left is None else left - found[name].added
    return found


def _now(wanted: Wanted, name: str, state: str) -> exports.Before:
    return exports.Before(wanted.layout.NAME, state, indexes.sha256(wanted.target / name) or "")


def _unchanged(wanted: Wanted, name: str) -> indexes.Difference | None:
    """Nothing happened in the ledger since this index was written: it says what is to be there. None: not all is there."""
    folder = wanted.target / name
    old = indexes.read(folder)
    found = indexes.compare(folder, old, old, wanted.layout.unit)
    return found if found.is_current else None


def _difference(transaction: Transaction, wanted: Wanted, name: str, limit: int | None) -> indexes.Difference:
    folder = wanted.target / name
    exports.gather(transaction, name)
    now = {entry.sample_id: entry.line for entry in exports.entries(transaction, name, wanted.layout.NAME)}
    return indexes.compare(
        folder, indexes.read(folder), now, wanted.layout.unit, limit=limit, again=wanted.again
    )


def _remember(ledger: Ledger, wanted: Wanted, done: Exported, state: str) -> None:
    """The next export has nothing to do as long as the ledger is like this; not where something was left out."""
    with ledger.transaction() as transaction:
        before = exports.states(transaction, wanted.destination)
    for name, part in done.task_types.items():
        now = _now(wanted, name, state)
        if not part.waiting and not part.problems and before.get(name) != now:
            exports.remember_state(ledger, wanted.destination, name, now)


def _done(wanted: Wanted, found: _Differences) -> Exported:
    parts = {
        name: Part(len(d.now), d.added, d.changed, len(d.removed), len(d.to_write), d.beyond)
        for name, d in found.items()
    }
    return Exported(wanted.target, parts)


def _bring_up(
    transaction: Transaction, wanted: Wanted, found: _Differences, done: Exported, progress: Progress
) -> None:
    if all(difference.is_current for difference in found.values()):
        return
    progress.expect(sum(part.written for part in done.task_types.values()))
    with trees.replacing(wanted.target) as new:
        placer = trees.Placer()
        _carry_others(wanted, new, placer)
        for name, difference in found.items():
            _carry_unchanged(wanted.target / name, new / name, difference, placer)
            _write(transaction, wanted, name, difference, new / name, placer, done.task_types[name], progress)
        if wanted.with_manifest:
            (new / indexes.MANIFEST).write_bytes(indexes.manifest(new))
    done.replaced = True


def _carry_others(wanted: Wanted, new: Path, placer: trees.Placer) -> None:
    """What this export is not about: other task types, and what git and DVC keep there."""
    if not wanted.target.is_dir():
        return
    ours = {*wanted.kinds, *([indexes.MANIFEST] if wanted.with_manifest else [])}
    for there in wanted.target.iterdir():
        if there.name not in ours:
            placer.carry(there, new / there.name)


def _carry_unchanged(old: Path, new: Path, difference: indexes.Difference, placer: trees.Placer) -> None:
    new.mkdir()
    for unit in sorted(set(difference.units.values()) - difference.dirty):
        if "/" in unit:
            (new / unit).parent.mkdir(parents=True, exist_ok=True)
        placer.carry(f"{old}/{unit}", f"{new}/{unit}")


def _write(
    transaction: Transaction,
    wanted: Wanted,
    name: str,
    difference: indexes.Difference,
    folder: Path,
    placer: trees.Placer,
    part: Part,
    progress: Progress,
) -> None:
    """Write what changed, and the index. Samples whose media are not there are left out."""
    ids = difference.to_write
    lines = dict(difference.now)
    entries = exports.entries(transaction, name, wanted.layout.NAME, documents=True, only=ids) if ids else iter(())
    with wanted.layout.writer(folder, name, placer.place) as write:

        def put(some: Sequence[Entry]) -> list[tuple[str, str]]:
            """Answers which of them were left out, and why."""
            return [(one.sample_id, why) for one in some if (why := _put(write, one, wanted, name))]

        for left_out in _meanwhile(put, entries, layouts.at_once(wanted.layout), progress.advance):
            part.problems += [why for _, why in left_out]
            for sample_id, _ in left_out:
                del lines[sample_id]
    if form := layouts.converted(wanted.layout):
        for unit in sorted(difference.dirty & {path.name for path in folder.iterdir()}):
            conversion.convert(folder / unit, wanted.label_configs[name], form)
    indexes.write(folder, lines.values())
    part.samples, part.written = len(lines), part.written - len(part.problems)


def _meanwhile(
    put: Callable[[Sequence[Entry]], T], entries: Iterator[Entry], at_once: int, advance: Callable[[int], None]
) -> Iterator[T]:
    """Have threads put entries away while the next ones are read; in order where it is one thread."""
    waiting: deque[tuple[int, Future[T]]] = deque()
    with ThreadPoolExecutor(at_once) as threads:
        while some := list(islice(entries, CHUNK)):
            waiting.append((len(some), threads.submit(put, some)))
            while len(waiting) > 2 * at_once:
                yield _ended(*waiting.popleft(), advance)
        for count, future in waiting:
            yield _ended(count, future, advance)


def _ended(count: int, future: Future[T], advance: Callable[[int], None]) -> T:
    result = future.result()
    advance(count)
    return result


def _put(write: layouts.Write, entry: Entry, wanted: Wanted, name: str) -> str | None:
    """Write a sample; or why it is left out."""
    try:
        write(_reviewed(entry, wanted, name))
    except _NoMedia as missing:
        return str(missing)
    return None


class _NoMedia(Exception):
    """Why the media file of a sample cannot be exported."""


def _reviewed(entry: Entry, wanted: Wanted, name: str) -> Reviewed:
    document, kind = entry.document, wanted.kinds[name]
    assert document is not None
    media = document["media"]
    sample = Sample(
        UUID(entry.sample_id),
        document["external_id"],
        document["reads"] | {name: answer["value"] for name, answer in document["answers"].items()},
        *((media["path"], media["md5"], media["duration"], media["width"], media["height"]) if media else ()),
    )
    value = {name: answer["value"] for name, answer in document["answers"].items()}
    for answer in document["answers"].values():
        value |= answer["remarks"]
    file = _media(entry, media, wanted.raw_dir) if media else None
    config = wanted.label_configs.get(name)
    result = tuple(kind.to_result(value, config, sample)) if config else ()
    row = kind.training_row(sample, value)
    return Reviewed(entry.sample_id, entry.split, entry.arrival, document, row, file, result)


def _media(entry: Entry, media: dict[str, Any], raw_dir: Path) -> Path:
    """The media file, which must be the one that people heard or saw."""
    path = raw_dir / str(media["path"])
    name = f"{(entry.document or {})['external_id']}: its media file {media['path']}"
    try:
        found = path.stat()
        same = (found.st_size, found.st_mtime_ns) == (entry.media_bytes, entry.media_mtime_ns)
        if not same and _md5(path) != media["md5"]:
            raise _NoMedia(f"{name} changed since it was ingested.")
    except OSError as error:
        raise _NoMedia(f"{name} cannot be read: {error.strerror}.") from error
    return path


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _write_down(ledger: Ledger, wanted: Wanted, done: Exported) -> None:
    """The manifest, in the folder where wanted and in the ledger always; what a killed export left out, the next does."""
    last = exports.last_manifest(ledger, wanted.destination)
    if not done.replaced and wanted.with_manifest and last == _sha256(wanted.target / indexes.MANIFEST):
        done.manifest_sha256 = last
        return
    content = indexes.manifest(wanted.target)
    done.manifest_sha256 = hashlib.sha256(content).hexdigest()
    if wanted.with_manifest:
        write_manifest(wanted.target, content)
    if last != done.manifest_sha256:
        there = (There(*row) for name in wanted.kinds for row in indexes.contents(wanted.target / name))
        exports.record(ledger, wanted.destination, wanted.layout.NAME, content, list(wanted.kinds), there)


def _sha256(path: Path) -> str | None:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None


def write_manifest(target: Path, content: bytes | None = None) -> Path:
    """Write `manifest.json` of an exported folder, from its indexes; untouched when it says the same already.

    Raises UsageError where nothing was exported.
    """
    if not any(target.glob(f"*/{indexes.FILE}")):
        raise UsageError(f"Nothing was exported to {target} yet.", "Run `lsloop export` first.")
    content = indexes.manifest(target) if content is None else content
    path = target / indexes.MANIFEST
    if not path.is_file() or path.read_bytes() != content:
        trees.write_whole(path, content)
    return path


def _require_replaceable(wanted: Wanted) -> None:
    target, kept = wanted.target, (wanted.project_dir, wanted.raw_dir)
    if any(folder.is_relative_to(target) for folder in kept) or target.is_relative_to(wanted.raw_dir):
        raise UsageError(
            f"{target} is no place for an export: more is kept there.", "Name a folder only for exports."
        )
    if not target.exists():
        return
    if not target.is_dir():
        raise UsageError(f"{target} is a file.", "Name a folder.")
    there = [path for path in target.iterdir() if not path.name.startswith(".")]
    if there and not any(target.glob(f"*/{indexes.FILE}")):
        raise UsageError(
            f"{target} holds {there[0].name}, which no export made.", "Name an empty folder, or a new one."
        )
    for name in wanted.kinds:
        folder = target / name
        if folder.exists() and any(folder.iterdir()) and not (folder / indexes.FILE).is_file():
            raise UsageError(f"{folder} holds what no export made.", "Move it away, or name another folder.")
