"""Write tasks into the ledger.

What the ledger cannot take is found by halving, and set aside; the rest is in.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from lsloop.errors import LsloopError, Refused, Unfit
from lsloop.ledger import Ledger, annotations, problems
from lsloop.ledger.problems import Problem
from lsloop.records import Project, Task
from lsloop.steps.annotation import storable
from lsloop.steps.annotation.reader import LOOK, Reader

OF_THE_DATA = (Refused, Unfit, ValueError, TypeError, RecursionError, OverflowError)
"""What is wrong with what was to be written, and not with whoever should take it."""


@dataclass
class Writer:
    """Brings the ledger up to pages of tasks."""

    ledger: Ledger
    project: Project
    judge: annotations.Judge
    reader: Reader
    dry_run: bool = False

    def write(self, found: Sequence[Task], aside: list[Problem], asked: int) -> annotations.Received:
        """Write tasks down, and what was set aside of their page.

        Raises Unreachable.
        """
        received = annotations.Received()
        ours = [task for task in found if task.task_key is not None]
        self._write(ours, aside, asked, received)
        if not self.dry_run:
            self._note(found, aside)
        return received

    def _note(self, found: Sequence[Task], aside: Sequence[Problem]) -> None:
        taken = {str(task.ls_task_id) for task in found} - {one.key for one in aside}
        with self.ledger.transaction() as transaction:
            problems.clear(transaction, "pull", "task", taken, self.project.task_type)
            problems.set_aside(transaction, list({one.key: one for one in aside}.values()))

    def forget(self, ls_task_ids: Collection[int]) -> None:
        """Forget what was set aside of these tasks, which are gone."""
        if ls_task_ids and not self.dry_run:
            with self.ledger.transaction() as transaction:
                problems.clear(
                    transaction, "pull", "task", {str(n) for n in ls_task_ids}, self.project.task_type
                )

    def _write(
        self, found: Sequence[Task], aside: list[Problem], asked: int, received: annotations.Received
    ) -> None:
        try:
            received.include(self._receive(found, asked))
        except OF_THE_DATA as error:
            if len(found) == 1:
                self._alone(found[0], error, aside, asked, received)
            elif found:
                middle = len(found) // 2
                self._write(found[:middle], aside, asked, received)
                self._write(found[middle:], aside, asked, received)

    def _alone(
        self, task: Task, error: Exception, aside: list[Problem], asked: int, received: annotations.Received
    ) -> None:
        """Write down a task that cannot be written as it is.

        It is written once more, without one of its answers, without all, or not at all. It is set aside in
        any case, so that the next pull tries it whole.
        """
        why = error.problem if isinstance(error, LsloopError) else f"{type(error).__name__}: {error}"
        kept = [storable.aside(a, f"The ledger cannot take it. {why}") for a in task.annotations]
        each = [
            (*task.annotations[:n], kept[n], *task.annotations[n + 1 :])
            for n in range(len(kept))
            if len(kept) > 1
        ]
        for variant in [task.annotations, *each, tuple(kept)]:
            try:
                received.include(self._receive([replace(task, annotations=variant)], asked))
            except OF_THE_DATA:
                continue
            if variant is task.annotations:
                return
            break
        aside.append(
            self.reader.problem(task.ls_task_id, f"The ledger cannot take it. {storable.as_text(why)}", LOOK)
        )
        self.reader.pulled.problems.append(f"task {task.ls_task_id}: {storable.as_text(why)}")

    def _receive(self, found: Sequence[Task], asked: int) -> annotations.Received:
        return annotations.receive(
            self.ledger, self.project, found, asked=asked, judge=self.judge, dry_run=self.dry_run
        )
