"""Events: what Label Studio told, stored before it is answered, and their outcomes."""

import hashlib
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import orjson

from lsloop.ledger import Ledger, queries
from lsloop.values.text import without_nul

CHANNEL = "lsloop_events"
"""Notified by the SQL function store_event."""

SECRETS = ("token", "task_data_password")
"""What Label Studio tells of a project with every event, and nobody needs to keep."""


@dataclass(frozen=True)
class Event:
    """One delivery; `attempts` counts this one."""

    event_id: int
    action: str
    payload: dict[str, Any]
    attempts: int


def store(ledger: Ledger, source_path: str, body: bytes, payload: dict[str, Any]) -> int:
    """Keep what was received, and wake whoever listens; return its number.

    `payload` is `body`, parsed. The same body again, while nobody has looked at it yet, is counted and
    not stored.
    """
    text = orjson.dumps(_without_secrets(payload)).decode()
    return int(
        ledger.call(
            """SELECT store_event(CAST(:path AS text), CAST(:action AS text), CAST(:payload AS jsonb),
                                  CAST(:digest AS text))""",
            path=source_path,
            action=str(payload.get("action", "")).replace("\0", "\ufffd"),
            payload=without_nul(text),
            digest=hashlib.sha256(body).hexdigest(),
        )
    )


def _without_secrets(payload: dict[str, Any]) -> dict[str, Any]:
    project = payload.get("project")
    if not isinstance(project, dict):
        return payload
    return payload | {"project": {name: value for name, value in project.items() if name not in SECRETS}}


def are_due(ledger: Ledger) -> bool:
    """Tell whether an event is due, from any Label Studio."""
    with ledger.transaction() as transaction:
        return bool(transaction.value(queries.named("event")["are_due"]))


def take(ledger: Ledger, limit: int, tries: int, server: str | None = None) -> list[Event]:
    """Take the oldest events that are due, at most `limit`.

    They are due again later unless `finish` is told of them.

    With `server` those from other Label Studios are left to whoever reaches these.
    """
    with ledger.transaction() as transaction:
        rows = transaction.rows(
            "SELECT event_id, action, payload, attempts"
            " FROM take_events(:limit, :tries, CAST(:server AS text))",
            limit=limit,
            tries=tries,
            server=server,
        )
    return [Event(**row._mapping) for row in rows]


def finish(
    ledger: Ledger, event_ids: Collection[int], state: Literal["done", "ignored"], why: str | None = None
) -> None:
    """Close these events: they were looked at, or tell nothing."""
    with ledger.transaction() as transaction:
        transaction.run(
            "SELECT finish_events(CAST(:ids AS bigint[]), CAST(:state AS text), CAST(:why AS text))",
            ids=list(event_ids), state=state, why=why,
        )  # fmt: skip


def postpone(ledger: Ledger, event_ids: Collection[int], why: str, tries: int) -> None:
    """Postpone these events, which could not be looked at.

    They are due again later, or never when that was the last of `tries`.
    """
    with ledger.transaction() as transaction:
        transaction.run(
            "SELECT postpone_events(CAST(:ids AS bigint[]), CAST(:why AS text), CAST(:tries AS integer))",
            ids=list(event_ids), why=why, tries=tries,
        )  # fmt: skip


def retry(ledger: Ledger, actor: str) -> int:
    """Have the events that were given up tried again; return how many."""
    with ledger.transaction() as transaction:
        return int(transaction.value("SELECT retry_events(CAST(:actor AS text))", actor=actor))


def forget(ledger: Ledger, days: float) -> int:
    """Remove events that were settled so many days ago; return how many."""
    with ledger.transaction() as transaction:
        statement = "SELECT forget_events(CAST(:days AS double precision) * interval '1 day')"
        return int(transaction.value(statement, days=days))


def counts(ledger: Ledger) -> dict[str, int]:
    """The number of events in each state, of those that are kept."""
    with ledger.transaction() as transaction:
        row = transaction.row(queries.named("event")["counts"])
    assert row is not None
    return dict(row._mapping)


def recent(ledger: Ledger, limit: int, *, failed: bool = False) -> list[dict[str, Any]]:
    """The newest events, or of those that were given up.

    Each has its number, action, state, attempts, times, and why.
    """
    with ledger.transaction() as transaction:
        rows = transaction.rows(queries.named("event")["recent"], limit=limit, failed=failed)
    return [dict(row._mapping) for row in rows]


def oldest_waiting(ledger: Ledger) -> datetime | None:
    """The time when the longest-waiting event was received; None when none waits."""
    with ledger.transaction() as transaction:
        found: datetime | None = transaction.value(queries.named("event")["oldest"])
    return found


def tasks_of(ledger: Ledger, project_id: int, ls_annotation_ids: Collection[int]) -> dict[int, int]:
    """The tasks of annotations that a project of the ledger has.

    Annotations and tasks are given by Label Studio's numbers.
    """
    with ledger.transaction() as transaction:
        rows = transaction.rows(
            queries.named("event")["tasks_of"], project_id=project_id, ids=list(ls_annotation_ids)
        )
    return {row.ls_annotation_id: row.ls_task_id for row in rows}


def places(ledger: Ledger, server: str, ls_task_ids: Collection[int]) -> dict[int, int]:
    """The numbers and projects of tasks that the ledger knows on a Label Studio server.

    The number is Label Studio's, the project is the ledger's.
    """
    with ledger.transaction() as transaction:
        rows = transaction.rows(queries.named("event")["places"], server=server, ids=list(ls_task_ids))
    return {row.ls_task_id: row.project_id for row in rows}


@contextmanager
def arriving(ledger: Ledger) -> Iterator[Callable[[float], bool]]:
    """Listen for events.

    Gives a function that returns as soon as one was stored, or after so many seconds, and says which of
    the two.
    """
    with ledger.listening(CHANNEL) as wait:
        yield wait
