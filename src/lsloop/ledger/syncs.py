"""Cycles of `lsloop sync`: one at a time on a ledger, and the result of each step."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from lsloop.ledger import Ledger, Transaction, Turn, queries


@dataclass(frozen=True)
class Run:
    """A cycle that began.

    `seconds` it took; `ended_at`, `outcome` and `seconds` are None while it is at work, or when it was
    cut off and nobody has noticed yet.
    """

    run_id: int
    started_by: str
    started_at: datetime
    ended_at: datetime | None
    outcome: str | None
    steps: list[dict[str, Any]]
    seconds: float | None


@contextmanager
def only_one(ledger: Ledger) -> Iterator[Turn | None]:
    """The right to run a cycle, across all machines that share the ledger.

    None when somebody else has it.
    """
    with ledger.turn_if_free("lsloop sync") as turn:
        yield turn


def age(turn: Turn) -> float | None:
    """The age in seconds of the last cycle that succeeded, counted from its beginning.

    None: none ever did.
    """
    with turn.transaction() as transaction:
        found: float | None = transaction.value(queries.named("sync")["age"])
    return found


def begin(turn: Turn, started_by: str) -> int:
    """Begin a cycle; return its number."""
    with turn.transaction() as transaction:
        return int(transaction.value("SELECT begin_sync(CAST(:by AS text))", by=started_by))


def record(turn: Turn, run_id: int, step: dict[str, Any]) -> None:
    """Write down what came of a step.

    Raises Unreachable when the turn was lost, Refused when the cycle has ended.
    """
    with turn.transaction() as transaction:
        transaction.run(
            "SELECT record_sync_step(CAST(:id AS bigint), CAST(:step AS jsonb))",
            id=run_id, step=orjson.dumps(step).decode(),
        )  # fmt: skip


def end(turn: Turn, run_id: int, *, stopped: bool) -> Run:
    """End a cycle; return the whole of it."""
    with turn.transaction() as transaction:
        transaction.run(
            "SELECT end_sync(CAST(:id AS bigint), CAST(:stopped AS boolean))", id=run_id, stopped=stopped
        )
        return _runs(transaction, run_id, 1)[0]


def last(ledger: Ledger, count: int = 1) -> list[Run]:
    """The last cycles, the newest first."""
    with ledger.transaction() as transaction:
        return _runs(transaction, None, count)


def _runs(transaction: Transaction, run_id: int | None, limit: int) -> list[Run]:
    rows = transaction.rows(queries.named("sync")["runs"], run_id=run_id, limit=limit)
    return [Run(**row._mapping) for row in rows]
