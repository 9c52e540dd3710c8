"""Problems: what steps set aside, each with its reason.

The steps could not take these things; the rest of the batch went on.
"""

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal
from uuid import UUID

import orjson

from lsloop.ledger import Ledger, Transaction, queries
from lsloop.values.text import without_nul

Step = Literal["ingest", "push", "pull", "refresh", "events", "predict", "export", "retrain", "backup"]
Subject = Literal["line", "sample", "annotation", "task", "event", "file"]

LONGEST = 2000  # characters of a reason that are kept


@dataclass(frozen=True)
class Problem:
    """One thing that a step left out.

    `key` is its id as text; `sync_version` and `digest` say what it was then.
    """

    step: Step
    subject: Subject
    key: str
    reason: str
    fix: str = ""
    task_type: str = ""
    sample_id: UUID | None = None
    annotator: str = ""
    ls_project_id: int | None = None
    ls_task_id: int | None = None
    sync_version: int | None = None
    digest: str = ""


def set_aside(transaction: Transaction, found: Sequence[Problem]) -> None:
    """Write down what was left out.

    What was left out before keeps when it was first seen, and counts one more.
    """
    if found:
        rows = [asdict(one) | {"reason": one.reason[:LONGEST]} for one in found]
        transaction.run("SELECT set_aside(CAST(:rows AS jsonb))", rows=_json(rows))


def clear(
    transaction: Transaction, step: Step, subject: Subject, keys: Collection[str], task_type: str = ""
) -> int:
    """Clear what was taken now; return how many had been set aside."""
    if not keys:
        return 0
    return transaction.run(
        """DELETE FROM problems WHERE step = :step AND subject = :subject AND task_type = :task_type
              AND key = ANY (CAST(:keys AS text[]))""",
        step=step, subject=subject, task_type=task_type, keys=list(keys),
    )  # fmt: skip


def keep_only(
    transaction: Transaction, step: Step, subject: Subject, keys: Collection[str], task_type: str = ""
) -> int:
    """Keep only these problems of a run.

    The run looked at everything, and these are all that it left out. Returns how many others were
    cleared.
    """
    return transaction.run(
        """DELETE FROM problems WHERE step = :step AND subject = :subject AND task_type = :task_type
              AND NOT key = ANY (CAST(:keys AS text[]))""",
        step=step, subject=subject, task_type=task_type, keys=list(keys),
    )  # fmt: skip


def listed(
    ledger: Ledger,
    *,
    task_type: str | None = None,
    annotator: str | None = None,
    sample: str | None = None,
    step: str | None = None,
    limit: int | None = None,
) -> tuple[list[dict[str, Any]], int]:
    """The things set aside, the latest first, and how many there are altogether.

    `sample` is an external id or a sample id. With a task type also what concerns every task type.
    """
    with ledger.transaction() as transaction:
        rows = transaction.rows(
            queries.named("problems")["listed"],
            task_type=task_type, annotator=annotator, sample=sample, step=step, limit=limit,
        )  # fmt: skip
    found = [dict(row._mapping) for row in rows]
    total = int(found[0]["total"]) if found else 0
    return [{name: value for name, value in one.items() if name != "total"} for one in found], total


def counts(transaction: Transaction) -> dict[str, int]:
    """The number of things set aside, by step."""
    return {row.step: row.number for row in transaction.rows(queries.named("problems")["counts"])}


def _json(rows: list[dict[str, Any]]) -> str:
    storable = [{name: _storable(value) for name, value in row.items()} for row in rows]
    return without_nul(orjson.dumps(storable, default=str).decode())


def _storable(value: Any) -> Any:
    """Escape each half of a UTF-16 pair, which is no text in PostgreSQL."""
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value
