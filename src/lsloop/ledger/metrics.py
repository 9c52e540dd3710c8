"""Counts for a monitor: few, cheap, and with no names but task types and states."""

from dataclasses import dataclass

from lsloop.ledger import Ledger, Transaction, queries


@dataclass(frozen=True)
class Counts:
    """The whole ledger in numbers.

    `tasks` are by (task type, state); `pull_ages` are in seconds since the last pull.

    `event_wait` is how long, in seconds, the oldest event has waited that nobody has looked at.
    """

    samples: int
    tasks: dict[tuple[str, str], int]
    open_conflicts: dict[str, int]
    locks: dict[str, int]
    pull_ages: dict[str, float]
    events: dict[str, int]
    event_wait: float


def read(ledger: Ledger, server: str) -> Counts:
    """All counts, from one snapshot.

    Pulls are those of this Label Studio server.
    """
    with ledger.transaction() as transaction:
        named = queries.named("metrics")
        transaction.run("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        events = transaction.row(named["events"])
        assert events is not None
        return Counts(
            samples=int(transaction.value(named["samples"])),
            tasks={(row.task_type, row.state): row.n for row in transaction.rows(named["tasks"])},
            open_conflicts=_pairs(transaction, named["conflicts"]),
            locks=_pairs(transaction, named["locks"]),
            pull_ages={row.task_type: row.seconds for row in transaction.rows(named["pulls"], server=server)},
            events={"waiting": events.waiting, "given_up": events.given_up},
            event_wait=events.wait,
        )


def _pairs(transaction: Transaction, statement: str) -> dict[str, int]:
    return {row.name: row.n for row in transaction.rows(statement)}
