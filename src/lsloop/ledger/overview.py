"""Counts of the whole ledger, for people to look at."""

from datetime import datetime
from typing import Any

from lsloop.ledger import Ledger, Transaction, events, problems, queries, queue


def counts(ledger: Ledger) -> dict[str, Any]:
    """Counts by kind of everything in the ledger.

    They are of samples, locks, annotations, conflicts, what is set aside, events and jobs.
    """
    with ledger.transaction() as transaction:
        found = {word: _one(transaction, word) for word in ("samples", "locks", "annotations", "conflicts")}
        found["problems"] = problems.counts(transaction)
    return found | {"events": events.counts(ledger), "jobs": queue.counts(ledger)}


def tasks(ledger: Ledger, server: str, task_type: str | None = None) -> list[dict[str, Any]]:
    """The number of tasks in each state, per task type.

    Task types are those that have a project on this Label Studio server.
    """
    with ledger.transaction() as transaction:
        rows = transaction.rows(queries.named("status")["tasks"], server=server, task_type=task_type)
    return [dict(row._mapping) for row in rows]


def now(ledger: Ledger) -> datetime:
    """The ledger's time."""
    with ledger.transaction() as transaction:
        found: datetime = transaction.value("SELECT now()")
    return found


def _one(transaction: Transaction, name: str) -> dict[str, int]:
    row = transaction.row(queries.named("status")[name])
    assert row is not None
    return dict(row._mapping)
