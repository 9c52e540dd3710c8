"""Rounds of `lsloop loop`: which one comes next, its parts, and people's progress."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from lsloop.ledger import Ledger, Turn, queries
from lsloop.records import Value


@dataclass(frozen=True)
class Round:
    """One round: `number` of the `of_rounds` of its series.

    `parts` are those done, by name, with what came of each.
    """

    round_id: int
    task_type: str
    series: int
    number: int
    of_rounds: int
    wanted: dict[str, Any]
    started_by: str
    started_at: datetime
    resumed: int
    parts: dict[str, dict[str, Any]]
    ended_at: datetime | None


@dataclass(frozen=True)
class People:
    """The progress of the people.

    Since a round began: tasks sent, probes among them not counted, and answers accepted. Now: tasks
    that wait for people, and those of them that wait for an adjudication which was not sent yet.
    """

    sent: int
    probes: int
    accepted: int
    open: int
    disputed: int


@contextmanager
def only_one(ledger: Ledger, task_type: str) -> Iterator[Turn | None]:
    """The right to run rounds of a task type, across all machines.

    None when somebody else has it.
    """
    with ledger.turn_if_free(f"lsloop loop {task_type}") as turn:
        yield turn


def begin(turn: Turn, task_type: str, rounds: int, wanted: Mapping[str, Any], started_by: str) -> Round:
    """Begin the round that was left off, or the next one."""
    with turn.transaction() as transaction:
        round_id = transaction.value(
            """SELECT begin_round(CAST(:task_type AS text), CAST(:rounds AS integer), CAST(:wanted AS jsonb),
                                  CAST(:by AS text))""",
            task_type=task_type, rounds=rounds, wanted=orjson.dumps(dict(wanted)).decode(), by=started_by,
        )  # fmt: skip
        row = transaction.row(queries.named("rounds")["rounds"], round_id=round_id, series=None)
    assert row is not None
    return Round(**row._mapping)


def record(turn: Turn, at: Round, name: str, part: Mapping[str, Any]) -> None:
    """Write down that a part is done.

    Raises Unreachable when the turn was lost, Refused when the round has ended.
    """
    with turn.transaction() as transaction:
        transaction.run(
            "SELECT record_round_part(CAST(:id AS bigint), CAST(:name AS text), CAST(:part AS jsonb))",
            id=at.round_id, name=name, part=orjson.dumps(dict(part)).decode(),
        )  # fmt: skip


def end(turn: Turn, at: Round, *, is_last: bool) -> None:
    """End a round; with `is_last` its series, too."""
    with turn.transaction() as transaction:
        transaction.run(
            "SELECT end_round(CAST(:id AS bigint), CAST(:last AS boolean))", id=at.round_id, last=is_last
        )


def of_series(ledger: Ledger, series: int) -> list[Round]:
    """The rounds of a series, in order."""
    with ledger.transaction() as transaction:
        rows = transaction.rows(queries.named("rounds")["rounds"], round_id=None, series=series)
    return [Round(**row._mapping) for row in rows]


def people(ledger: Ledger, at: Round) -> People:
    """The progress of the people."""
    with ledger.transaction() as transaction:
        row = transaction.row(queries.named("rounds")["progress"], round_id=at.round_id)
    assert row is not None
    return People(**row._mapping)


def answers(ledger: Ledger, at: Round) -> list[tuple[Value, Value]]:
    """The model's proposal and the answer that somebody made of it, per task answered.

    The tasks are those of the round.
    """
    with ledger.transaction() as transaction:
        rows = transaction.rows(queries.named("rounds")["answers"], round_id=at.round_id)
    return [(row.shown, row.given) for row in rows]
