"""The values that models gave, and the right ones, as the ledger has both."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from lsloop.ledger import Ledger, queries
from lsloop.records import Value

Against = Literal["accepted", "gold", "ground-truth"]
"""What is taken for right: what people accepted and still stands, gold references, or what was marked as
ground truth."""


@dataclass(frozen=True)
class Reference:
    """The right value of a sample."""

    sample_id: UUID
    external_id: str
    group_key: str | None
    reference: Value


def references(ledger: Ledger, task_type: str, writes: Sequence[str], against: Against) -> list[Reference]:
    """The right values of a task type, oldest sample first."""
    asked = queries.named("accuracy")[against.replace("-", "_")]
    with ledger.transaction() as transaction:
        rows = transaction.rows(asked, task_type=task_type, writes=list(writes))
    return [Reference(**row._mapping) for row in rows]


def predicted(
    ledger: Ledger, task_type: str, reads: Sequence[str], version: str | None = None
) -> dict[str, dict[UUID, Value]]:
    """The last value that each model version gave to each sample as it is now.

    The answer is version → sample → value.
    """
    asked = queries.named("accuracy")["predictions"]
    found: dict[str, dict[UUID, Value]] = {}
    with ledger.transaction() as transaction:
        for row in transaction.rows(asked, task_type=task_type, reads=list(reads), version=version):
            found.setdefault(row.model_version, {})[row.sample_id] = row.value
    return found
