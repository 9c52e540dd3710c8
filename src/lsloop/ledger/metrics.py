"""Counts for a monitor: few, cheap, and without any name but those of task types and states."""

from dataclasses import dataclass, field

from lsloop.ledger import Ledger, Transaction, queries


@dataclass(frozen=True)
class Counts:
    """The whole ledger in numbers. `tasks` by (task type, state); `pull_ages` in seconds since the last pull."""

    samples: int
    tasks: dict[tuple[str, str], int]
    open_conflicts: dict[str, int]
    locks: dict[str, int]
    pull_ages: dict[str, float]
    events: dict[str, int] = field(default_factory=dict)


def read(ledger: Ledger, server: str) -> Counts:
    """All counts, from one snapshot; pulls of this Label Studio server."""
    with ledger.transaction() as transaction:
        named = queries.named("metrics")
        transaction.run("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        return Counts(
            samples=int(transaction.value(named["samples"])),
            tasks={(row.task_type, row.state): row.n for row in transaction.rows(named["tasks"])},
            open_conflicts=_pairs(transaction, named["conflicts"]),
            locks=_pairs(transaction, named["locks"]),
            pull_ages={row.task_type: row.seconds for row in transaction.rows(named["pulls"], server=server)},
            events=_pairs(transaction, named["events"]) if transaction.value(named["has_events"]) else {},
        )


def _pairs(transaction: Transaction, statement: str) -> dict[str, int]:
    return {row.name: row.n for row in transaction.rows(statement)}
