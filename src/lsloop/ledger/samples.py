"""Samples in bulk: upstream rows are copied into a temporary table, then one statement brings the ledger up to it."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from lsloop.ledger import Ledger, Transaction, problems
from lsloop.ledger.problems import Problem

_INCOMING = """
    CREATE TEMPORARY TABLE incoming (
        line bigint, source text, external_id text, fields jsonb, group_key text, priority integer, media_path text,
        media_bytes bigint, media_mtime_ns bigint, media_md5 text, duration double precision, width integer, height integer
    ) ON COMMIT DROP
"""

_MEASURED = """
    CREATE TEMPORARY TABLE IF NOT EXISTS measured (
        path text, md5 text, duration double precision, width integer, height integer, size bigint, mtime_ns bigint
    ) ON COMMIT DROP
"""

Row = tuple[int, str, str, str, str | None, int, str | None, int | None, int | None]
"""line number, source, external_id, fields as JSON text, group, priority, media path, its bytes, its mtime (ns)"""


@dataclass(frozen=True)
class Media:
    """What was measured of a media file. `duration` is in seconds, `width` and `height` in pixels."""

    path: str
    md5: str
    duration: float | None = None
    width: int | None = None
    height: int | None = None
    size: int | None = None  # bytes
    mtime_ns: int | None = None


class Unmeasured(NamedTuple):
    """A sample that was written by SQL without the digest of its recording."""

    sample_id: UUID
    external_id: str
    sync_version: int


@dataclass(frozen=True)
class Upserted:
    """What an ingest changed. `missing` samples are in the ledger and no longer upstream."""

    added: int
    changed: int
    restored: int
    unchanged: int
    missing: int
    pruned: int


class Incoming:
    """The rows of one ingest, inside its transaction."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def copy(self, rows: Iterable[Row]) -> None:
        """Stream rows in; memory does not grow with their number."""
        columns = (
            "line, source, external_id, fields, group_key, priority, media_path, media_bytes, media_mtime_ns"
        )
        with (
            self._transaction.driver.cursor() as cursor,
            cursor.copy(f"COPY incoming ({columns}) FROM STDIN") as copy,
        ):
            for row in rows:
                copy.write_row(row)
        self._transaction.run("ANALYZE incoming")

    def recall_media(self) -> None:
        """Take what the ledger knows of files whose size and time of change are still the same."""
        # Without IS NOT NULL a hash join of PostgreSQL 18 over many rows without media does not end.
        self._transaction.run(
            """UPDATE incoming i SET media_md5 = s.media_md5, duration = s.duration, width = s.width, height = s.height
                 FROM samples s WHERE s.source = i.source AND s.external_id = i.external_id AND s.media_path = i.media_path
                  AND s.media_bytes = i.media_bytes AND s.media_mtime_ns = i.media_mtime_ns
                  AND s.media_path IS NOT NULL AND i.media_path IS NOT NULL"""
        )

    def unmeasured(self) -> list[str]:
        """The media paths that must be read: new ones, and those whose size or time of change differs."""
        rows = self._transaction.rows(
            "SELECT DISTINCT media_path FROM incoming WHERE media_path IS NOT NULL AND media_md5 IS NULL ORDER BY 1"
        )
        return [row.media_path for row in rows]

    def measured(self, found: Iterable[Media]) -> None:
        """Write down what was measured, as it comes: one statement for all files, however many there are."""
        self._copy_measured(found)
        self._transaction.run(
            """UPDATE incoming i SET media_md5 = m.md5, duration = m.duration, width = m.width, height = m.height,
                      media_bytes = coalesce(m.size, i.media_bytes), media_mtime_ns = coalesce(m.mtime_ns, i.media_mtime_ns)
                 FROM measured m WHERE m.path = i.media_path"""
        )

    def _copy_measured(self, found: Iterable[Media]) -> None:
        self._transaction.run(_MEASURED)
        self._transaction.run("TRUNCATE measured")
        with self._transaction.driver.cursor() as cursor, cursor.copy("COPY measured FROM STDIN") as copy:
            for one in found:
                copy.write_row((one.path, one.md5, one.duration, one.width, one.height, one.size, one.mtime_ns))
        self._transaction.run("ANALYZE measured")

    def drop_media(self, path: str) -> list[tuple[int, str]]:
        """Leave out the rows of a file that could not be read; answers their line numbers and external ids."""
        rows = self._transaction.rows(
            "DELETE FROM incoming WHERE media_path = :path RETURNING line, external_id", path=path
        )
        return sorted((row.line, row.external_id) for row in rows)

    def came_by_sql(self) -> dict[str, list[Unmeasured]]:
        """By media path, the samples whose recording nobody has measured: they came by SQL."""
        found: dict[str, list[Unmeasured]] = {}
        for row in self._transaction.rows(
            """SELECT media_path, sample_id, external_id, sync_version FROM samples
                WHERE media_path IS NOT NULL AND media_md5 IS NULL AND deleted_at IS NULL"""
        ):
            found.setdefault(row.media_path, []).append(Unmeasured(row.sample_id, row.external_id, row.sync_version))
        return found

    def fill_in(self, found: Iterable[Media]) -> None:
        """Write what was measured into those samples. It was so before, only nobody knew: that is no change."""
        self._copy_measured(found)
        self._transaction.run("SELECT fill_in_media()")

    def set_aside(self, prefix: str, found: Sequence[Problem]) -> None:
        """These lines were refused; whatever else was refused of the file before (keys begin with `prefix`) was taken."""
        if found:
            self._set_aside(prefix, found)
        self._transaction.run(
            """DELETE FROM problems WHERE step = 'ingest' AND subject = 'line' AND starts_with(key, :prefix)
                  AND NOT key = ANY (CAST(:keys AS text[]))""",
            prefix=prefix, keys=[one.key for one in found],
        )  # fmt: skip

    def _set_aside(self, prefix: str, found: Sequence[Problem]) -> None:
        problems.set_aside(self._transaction, found)
        self._transaction.run(
            """UPDATE problems p SET sample_id = s.sample_id, sync_version = s.sync_version FROM samples s
                WHERE p.step = 'ingest' AND p.subject = 'line' AND s.source = 'default'
                  AND starts_with(p.key, :prefix) AND s.external_id = substr(p.key, length(:prefix) + 1)""",
            prefix=prefix,
        )

    def set_aside_samples(self, found: Sequence[Problem]) -> None:
        """The recordings of these samples cannot be read; those of all others can."""
        problems.set_aside(self._transaction, found)
        problems.keep_only(self._transaction, "ingest", "sample", [one.key for one in found])

    def apply(self, *, prune: bool) -> Upserted:
        """Bring the ledger up to these rows. With `prune`, samples that are no longer upstream are marked as deleted."""
        row = self._transaction.row("SELECT added, changed, restored, total FROM upsert_samples()")
        assert row is not None
        missing = self._transaction.value(f"SELECT count(*) {_MISSING}")
        pruned = (
            self._transaction.run(
                f"UPDATE samples SET deleted_at = now() WHERE sample_id IN (SELECT sample_id {_MISSING})"
            )
            if prune and missing
            else 0
        )
        if pruned:
            self._transaction.run(
                "SELECT follow_parents(ARRAY(SELECT sample_id FROM samples WHERE deleted_at = now()))"
            )
        unchanged = row.total - row.added - row.changed
        return Upserted(row.added, row.changed, row.restored, unchanged, missing, pruned)


