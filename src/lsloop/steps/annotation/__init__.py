"""Pull: what people did in Label Studio comes into the ledger.

All of it comes in, and once, however often it is asked for. Tasks that changed since the cursor are read in
the order of their ids, each with the full set of its annotations. So are those that the ledger has not seen
as they are, whatever their moment of change says (overlooked.py). The cursor moves only when the last of them
is committed. Deleted tasks say nothing of themselves: they show in the count, and a sweep of the ids finds
them. Of two reads of a task that one is newer which was asked for after the other was written down; no clock
is asked.

A look takes some tasks by their ids through the same path: what an event says is never believed, only looked
at.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import timedelta
from uuid import UUID

from lsloop.config import Pull
from lsloop.errors import Entangled
from lsloop.labelstudio import tasks
from lsloop.labelstudio.client import LabelStudio
from lsloop.labelstudio.keyset import Page
from lsloop.ledger import Ledger, annotations, projects
from lsloop.ledger import tasks as ledger_tasks
from lsloop.records import Project
from lsloop.steps.annotation.keyless import put_back
from lsloop.steps.annotation.offering import offer_again
from lsloop.steps.annotation.overlooked import Lookout
from lsloop.steps.annotation.reader import Pulled, Reader
from lsloop.steps.annotation.telling import tell
from lsloop.steps.annotation.writing import Writer
from lsloop.task_types import Kind
from lsloop.values.text import counted

__all__ = ["Pulled", "Reader", "look", "offer_again", "pull", "tell"]

TRIES = 5
"""How often a task is read again that others are at, too: a worker's look is short, and there is one at a
time."""

AGAIN = 20
"""Tasks that a pull tries again which others had to set aside."""


def pull(
    ledger: Ledger,
    studio: LabelStudio,
    project: Project,
    kind: Kind,
    *,
    params: Pull,
    judge: annotations.Judge,
    full: bool = False,
    dry_run: bool = False,
    expect: Callable[[int], None] = lambda total: None,
    advance: Callable[[int], None] = lambda done: None,
    waiting: Callable[[], None] = lambda: None,
    meet_twins: Callable[[Sequence[tuple[UUID, int]]], object] = lambda twins: None,
    prove: Callable[[], object] = lambda: None,
) -> Pulled:
    """Bring the ledger up to the Label Studio project.

    With `full` every task is read, not only those that changed. `meet_twins` is given (key, id) of the tasks
    that are there a second time. `prove` raises where it is not certain that this is the project: then
    nothing follows from what is not there. Raises Unreachable; what was received until then is in the ledger,
    and the cursor has not moved.
    """
    with ledger.in_turn(f"lsloop pull {project.project_id}", waiting):
        pulled, there = Pulled(), _there(project)
        reader = Reader(ledger, studio, project, kind, pulled)
        writer = Writer(ledger, project, judge, reader, dry_run)
        taking = _Taking(ledger, studio, project, reader, writer, params.batch)
        lookout = Lookout(
            ledger, studio, project, there, projects.read(ledger, project, params.overlap_seconds),
            tasks.newest(studio, there), timedelta(seconds=params.overlap_seconds), params.batch,
        )  # fmt: skip
        for pages in lookout.parts(everything=full):
            taking.take(taking.unread(pages) if dry_run else pages, expect, advance)
        taking.take_again()
        if not dry_run:
            meet_twins(pulled.received.twins)
            pulled.noticed += put_back(studio, there, pulled.keyless)
            pulled.gone = _sweep(ledger, studio, project, prove, always=full)
            projects.advance(ledger, project, lookout.cursor, lookout.compared_to)
    return pulled


def look(
    ledger: Ledger,
    studio: LabelStudio,
    project: Project,
    kind: Kind,
    ls_task_ids: Collection[int],
    *,
    params: Pull,
    judge: annotations.Judge,
    prove: Callable[[], object] = lambda: None,
) -> Pulled:
    """Bring the ledger up to these tasks, whatever the project's cursor says.

    Idempotent. A task that Label Studio has no more is gone, when `prove` finds that this is still the
    project. Raises Unreachable.
    """
    pulled, seen = Pulled(), set[int]()
    known = ledger_tasks.known_of(ledger, project, ls_task_ids)
    reader = Reader(ledger, studio, project, kind, pulled)
    taking = _Taking(ledger, studio, project, reader, Writer(ledger, project, judge, reader), params.batch)
    taking.take(_noting(tasks.of_ids(studio, _there(project), sorted(ls_task_ids), params.batch), seen))
    pulled.noticed += put_back(studio, _there(project), pulled.keyless)
    missing = {ls_task_id: key for ls_task_id, key in known.items() if ls_task_id not in seen}
    if missing:
        prove()
        pulled.gone = ledger_tasks.gone_from(ledger, project, missing)
    return pulled


def _noting(pages: Iterator[Page], seen: set[int]) -> Iterator[Page]:
    for page in pages:
        seen.update(task["id"] for task in page.tasks)
        yield page


@dataclass
class _Taking:
    """Pages are understood and written down, one while the next is read."""

    ledger: Ledger
    studio: LabelStudio
    project: Project
    reader: Reader
    writer: Writer
    batch: int
    read: set[int] = field(default_factory=set)
    told: int = 0  # tasks of which `advance` was told, of so many that `expect` was told of
    total: int = 0

    def take(
        self,
        pages: Iterator[Page],
        expect: Callable[[int], None] = lambda total: None,
        advance: Callable[[int], None] = lambda done: None,
    ) -> None:
        """Write all pages down, and read again what somebody else wrote down meanwhile.

        Raises Entangled where that goes on and on.
        """
        overtaken: list[int] = []
        for _ in range(TRIES):
            overtaken = []
            for page, received in self._both_at_once(pages):
                if self.told + page.remaining > self.total:  # each part knows only its own
                    self.total = self.told + page.remaining
                    expect(self.total)
                self.read.update(task["id"] for task in page.tasks)
                self.reader.pulled.received.include(received)
                overtaken += received.overtaken
                advance(len(page.tasks))
                self.told += len(page.tasks)
            if not overtaken:
                return
            pages = tasks.of_ids(self.studio, _there(self.project), sorted(set(overtaken)), self.batch)
        many = counted(len(overtaken), "task")
        raise Entangled(
            f"{many} changed in the ledger each time they were read from Label Studio.", "Run it again."
        )

    def unread(self, pages: Iterator[Page]) -> Iterator[Page]:
        """The pages without what was read already.

        Each part of a pull is what the ledger has otherwise; in a dry run, which writes nothing, the earlier
        parts are that, too.
        """
        for page in pages:
            new = [task for task in page.tasks if task["id"] not in self.read]
            yield replace(page, tasks=new, remaining=page.remaining - len(page.tasks) + len(new))

    def due_again(self) -> list[int]:
        """Some of the tasks that were set aside and not read by this pull.

        Those that waited longest come first.
        """
        return ledger_tasks.set_aside(self.ledger, self.project, AGAIN, except_for=self.read)

    def take_again(self) -> None:
        """Try again what was set aside.

        What is there no more is no problem any more.
        """
        due = self.due_again()
        self.take(tasks.of_ids(self.studio, _there(self.project), due, self.batch))
        self.writer.forget(set(due) - self.read)

    def _both_at_once(self, pages: Iterator[Page]) -> Iterator[tuple[Page, annotations.Received]]:
        """Understand one page and write it down while the next one is read."""
        with ThreadPoolExecutor(max_workers=1) as line:
            writing: tuple[Page, Future[annotations.Received]] | None = None
            for asked, page in self._asked(pages):
                if writing:
                    yield writing[0], writing[1].result()
                writing = (page, line.submit(self._taken, page, asked))
            if writing:
                yield writing[0], writing[1].result()

    def _asked(self, pages: Iterator[Page]) -> Iterator[tuple[int, Page]]:
        """Each page with the number drawn before Label Studio was asked for it."""
        while True:
            asked = annotations.begin_read(self.ledger)
            page = next(pages, None)
            if page is None:
                return
            yield asked, page

    def _taken(self, page: Page, asked: int) -> annotations.Received:
        found, aside = self.reader.understood(page)
        return self.writer.write(found, aside, asked)


def _there(project: Project) -> int:
    assert project.ls_project_id is not None
    return project.ls_project_id


def _sweep(
    ledger: Ledger, studio: LabelStudio, project: Project, prove: Callable[[], object], *, always: bool
) -> int:
    """End the tasks that are gone from Label Studio; answer how many.

    It reads all ids, so it is done only when the counts differ.
    """
    expected = ledger_tasks.count_expected(ledger, project)
    if not always and tasks.count(studio, _there(project)) == expected:
        return 0
    missing, foreign = ledger_tasks.known(ledger, project), 0
    for ids in tasks.ids(studio, _there(project)):
        for ls_task_id in ids:
            foreign += missing.pop(ls_task_id, None) is None
    if missing:
        prove()
    ledger_tasks.swept(ledger, project, foreign)
    return ledger_tasks.gone(ledger, list(missing.values()))
