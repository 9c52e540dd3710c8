"""Conflicts: found, decided and undone.

Every decision is one call, one transaction and one line of the audit.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import orjson
from sqlalchemy import Row

from lsloop.errors import Refused
from lsloop.ledger import Ledger, queries
from lsloop.records import Project, Strategy, Value

Status = Literal["open", "resolved", "withdrawn"]


@dataclass(frozen=True)
class Conflict:
    """One dispute about one task's answer, as it stands now.

    `base` and `theirs` are the sample as the annotator was shown it and as it is now; `ours` is the
    annotator's answer. `moved` says of each field in dispute who moved it: `upstream`, or `people`
    through another task. `seen` is the digest of all this: a decision that passes it on is refused when
    either side moved since.
    """

    conflict_id: int
    task_type: str
    external_id: str
    sample_id: UUID
    task_key: UUID
    ls_project_id: int | None
    ls_task_id: int | None
    ls_annotation_id: int
    annotator: str
    fields: list[str]
    moved: dict[str, str]
    base: dict[str, Any]
    ours: Value | None
    theirs: dict[str, Any]
    reads: list[str]
    writes: list[str]
    status: Status
    resolution: Strategy | None
    reason: str
    decided_because: str | None
    actor: str | None
    reflow_sample_id: UUID | None
    created_at: datetime
    resolved_at: datetime | None
    automatic: bool
    tried: str | None
    seen: str
    waits: bool  # the sample is at work in a newer task


@dataclass(frozen=True)
class Filter:
    """A choice of conflicts; None is any."""

    task_type: str | None = None
    field: str | None = None
    status: Status | None = "open"


def find(ledger: Ledger, which: Filter, limit: int | None = None, after: int | None = None) -> list[Conflict]:
    """List conflicts: open ones oldest first, others newest first.

    If the conflict `after` is given, only those that come after it are listed.
    """
    order, beyond = ("ASC", ">") if which.status == "open" else ("DESC", "<")
    page = [] if after is None else [f"c.conflict_id {beyond} :after"]
    statement = (
        f"{queries.named('conflicts')['all']} {_where(which, page)}"
        f" ORDER BY c.conflict_id {order} LIMIT :limit"
    )
    with ledger.transaction() as transaction:
        rows = transaction.rows(statement, **vars(which), limit=limit, after=after)
    return [_conflict(row) for row in rows]


def count(ledger: Ledger, which: Filter) -> int:
    """The number of conflicts that match."""
    tasks = "JOIN tasks t USING (task_key)" if which.task_type else ""
    with ledger.transaction() as transaction:
        return int(
            transaction.value(f"SELECT count(*) FROM conflicts c {tasks} {_where(which)}", **vars(which))
        )


def get(ledger: Ledger, conflict_id: int) -> Conflict:
    """One conflict.

    Raises Refused when there is no such.
    """
    with ledger.transaction() as transaction:
        row = transaction.row(
            f"{queries.named('conflicts')['all']} WHERE c.conflict_id = :id", id=conflict_id
        )
    if row is None:
        raise Refused(
            f"There is no conflict {conflict_id}.",
            "`lsloop conflicts list --status all` shows those there are.",
        )
    return _conflict(row)


def of_annotation(ledger: Ledger, server: str, ls_annotation_id: int) -> list[Conflict]:
    """The conflicts about an annotation of a Label Studio server, newest first.

    Past ones are included.
    """
    statement = f"""{queries.named("conflicts")["all"]}
        WHERE a.server = :server AND a.ls_annotation_id = :id ORDER BY c.conflict_id DESC"""
    with ledger.transaction() as transaction:
        return [_conflict(row) for row in transaction.rows(statement, server=server, id=ls_annotation_id)]


def undecided(ledger: Ledger, project: Project) -> list[Conflict]:
    """Open conflicts that the configured strategy may decide.

    Nobody undid a decision of theirs, and no newer task is at work.
    """
    statement = f"""{queries.named("conflicts")["all"]}
        WHERE c.status = 'open' AND c.automatic AND t.project_id = :project_id AND t.state = 'conflicted'
        ORDER BY c.conflict_id"""
    with ledger.transaction() as transaction:
        return [_conflict(row) for row in transaction.rows(statement, project_id=project.project_id)]


def story(ledger: Ledger, conflict_id: int) -> list[dict[str, Any]]:
    """The history of a conflict: what was done, by whom and why, oldest first."""
    with ledger.transaction() as transaction:
        rows = transaction.rows(queries.named("conflicts")["story"], id=conflict_id)
    return [dict(row._mapping) for row in rows]


def resolve(
    ledger: Ledger,
    conflict: Conflict,
    strategy: Strategy,
    *,
    actor: str,
    reason: str | None = None,
    merged: Value | None = None,
) -> UUID | None:
    """Decide a conflict; for `merged`, `merged` is the value.

    Returns the new sample of `pending_reflow`. Raises Refused when it is not open any more, when either
    side moved since it was read, or when it cannot be decided so.
    """
    value = ", CAST(:value AS jsonb)" if strategy == "merged" else ""
    with ledger.transaction() as transaction:
        found = transaction.value(
            f"SELECT resolve_{strategy}(:id, :actor{value}, p_reason => :reason, p_seen => :seen)",
            id=conflict.conflict_id,
            actor=actor,
            value=orjson.dumps(merged).decode(),
            reason=reason,
            seen=conflict.seen,
        )
    return found if isinstance(found, UUID) else None


def undo(ledger: Ledger, conflict_id: int, *, actor: str, reason: str | None = None) -> Strategy:
    """Take back the decision of a conflict; return which it was.

    Raises Refused when something was built on it.
    """
    with ledger.transaction() as transaction:
        undone: Strategy = transaction.value(
            "SELECT undo_resolution(:id, :actor, :reason)", id=conflict_id, actor=actor, reason=reason
        )
    return undone


def settle(ledger: Ledger, conflict: Conflict) -> None:
    """Settle the task again: nothing may be in dispute any more."""
    with ledger.transaction() as transaction:
        transaction.run("SELECT settle_task(:key)", key=conflict.task_key)


def tried(ledger: Ledger, conflicts: Sequence[Conflict]) -> None:
    """Record that these could not be merged by themselves, as they stand.

    They are not tried again before a side moves.
    """
    if not conflicts:
        return
    with ledger.transaction() as transaction:
        transaction.run(
            """UPDATE conflicts c SET tried = w.seen
               FROM unnest(CAST(:ids AS bigint[]), CAST(:seen AS text[])) w(id, seen)
                WHERE c.conflict_id = w.id""",
            ids=[c.conflict_id for c in conflicts],
            seen=[c.seen for c in conflicts],
        )


def _where(which: Filter, also: Sequence[str] = ()) -> str:
    """The conditions that are asked for, and no others.

    So each question finds its index.
    """
    conditions = {
        "task_type": "t.task_type = :task_type",
        "field": ":field = ANY (c.fields)",
        "status": f"c.status = '{which.status}'",
    }
    asked = [condition for name, condition in conditions.items() if getattr(which, name) is not None]
    return f"WHERE {' AND '.join([*asked, *also])}" if asked or also else ""


def _conflict(row: Row[Any]) -> Conflict:
    return Conflict(**row._mapping)
