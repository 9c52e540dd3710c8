"""Ingest: upstream's `metadata.jsonl` and media files come into the ledger.

They are streamed, and checked line by line.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson

from lsloop import task_types
from lsloop.errors import UsageError
from lsloop.ledger import Ledger, samples
from lsloop.ledger.problems import Problem
from lsloop.media.paths import BadPath, RawData
from lsloop.progress import SILENT, Progress
from lsloop.steps.sample import lines, media
from lsloop.task_types import Kind

_OFTEN = 1000  # lines after which it is told how far it is
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True)
class BadLine:
    """A line (1-based) that was refused, and why.

    `name` is its external_id, where that could be read.
    """

    line: int
    reason: str
    name: str = ""


@dataclass
class Ingested:
    """What an ingest did.

    `unread` are samples whose media file cannot be shown, with the reason: they went in, and are not sent to
    who would need it.
    """

    upserted: samples.Upserted
    refused: list[BadLine] = field(default_factory=list)
    hashed: int = 0
    prune_refused: bool = False
    unread: dict[str, str] = field(default_factory=dict)


def ingest(
    ledger: Ledger,
    path: Path,
    *,
    raw_dir: Path,
    kinds: Mapping[str, Kind] | None = None,
    links_to: Callable[[], Sequence[Path]] = tuple,
    prune: bool = False,
    dry_run: bool = False,
    commit: str | None = None,
    progress: Progress = SILENT,
) -> Ingested:
    """Bring the ledger up to `path` (JSON lines).

    Media paths in it are relative to `raw_dir`. Bad lines are refused by number and reason, the others go in,
    all in one transaction. So is what one of `kinds` (by task type; every kind there is, unless given) could
    not take. Samples that are no longer upstream are only marked as deleted when `prune` is set and every
    line could be read: a broken line is no removal. `links_to` names folders outside that links may lead to.
    `commit` is the git commit that the data is at, if that is known. Raises UsageError when the file cannot
    be read.
    """
    known = {name: task_types.load(name) for name in task_types.names()} if kinds is None else kinds
    reading = _Reading(RawData(raw_dir, links_to), known, progress)
    with _opened(path) as file, samples.incoming(ledger, keep=not dry_run, commit=commit) as incoming:
        incoming.copy(reading.rows(file))
        incoming.recall_media()
        unmeasured = incoming.unmeasured()
        progress.expect(reading.lines + len(unmeasured))
        incoming.measured(media.measured(reading.raw, unmeasured, reading.unreadable, progress.advance))
        for bad, why in reading.bad_media.items():
            reading.refused += [BadLine(line, why, name) for line, name in incoming.drop_media(bad)]
        done = Ingested(incoming.apply(prune=prune and not reading.refused), hashed=len(unmeasured))
        done.refused = sorted(reading.refused, key=lambda bad: bad.line)
        done.prune_refused = prune and bool(done.refused)
        done.unread = incoming.damaged() | _measure_what_came_by_sql(incoming, reading.raw)
        incoming.set_aside(f"{path.name} ", [_problem(path.name, bad) for bad in done.refused])
    return done


def _opened(path: Path) -> Any:
    try:
        file = path.open("rb")
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read: {error.strerror}.",
            "Name the metadata.jsonl to ingest, or pull it first with `dvc pull`.",
        ) from error
    if file.read(2) in _UTF16:
        file.close()
        raise UsageError(f"{path} is UTF-16.", "Save it as UTF-8: one JSON object a line.")
    file.seek(0)
    return file


@dataclass
class _Reading:
    """The lines of a file on their way in.

    `lines` is how many there were so far.
    """

    raw: RawData
    kinds: Mapping[str, Kind]
    progress: Progress
    refused: list[BadLine] = field(default_factory=list)
    bad_media: dict[str, str] = field(default_factory=dict)
    lines: int = 0

    def rows(self, file: Iterator[bytes]) -> Iterator[samples.Row]:
        seen: set[tuple[str, str]] = set()
        for self.lines, line in enumerate(file, 1):
            if self.lines % _OFTEN == 0:
                self.progress.advance(_OFTEN)
            if line.isspace():
                continue
            try:
                row = self._row(self.lines, line)
                if row[1:3] in seen:
                    raise lines.Refused(
                        f"external_id {row[2]!r} stands in an earlier line of this file", row[2]
                    )
            except lines.Refused as why:
                self.refused.append(BadLine(self.lines, str(why), why.name))
                continue
            seen.add(row[1:3])
            yield row
        self.progress.advance(self.lines % _OFTEN)

    def _row(self, number: int, line: bytes) -> samples.Row:
        given = lines.parsed(line, self.kinds)
        path, size, changed = None, None, None
        if given.media:
            try:
                path, _, size, changed = self.raw.find(given.media)
            except BadPath as why:
                raise lines.Refused(str(why), given.external_id) from why
        return (
            number, given.source, given.external_id, orjson.dumps(given.fields).decode(), given.group,
            given.priority, path, size, changed,
        )  # fmt: skip

    def unreadable(self, failed: media.Failed) -> None:
        self.bad_media.update([failed])


def _problem(file: str, bad: BadLine) -> Problem:
    key = f"{file} {bad.name}" if bad.name else f"{file} line {bad.line}"
    return Problem(
        "ingest",
        "line",
        key,
        f"line {bad.line}: {bad.reason}",
        "Mend the line, then run `lsloop ingest` again.",
    )


def _measure_what_came_by_sql(incoming: samples.Incoming, raw: RawData) -> dict[str, str]:
    """Measure what a crawler wrote by SQL and no ingest has seen.

    Answers what cannot be shown, and why.
    """
    unknown = incoming.came_by_sql()
    seen = _seen(raw, sorted(unknown))
    incoming.fill_in(seen)
    return {one.external_id: file.problem for file in seen if file.problem for one in unknown[file.path]}


def look(ledger: Ledger, task_keys: Sequence[UUID], raw: RawData) -> dict[UUID, str]:
    """Look at the media of claimed tasks whose samples came by SQL.

    Answers whose cannot be shown, and why.
    """
    paths = samples.unseen(ledger, task_keys)
    if not paths:
        return {}
    seen = _seen(raw, sorted(set(paths.values())))
    samples.fill_in(ledger, seen)
    problems = {file.path: file.problem for file in seen if file.problem}
    return {key: problems[path] for key, path in paths.items() if path in problems}


def _seen(raw: RawData, paths: Sequence[str]) -> list[samples.Media]:
    """What there is to know of files, also of those that cannot be read."""
    missing: list[samples.Media] = []

    def failed(file: media.Failed) -> None:
        missing.append(samples.Media(file[0], None, problem=file[1]))

    return [*media.measured(raw, paths, failed, lambda done: None), *missing]
