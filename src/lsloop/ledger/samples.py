"""Samples in bulk: upstream rows are copied in, and one statement applies them.

The rows go into a temporary table; the statement brings the ledger up to it.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from typing import NamedTuple
from uuid import UUID

from lsloop.ledger import Ledger, Transaction, problems
from lsloop.ledger.problems import Problem

_INCOMING = """
    CREATE TEMPORARY TABLE incoming (
        line bigint, source text, external_id text, fields jsonb, group_key text, priority integer,
        media_path text,
        media_bytes bigint, media_mtime_ns bigint, media_md5 text, media_type text,
        duration double precision, width integer,
        height integer, frame_rate double precision, frames integer, pages integer, media_problem text
    ) ON COMMIT DROP
"""

_MEASURED = """
    CREATE TEMPORARY TABLE IF NOT EXISTS measured (
        path text, md5 text, duration double precision, width integer, height integer, size bigint,
        mtime_ns bigint,
        media_type text, frame_rate double precision, frames integer, pages integer, media_problem text
    ) ON COMMIT DROP
"""

_KNOWN = "media_type, duration, width, height, frame_rate, frames, pages, media_problem"
"""What was measured of a file beside its digest."""

Row = tuple[int, str, str, str, str | None, int, str | None, int | None, int | None]
"""line number, source, external_id, fields as JSON text, group, priority, media path, its bytes, its mtime
(ns)"""


@dataclass(frozen=True)
class Media:
    """The measurements of a media file.

    `duration` is in seconds, `width` and `height` in pixels.

    `problem` says why the file cannot be shown. One that cannot be read has no digest.
    """

    path: str
    md5: str | None
    duration: float | None = None
    width: int | None = None
    height: int | None = None
    size: int | None = None  # bytes
    mtime_ns: int | None = None
    media_type: str | None = None
    frame_rate: float | None = None
    frames: int | None = None
    pages: int | None = None
    problem: str | None = None


class Unmeasured(NamedTuple):
    """A sample that was written by SQL, and whose media file no ingest has seen."""

    sample_id: UUID
    external_id: str
    sync_version: int


@dataclass(frozen=True)
class Upserted:
    """The changes of an ingest.

    `missing` samples are in the ledger and no longer upstream.
    """

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
        """Take over what the ledger knows of unchanged files.

        Their size and time of change are still the same.
        """
        # Without IS NOT NULL a hash join of PostgreSQL 18 over many rows without media does not end.
        self._transaction.run(
            f"""UPDATE incoming i SET (media_md5, {_KNOWN}) = (s.media_md5, {_prefixed("s", _KNOWN)})
                 FROM samples s WHERE s.source = i.source AND s.external_id = i.external_id
                 AND s.media_path = i.media_path
                  AND s.media_bytes = i.media_bytes AND s.media_mtime_ns = i.media_mtime_ns
                  AND s.media_path IS NOT NULL AND i.media_path IS NOT NULL
                  AND (s.media_type IS NOT NULL OR s.duration IS NOT NULL)"""
        )

    def unmeasured(self) -> list[str]:
        """The media paths that must be read.

        They are new ones, and those whose size or time of change differs.
        """
        rows = self._transaction.rows(
            "SELECT DISTINCT media_path FROM incoming"
            " WHERE media_path IS NOT NULL AND media_md5 IS NULL ORDER BY 1"
        )
        return [row.media_path for row in rows]

    def measured(self, found: Iterable[Media]) -> None:
        """Write down what was measured, as it comes.

        It is one statement for all files, however many there are.
        """
        self._copy_measured(found)
        self._transaction.run(
            f"""UPDATE incoming i SET media_md5 = m.md5, ({_KNOWN}) = ({_prefixed("m", _KNOWN)}),
                      media_bytes = coalesce(m.size, i.media_bytes),
                      media_mtime_ns = coalesce(m.mtime_ns, i.media_mtime_ns)
                 FROM measured m WHERE m.path = i.media_path"""
        )

    def _copy_measured(self, found: Iterable[Media]) -> None:
        _copy_measured(self._transaction, found)

    def drop_media(self, path: str) -> list[tuple[int, str]]:
        """Leave out the rows of a file that could not be read.

        Returns their line numbers and external ids.
        """
        rows = self._transaction.rows(
            "DELETE FROM incoming WHERE media_path = :path RETURNING line, external_id", path=path
        )
        return sorted((row.line, row.external_id) for row in rows)

    def came_by_sql(self) -> dict[str, list[Unmeasured]]:
        """The samples that came by SQL, by media path.

        No ingest has seen their file.
        """
        found: dict[str, list[Unmeasured]] = {}
        for row in self._transaction.rows(
            """SELECT media_path, sample_id, external_id, sync_version FROM samples
                WHERE media_path IS NOT NULL AND media_bytes IS NULL AND deleted_at IS NULL"""
        ):
            found.setdefault(row.media_path, []).append(
                Unmeasured(row.sample_id, row.external_id, row.sync_version)
            )
        return found

    def fill_in(self, found: Iterable[Media]) -> None:
        """Write what was measured into those samples.

        That is no change: the files were so before, only nobody knew.
        """
        _fill_in(self._transaction, found)

    def set_aside(self, prefix: str, found: Sequence[Problem]) -> None:
        """Record these lines as refused.

        Whatever else was refused of the file before (keys begin with `prefix`) was taken.
        """
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

    def damaged(self) -> dict[str, str]:
        """The reasons why the files of these rows cannot be shown, by external id."""
        rows = self._transaction.rows(
            "SELECT external_id, media_problem FROM incoming WHERE media_problem IS NOT NULL ORDER BY line"
        )
        return {row.external_id: row.media_problem for row in rows}

    def apply(self, *, prune: bool) -> Upserted:
        """Bring the ledger up to these rows.

        With `prune`, samples that are no longer upstream are marked as deleted.
        """
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


def _prefixed(table: str, columns: str) -> str:
    return ", ".join(f"{table}.{column}" for column in columns.split(", "))


_MISSING = """FROM samples s WHERE s.deleted_at IS NULL AND s.parent_sample_id IS NULL
    AND s.source IN (SELECT DISTINCT source FROM incoming)
    AND NOT EXISTS (SELECT FROM incoming i WHERE i.source = s.source AND i.external_id = s.external_id)"""


@contextmanager
def incoming(ledger: Ledger, *, keep: bool = True, commit: str | None = None) -> Iterator[Incoming]:
    """Run one ingest as one transaction.

    With `keep` false it is rolled back at the end: a dry run. `commit` is the git commit that the data
    is at: new content remembers it.
    """
    with ledger.in_turn("lsloop ingest"), ledger.transaction() as transaction:
        transaction.value("SELECT set_config('lsloop.dvc_commit', :commit, true)", commit=commit or "")
        transaction.run(_INCOMING)
        yield Incoming(transaction)
        if not keep:
            transaction.undo()


def unseen(ledger: Ledger, task_keys: Sequence[UUID]) -> dict[UUID, str]:
    """The media paths of those of these tasks whose files no ingest has seen.

    Their samples came by SQL.
    """
    with ledger.transaction() as transaction:
        rows = transaction.rows(
            """SELECT task_key, media_path FROM tasks JOIN samples USING (sample_id)
                WHERE task_key = ANY (CAST(:keys AS uuid[])) AND media_path IS NOT NULL
                AND media_bytes IS NULL""",
            keys=list(task_keys),
        )
    return {row.task_key: row.media_path for row in rows}


def fill_in(ledger: Ledger, found: Iterable[Media]) -> None:
    """Write what was measured into samples that came by SQL; see `Incoming.fill_in`."""
    with ledger.transaction() as transaction:
        _fill_in(transaction, found)


def _fill_in(transaction: Transaction, found: Iterable[Media]) -> None:
    _copy_measured(transaction, found)
    transaction.run("SELECT fill_in_media()")


def _copy_measured(transaction: Transaction, found: Iterable[Media]) -> None:
    transaction.run(_MEASURED)
    transaction.run("TRUNCATE measured")
    with transaction.driver.cursor() as cursor, cursor.copy("COPY measured FROM STDIN") as copy:
        for one in found:
            copy.write_row(astuple(one))
    transaction.run("ANALYZE measured")


def counts(ledger: Ledger) -> dict[str, int]:
    """The number of samples, and of those among them that are marked as deleted."""
    with ledger.transaction() as transaction:
        row = transaction.row(
            "SELECT count(*) FILTER (WHERE deleted_at IS NULL) AS live, count(deleted_at) AS deleted"
            " FROM samples"
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
