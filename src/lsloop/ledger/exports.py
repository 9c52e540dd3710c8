"""Exports: what people accepted, streamed out; splits; and what was written where."""

import hashlib
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

import orjson

from lsloop.ledger import Ledger, Transaction, problems, queries
from lsloop.ledger.problems import Problem
from lsloop.records import Split

T = TypeVar("T")

_TOGETHER = 100  # rows that are taken from the connection at once


class Entry(NamedTuple):
    """A reviewed sample.

    `line` says all that an export writes of it; `document` is that itself, as JSON.
    """

    sample_id: str
    line: str
    document: str
    split: Split | None
    arrival: int
    media_bytes: int | None
    media_mtime_ns: int | None


def assign_splits(transaction: Transaction, validation: float, test: float) -> int:
    """Give every sample with an accepted value its split, for ever.

    Returns how many got one now.
    """
    return int(
        transaction.value("SELECT assign_splits(:validation, :test)", validation=validation, test=test)
    )


@contextmanager
def as_it_stands(ledger: Ledger) -> Iterator[Transaction]:
    """A transaction that sees the ledger as it was at its first question.

    It is so whatever happens meanwhile.
    """
    with ledger.transaction() as transaction:
        transaction.run("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        transaction.run(
            "SET LOCAL work_mem = '64MB'"
        )  # a few large sorts, one after the other, instead of files
        yield transaction


def state(transaction: Transaction) -> str:
    """A digest that changes whenever anything changes that an export could write."""
    return str(transaction.value(queries.named("export")["state"]))


class Before(NamedTuple):
    """The ledger's state when a folder was last brought up to it.

    With it comes the digest of the index that was written.
    """

    layout: str
    state: str
    index_sha256: str


def states(transaction: Transaction, destination: str) -> dict[str, Before]:
    """The remembered state of each task type's folder."""
    rows = transaction.rows(queries.named("export")["states"], destination=destination)
    return {row.task_type: Before(row.layout, row.state, row.index_sha256) for row in rows}


def remember_state(ledger: Ledger, destination: str, task_type: str, now: Before) -> None:
    """Record that the task type's folder is what the ledger was in this state."""
    with ledger.transaction() as transaction:
        transaction.run(
            queries.named("export")["remember_state"],
            destination=destination,
            task_type=task_type,
            **now._asdict(),
        )


def about(transaction: Transaction, task_type: str) -> int:
    """The approximate number of samples in an export of the task type.

    It serves to say how far an export is.
    """
    return int(transaction.value(queries.named("export")["about"], task_type=task_type))


def straight(transaction: Transaction, task_type: str, layout: str) -> Generator[Entry, None, None]:
    """The accepted values of a task type, oldest sample first.

    The first ones come before the last ones are found. Close it before anything else is asked in this
    transaction.
    """
    return _streamed(transaction, Entry._make, "straight", task_type=task_type, layout=layout)


def gather(transaction: Transaction, task_type: str, layout: str) -> None:
    """Find out what people accepted for a task type, in this transaction.

    `lines` and `entries` then tell it, once each.
    """
    transaction.run(
        """CREATE TEMPORARY TABLE IF NOT EXISTS reviewed_now (
               task_type text, sample_id uuid, line text, document text, split text, arrival bigint,
               media_bytes bigint,
               media_mtime_ns bigint) ON COMMIT DROP"""
    )
    transaction.run(queries.named("export")["gather"], task_type=task_type, layout=layout)


def lines(transaction: Transaction, task_type: str) -> dict[str, str]:
    """The gathered values of a task type: sample_id → line, oldest sample first."""
    return dict(_streamed(transaction, tuple, "lines", task_type=task_type))


def entries(transaction: Transaction, task_type: str, only: Sequence[str]) -> Generator[Entry, None, None]:
    """These samples of what was gathered for a task type, oldest first.

    Close it, as `straight`.
    """
    return _streamed(transaction, Entry._make, "entries", task_type=task_type, ids=list(only))


def _streamed(
    transaction: Transaction, make: Callable[[Sequence[Any]], T], query: str, **values: Any
) -> Generator[T, None, None]:
    """Yield rows as PostgreSQL finds them.

    It goes on while they are used, as far as the connection holds them.
    """
    with transaction.driver.cursor(row_factory=lambda cursor: make) as cursor:
        yield from cursor.stream(queries.named("export")[query], values, size=_TOGETHER)


def watermark(ledger: Ledger, task_type: str) -> dict[str, Any]:
    """The number of samples that an export of the task type would hold, and a digest.

    The digest is of all it would say of them.
    """
    with ledger.transaction() as transaction:
        row = transaction.row(queries.named("export")["watermark"], task_type=task_type)
    assert row is not None
    return dict(row._mapping)


class There(NamedTuple):
    """A sample that lies in an exported folder; `revisions` is field → version."""

    sample_id: str
    task_type: str
    revisions: dict[str, int]
    digest: str


def last_manifest(ledger: Ledger, destination: str) -> str | None:
    """The digest of the manifest that was last written down for this folder."""
    with ledger.transaction() as transaction:
        found: str | None = transaction.value(queries.named("export")["last"], destination=destination)
    return found


def record(
    ledger: Ledger,
    destination: str,
    layout: str,
    manifest: bytes,
    task_types: Sequence[str],
    there: Iterable[There],
) -> int:
    """Write down what lies in a folder now for these task types.

    Returns the number of this export. Samples that are there unchanged keep the export that wrote them.
    """
    said = queries.named("export")
    sha256 = hashlib.sha256(manifest).hexdigest()
    with ledger.transaction() as transaction:
        number = int(
            transaction.value(
                said["record"],
                destination=destination,
                layout=layout,
                manifest=manifest.decode(),
                sha256=sha256,
            )
        )
        _copy(transaction, there)
        transaction.run(said["remember"], destination=destination, export_id=number)
        transaction.run(
            said["forget"], destination=destination, export_id=number, task_types=list(task_types)
        )
    return number


def _copy(transaction: Transaction, there: Iterable[There]) -> None:
    transaction.driver.execute(
        """CREATE TEMPORARY TABLE exported_now (sample_id uuid, task_type text, revisions jsonb, digest text)
               ON COMMIT DROP"""
    )
    with transaction.driver.cursor() as cursor, cursor.copy("COPY exported_now FROM STDIN") as copy:
        for one in there:
            copy.write_row(
                one._replace(revisions=orjson.dumps(one.revisions).decode())  # type: ignore[arg-type]
            )
    transaction.run("ANALYZE exported_now")


_FIX = (
    "Mend what it names; after a change under data/raw run `lsloop ingest`. The next export tries it again."
)


def set_aside(
    ledger: Ledger, destination: str, task_type: str, left_out: Mapping[str, str], *, all_looked_at: bool
) -> None:
    """Set aside samples (by id) that could not be exported to a folder, with reasons.

    Those that now could be exported are no longer set aside.
    """
    at = hashlib.sha256(destination.encode()).hexdigest()[:12]
    found = [
        Problem("export", "sample", f"{sample_id} {at}", reason, _FIX, task_type, UUID(sample_id), digest=at)
        for sample_id, reason in left_out.items()
    ]
    with ledger.transaction() as transaction:
        if all_looked_at:
            transaction.run(
                """DELETE FROM problems WHERE step = 'export' AND task_type = :task_type AND digest = :at
                      AND NOT key = ANY (CAST(:keys AS text[]))""",
                task_type=task_type, at=at, keys=[one.key for one in found],
            )  # fmt: skip
        problems.set_aside(transaction, found)
