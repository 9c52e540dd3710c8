"""Several annotators: which tasks have answers to compare, and the results."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from lsloop.ledger import Transaction
from lsloop.records import Value


@dataclass(frozen=True)
class Undecided:
    """A task with enough answers, which nobody has compared.

    `answers` is their digest, `said` what they say.
    """

    task_key: UUID
    answers: str
    annotation_ids: list[int]
    said: list[Value]


@dataclass(frozen=True)
class Verdict:
    """The agreement of a task's answers.

    It says how far they agree, which of them is closest to the others, and what was remarked beside
    them.
    """

    task: Undecided
    agreement: float
    annotation_id: int
    remarks: list[dict[str, Any]]


def undecided(transaction: Transaction, keys: Sequence[UUID], threshold: float) -> list[Undecided]:
    """Those of these tasks whose answers are to be compared."""
    rows = transaction.rows(
        """SELECT task_key, answers, annotation_ids, answer_values AS said
             FROM undecided_tasks(CAST(:keys AS uuid[]), :threshold)""",
        keys=list(keys), threshold=threshold,
    )  # fmt: skip
    return [Undecided(**row._mapping) for row in rows]


def record(transaction: Transaction, verdicts: Sequence[Verdict], threshold: float) -> None:
    """Write verdicts down.

    Each holds for the answers it was made of, and for no others.
    """
    transaction.run(
        """INSERT INTO consensus AS c (task_key, answers, agreement, threshold, annotation_id, remarks)
           SELECT v.task_key, v.answers, v.agreement, :threshold, v.annotation_id, v.remarks
             FROM unnest(CAST(:keys AS uuid[]), CAST(:answers AS text[]),
                         CAST(:agreements AS double precision[]),
                         CAST(:chosen AS bigint[]), CAST(:remarks AS jsonb[]))
                  v(task_key, answers, agreement, annotation_id, remarks)
           ON CONFLICT (task_key) DO UPDATE SET answers = excluded.answers, agreement = excluded.agreement,
              threshold = excluded.threshold, annotation_id = excluded.annotation_id,
              remarks = excluded.remarks,
              decided_at = now()""",
        threshold=threshold, keys=[v.task.task_key for v in verdicts],
        answers=[v.task.answers for v in verdicts],
        agreements=[v.agreement for v in verdicts], chosen=[v.annotation_id for v in verdicts],
        remarks=[json.dumps(v.remarks, ensure_ascii=False) for v in verdicts],
    )  # fmt: skip