_MISSING = """FROM samples s WHERE s.deleted_at IS NULL AND s.parent_sample_id IS NULL
    AND s.source IN (SELECT DISTINCT source FROM incoming)
    AND NOT EXISTS (SELECT FROM incoming i WHERE i.source = s.source AND i.external_id = s.external_id)"""


@contextmanager
def incoming(ledger: Ledger, *, keep: bool = True, commit: str | None = None) -> Iterator[Incoming]:
    """One ingest as one transaction. With `keep` false it is rolled back at the end: a dry run.

    `commit` is the git commit that the data is at: new content remembers it.
    """
    with ledger.in_turn("lsloop ingest"), ledger.transaction() as transaction:
        transaction.value("SELECT set_config('lsloop.dvc_commit', :commit, true)", commit=commit or "")
        transaction.run(_INCOMING)
        yield Incoming(transaction)
        if not keep:
            transaction.undo()


def counts(ledger: Ledger) -> dict[str, int]:
    """How many samples there are, and how many of them are marked as deleted."""
    with ledger.transaction() as transaction:
        row = transaction.row(
            "SELECT count(*) FILTER (WHERE deleted_at IS NULL) AS live, count(deleted_at) AS deleted FROM samples"
        )
        assert row is not None
        return {"live": row.live, "deleted": row.deleted}


def any_media(ledger: Ledger) -> str | None:
    """The media path of the sample that came last; None when no sample has media."""
    with ledger.transaction() as transaction:
        found: str | None = transaction.value(
            """SELECT media_path FROM samples WHERE media_path IS NOT NULL AND deleted_at IS NULL
                ORDER BY arrival DESC LIMIT 1"""
        )
    return found
