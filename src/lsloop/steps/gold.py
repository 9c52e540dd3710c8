"""Gold: hold answers to hidden probes to their references.

Whoever falls under the floor is held back.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from lsloop.errors import UsageError
from lsloop.ledger import Transaction
from lsloop.ledger import gold as ledger_gold
from lsloop.records import Project, Value
from lsloop.task_types import Kind


@dataclass
class Examiner:
    """Score the probes of one project.

    `problems` says which references cannot be understood.
    """

    project: Project
    kind: Kind
    window: int
    floor: float
    problems: list[str] = field(default_factory=list)

    def judge(self, transaction: Transaction, keys: Sequence[UUID] | None) -> list[UUID]:
        """Score what is new among these tasks (None: in the whole project).

        Answers the tasks to settle anew for it.
        """
        answers = ledger_gold.unscored(transaction, self.project, self.kind.UNIT, keys)
        ledger_gold.record(transaction, [score for answer in answers if (score := self._scored(answer))])
        concerned = None if keys is None else ledger_gold.annotators_of(transaction, keys)
        if concerned == []:
            return []
        return ledger_gold.review(transaction, self.project.task_type, concerned, self.window, self.floor)

    def is_due(self, transaction: Transaction) -> bool:
        """Return whether all answers to probes are due, not only those that come in.

        They are then looked at again.
        """
        settings = {"window": self.window, "floor": self.floor, "unit": self.kind.UNIT}
        return ledger_gold.is_to_be_examined(transaction, self.project, settings)

    def _scored(self, answer: ledger_gold.Unscored) -> ledger_gold.Score | None:
        try:
            agreed = self.kind.agree(answer.answer, answer.reference)
            errors, total = self.kind.errors(answer.answer, answer.reference)
        except Exception as error:  # whatever a kind makes of a reference, the others are scored
            self.problems.append(f"the gold reference of {answer.external_id} cannot be used: {error}")
            return None
        return ledger_gold.Score(answer, min(max(agreed, 0.0), 1.0), errors, total, self.kind.UNIT)


def check_reference(reference: Value, kinds: Sequence[Kind]) -> None:
    """Raise UsageError unless these kinds write each field of a reference.

    One of the kinds must write the field, and understand the reference.
    """
    writers = [kind for kind in kinds if set(kind.WRITES) & reference.keys()]
    written = {name for kind in writers for name in kind.WRITES}
    if not reference or (unknown := sorted(reference.keys() - written)):
        known = ", ".join(sorted({name for kind in kinds for name in kind.WRITES}))
        what = f"No task type writes {', '.join(unknown)}." if reference else "The reference is empty."
        raise UsageError(what, f"Give a value for one or more of: {known}.")
    for kind in writers:
        try:
            kind.agree(reference, reference)
            kind.errors(reference, reference)
        except Exception as error:  # a kind may meet anything in it
            raise UsageError(
                f"The reference cannot be understood: {error}", "Correct it and run again."
            ) from error
