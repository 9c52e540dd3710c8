"""Locks: who holds a sample, since when, and for which task."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from lsloop.ledger import Ledger, queries


@dataclass(frozen=True)
class Lock:
    """One live lock with what there is to know of its task.

    Of a lock that belongs to no task, the task's part is None.

    `task_type` None: every one. `answers` counts annotations that were submitted and not skipped. `now`
    is the ledger's time.
    """

    lock_id: int
    external_id: str
    task_type: str | None
    locked_by: str
    locked_at: datetime
    expires_at: datetime | None
    expired: bool | None
    now: datetime
    state: str | None
    task_key: UUID | None
    ls_task_id: int | None
    ls_project_id: int | None
    claimed_by: str | None
    opened_at: datetime | None
    gone_at: datetime | None
    skips: int | None
    overlap: int | None
    conflict_id: int | None
    answers: int


@dataclass(frozen=True)
class Counts:
    """The numbers of live locks.

    They are those bound to tasks, of other owners, and of owners who stopped renewing them.
    """

    bound: int
    elsewhere: int
    expired: int


def held(ledger: Ledger, task_type: str | None = None, limit: int | None = None) -> list[Lock]:
    """Live locks, oldest first; those for every task type belong to each."""
    return _read(ledger, "held", task_type=task_type, limit=limit)


def stale(ledger: Ledger, days: float, task_type: str | None = None, limit: int | None = None) -> list[Lock]:
    """Locks that look forgotten, oldest first.

    They are expired; of a push that was cut off; of a task that nobody answered for `days`; or of a
    conflict whose task is gone from Label Studio.
    """
    return _read(ledger, "stale", days=days, task_type=task_type, limit=limit)


def counts(ledger: Ledger, task_type: str | None = None) -> Counts:
    """The number of live locks, by kind."""
    with ledger.transaction() as transaction:
        row = transaction.row(queries.named("locks")["counts"], task_type=task_type)
    assert row is not None
    return Counts(**row._mapping)


def release(ledger: Ledger, lock_id: int, *, actor: str, reason: str | None = None) -> None:
    """Take a lock from its owner.

    Raises Refused when a task at work needs it, or when nobody holds it.
    """
    with ledger.transaction() as transaction:
        transaction.run("SELECT release_lock(:id, :actor, :reason)", id=lock_id, actor=actor, reason=reason)


def _read(ledger: Ledger, which: str, **values: object) -> list[Lock]:
    statements = queries.named("locks")
    with ledger.transaction() as transaction:
        rows = transaction.rows(f"{statements['of_one']} {statements[which]}", **values)
    return [Lock(**row._mapping) for row in rows]
