"""Settle tasks that several annotators answered.

The most central of answers that agree is accepted; of those that do not, somebody decides.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from lsloop.ledger import Ledger, Transaction, quality
from lsloop.ledger import consensus as ledger_consensus
from lsloop.records import Value
from lsloop.task_types import Kind
from lsloop.values import agreement

Level = Literal["nominal", "ordinal"]


@dataclass(frozen=True)
class Jury:
    """Compare the answers of several annotators to one task.

    From `threshold` on they agree.
    """

    kind: Kind
    threshold: float

    def judge(self, transaction: Transaction, keys: Sequence[UUID]) -> Sequence[UUID]:
        """Compare the answers of those of these tasks that have enough of them.

        No other task is touched.
        """
        found = ledger_consensus.undecided(transaction, keys, self.threshold)
        ledger_consensus.record(transaction, [self._verdict(task) for task in found], self.threshold)
        return ()

    def _verdict(self, task: ledger_consensus.Undecided) -> ledger_consensus.Verdict:
        try:
            agreed = agreement.mean_pairwise(task.said, self.kind.agree)
            central = agreement.most_central(task.said, self.kind.agree)
        except (
            Exception
        ):  # what a kind cannot compare does not agree: somebody decides, and other tasks are not held up
            agreed, central = 0.0, 0
        share = 1.0 if agreed is None else min(max(agreed, 0.0), 1.0)
        remarks = sorted((_remarks(said, self.kind.WRITES) for said in task.said), key=repr)
        return ledger_consensus.Verdict(task, share, task.annotation_ids[central], remarks)


def _remarks(said: Value, writes: Sequence[str]) -> dict[str, Any]:
    """What was ticked and rated beside the answer.

    Words are left out: they cannot be compared as categories.
    """
    return {
        name: said[name] for name in sorted(said) if name not in writes and isinstance(said[name], list | int)
    }


@dataclass(frozen=True)
class Remark:
    """The agreement of annotators in a remark beside the answer.

    It is Krippendorff's alpha over `tasks` with several answers. `alpha` is None where all answers are alike:
    there is nothing to tell agreement from habit by.
    """

    task_type: str
    remark: str
    level: Level
    tasks: int
    alpha: float | None


def remarks(ledger: Ledger, task_type: str | None = None) -> list[Remark]:
    """Every flag that anybody ticked, every rating that two people gave to one task."""
    given = quality.remarks(ledger, task_type)
    ticked = {
        (row["task_type"], name, flag)
        for row in given
        for said in row["remarks"]
        for name, value in said.items()
        if isinstance(value, list)
        for flag in value
        if isinstance(flag, str)
    }
    rated = {
        (row["task_type"], name)
        for row in given
        for said in row["remarks"]
        for name, value in said.items()
        if isinstance(value, int)
    }
    found = [_ticked(given, *which) for which in sorted(ticked)] + [
        _rated(given, *which) for which in sorted(rated)
    ]
    return [remark for remark in found if remark.tasks]


def _ticked(given: list[dict[str, Any]], task_type: str, name: str, flag: str) -> Remark:
    units = []
    for row in given:
        answers = [said[name] for said in row["remarks"] if name in said and row["task_type"] == task_type]
        ticks = sum(flag in answer for answer in answers)
        units.append(([len(answers) - ticks, ticks], row["times"]))
    return _remark(task_type, f"{name}: {flag}", "nominal", units)


def _rated(given: list[dict[str, Any]], task_type: str, name: str) -> Remark:
    units = []
    for row in given:
        stars = [said[name] for said in row["remarks"] if name in said and row["task_type"] == task_type]
        units.append(([stars.count(star) for star in range(1, 6)], row["times"]))
    return _remark(task_type, name, "ordinal", units)


def _remark(task_type: str, name: str, level: Level, units: list[tuple[list[int], int]]) -> Remark:
    shared = [(counts, times) for counts, times in units if sum(counts) > 1]
    return Remark(task_type, name, level, sum(times for _, times in shared), agreement.alpha(shared, level))
