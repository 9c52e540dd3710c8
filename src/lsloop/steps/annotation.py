"""Pull: what people did in Label Studio comes into the ledger, all of it, once, however often it is asked for.

Tasks that changed since the cursor are read in the order of their ids, each with the full set of its annotations. So are
those of an overlap before the cursor that the ledger has not seen as they are: a slow transaction there may commit behind
it. The cursor moves, in Label Studio's time, only when the last of them is committed. Deleted tasks say nothing of
themselves: they show in the count, and a sweep of the ids finds them.

A look takes some tasks by their ids through the same path: what an event says is never believed, only looked at.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import quote
from uuid import UUID

from lsloop.config import Pull
from lsloop.labelstudio import people, tasks
from lsloop.labelstudio.client import LabelStudio
from lsloop.labelstudio.keyset import Page, TaskJson
from lsloop.ledger import Ledger, annotations, projects
from lsloop.ledger import tasks as ledger_tasks
from lsloop.records import Annotation, Project, Task
from lsloop.task_types import Kind


@dataclass
class Pulled:
    """What a pull brought, and what followed.

    `read` tasks had changed, `foreign` ones are not ours, `gone` ones were deleted there, `parked` ones were skipped too
    often, `refreshed` ones show what their samples are now; `not_refreshed` says why others do not. `links` were
    renewed; `not_renewed` says why others were not. `kept` says which needless tasks stay for now, because somebody has
    begun to answer them. `decided`: conflicts that the settings decided, by strategy. `training`: the one that so many
    accepted annotations called for. `noticed`: what people changed by hand. `keyless`: tasks whose key was taken
    out of their data, by id.
    """

    read: int = 0
    foreign: int = 0
    gone: int = 0
    problems: list[str] = field(default_factory=list)
    decided: dict[str, int] = field(default_factory=dict)
    parked: int = 0
    refreshed: int = 0
    not_refreshed: list[str] = field(default_factory=list)
    links: int = 0
    not_renewed: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    noticed: list[str] = field(default_factory=list)
    keyless: dict[int, UUID] = field(default_factory=dict)
    received: annotations.Received = field(default_factory=annotations.Received)
    training: int | None = None


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
    """Bring the ledger up to the Label Studio project. With `full` every task is read, not only those that changed.

    `meet_twins` is given (key, id) of the tasks that are there a second time. `prove` raises where it is not certain that
    this is the project: then nothing follows from what is not there. Raises Unreachable; what was received
    until then is in the ledger, and the cursor has not moved.
    """
    with ledger.in_turn(f"lsloop pull {project.project_id}", waiting):
        pulled = Pulled()
        write = partial(annotations.receive, ledger, project, judge=judge, dry_run=dry_run)
        take = partial(_take_in, _Reader(studio, project, kind, pulled, ledger), write, expect=expect, advance=advance)

        if full or project.cursor is None:
            began = take(tasks.changed(studio, _there(project), None, params.batch))
        else:
            overlap = project.cursor - timedelta(seconds=params.overlap_seconds), project.cursor
            in_overlap = tasks.count_between(studio, _there(project), *overlap)
            began = in_overlap.server_time
            take(tasks.changed(studio, _there(project), project.cursor, params.batch))
            take(_late(ledger, studio, project, overlap, in_overlap.remaining, params.batch))
        if not dry_run:
            meet_twins(pulled.received.twins)
            _put_back(studio, project, pulled)
            pulled.gone = _sweep(ledger, studio, project, prove, always=full)
            if began is not None:
                projects.advance(ledger, project, began)
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
    """Bring the ledger up to these tasks of the Label Studio project, whatever its cursor says. Idempotent.

    A task that Label Studio has no more is gone, when `prove` finds that this is still the project. Raises Unreachable.
    """
    pulled, seen = Pulled(), set[int]()
    known = ledger_tasks.known_of(ledger, project, ls_task_ids)
    write = partial(annotations.receive, ledger, project, judge=judge)
    pages = tasks.of_ids(studio, _there(project), sorted(ls_task_ids), params.batch)
    _take_in(_Reader(studio, project, kind, pulled, ledger), write, _noting(pages, seen))
    _put_back(studio, project, pulled)
    missing = {ls_task_id: key for ls_task_id, key in known.items() if ls_task_id not in seen}
    if missing:
        prove()
        pulled.gone = ledger_tasks.gone_from(ledger, project, missing)
    return pulled


def _noting(pages: Iterator[Page], seen: set[int]) -> Iterator[Page]:
    for page in pages:
        seen.update(task["id"] for task in page.tasks)
        yield page


def _take_in(
    reader: "_Reader",
    write: Callable[[list[Task]], annotations.Received],
    pages: Iterator[Page],
    *,
    expect: Callable[[int], None] = lambda total: None,
    advance: Callable[[int], None] = lambda done: None,
) -> datetime | None:
    """Write all pages down; answers Label Studio's time at the first, None where there was none."""
    began = None
    for page, received in _both_at_once(reader, pages, write):
        if began is None:
            began = page.server_time
            expect(page.remaining)
        reader.pulled.received.include(received)
        advance(len(page.tasks))
    return began


def _there(project: Project) -> int:
    assert project.ls_project_id is not None
    return project.ls_project_id


def _late(
    ledger: Ledger,
    studio: LabelStudio,
    project: Project,
    overlap: tuple[datetime, datetime],
    there: int,
    batch: int,
) -> Iterator[Page]:
    """The tasks last updated in the overlap that the ledger does not have as they are.

    `there` of them were counted before anything else was read. When as many stand just as the ledger has seen them,
    none is new: two requests then do for what would be read again whole.
    """
    seen = ledger_tasks.seen_between(ledger, project, *overlap)
    if tasks.count_as_seen(studio, _there(project), seen, salt=str(overlap)) == there:
        return
    now = tasks.moments_between(studio, _there(project), *overlap)
    differing = [ls_task_id for ls_task_id, moment in now.items() if seen.get(ls_task_id) != moment]
    yield from tasks.of_ids(studio, _there(project), differing, batch)


def _both_at_once(
    reader: "_Reader", pages: Iterator[Page], write: Callable[[list[Task]], annotations.Received]
) -> Iterator[tuple[Page, annotations.Received]]:
    """Understand one page and write it down while the next one is read."""

    def taken_in(page: Page) -> annotations.Received:
        return write(reader.understood(page))

    with ThreadPoolExecutor(max_workers=1) as line:
        writing: tuple[Page, Future[annotations.Received]] | None = None
        for page in pages:
            if writing:
                yield writing[0], writing[1].result()
            writing = (page, line.submit(taken_in, page))
        if writing:
            yield writing[0], writing[1].result()


class _Reader:
    """Turns Label Studio's tasks into records, with the values that the task type understands."""

    def __init__(
        self, studio: LabelStudio, project: Project, kind: Kind, pulled: Pulled, ledger: Ledger | None = None
    ) -> None:
        assert project.label_config is not None
        self._ledger = ledger
        self.project = project
        self.pulled = pulled
        self._studio, self._kind, self._config = studio, kind, project.label_config
        self._names: Mapping[int, str] = {}

    def understood(self, page: Page) -> list[Task]:
        """The tasks of a page that are ours."""
        keyless = _keyless(self._ledger, self.project, page.tasks) if self._ledger else {}
        self.pulled.keyless |= keyless
        found = [self._task(task, keyless.get(task["id"])) for task in page.tasks]
        self.pulled.read += len(found)
        self.pulled.foreign += sum(task.task_key is None for task in found)
        return found

    def _task(self, task: TaskJson, key: UUID | None) -> Task:
        given = (self._annotation(a) for a in task["annotations"])
        return Task(int(task["id"]), key or _key(task["data"]), _moment(task["updated_at"]), tuple(given))

    def _annotation(self, a: Mapping[str, Any]) -> Annotation:
        value, problem = None, None
        if not a["was_cancelled"]:
            try:
                value = self._kind.from_result(a["result"], self._config)
            except ValueError as error:
                problem = str(error)
                self.pulled.problems.append(f"annotation {a['id']} of task {a['task']}: {problem}")
        return Annotation(
            ls_annotation_id=int(a["id"]),
            annotator=self._annotator(a["completed_by"]),
            result=a["result"],
            value=value,
            problem=problem,
            was_cancelled=bool(a["was_cancelled"]),
            ground_truth=bool(a["ground_truth"]),
            lead_time=a["lead_time"],
            created_at=_moment(a["created_at"]),
            updated_at=_moment(a["updated_at"]),
        )

    def _annotator(self, completed_by: Any) -> str:
        """The annotator's e-mail address; people are asked for again when a new one turns up."""
        number = completed_by["id"] if isinstance(completed_by, dict) else completed_by
        if number is None:
            return "unknown"
        if number not in self._names:
            self._names = people.names(self._studio)
        return self._names.get(number, f"user {number}")


def _key(data: Mapping[str, Any]) -> UUID | None:
    try:
        return UUID(str(data.get(tasks.KEY)))
    except ValueError:
        return None


def _keyless(ledger: Ledger, project: Project, page: Sequence[TaskJson]) -> dict[int, UUID]:
    """Our tasks whose key people took out of their data, or changed: known by their number and by what else is in it.

    The number alone does not tell: on SQLite, Label Studio gives the numbers of deleted tasks to new ones.
    """
    told = {int(task["id"]): _key(task["data"]) for task in page}
    data = {int(task["id"]): task["data"] for task in page}
    found = ledger_tasks.under_other_keys(ledger, project, told)
    return {one.ls_task_id: one.task_key for one in found if _shows(data[one.ls_task_id], one)}


def _shows(data: Mapping[str, Any], recorded: ledger_tasks.Recorded) -> bool:
    """Whether a task's data is about the sample that was sent under its number."""
    if data.get("sample_id") is not None:
        return str(data["sample_id"]) == str(recorded.sample_id)
    link = quote(recorded.media_path) if recorded.media_path else None
    return link is not None and any(link in value for value in data.values() if isinstance(value, str))


def _put_back(studio: LabelStudio, project: Project, pulled: Pulled) -> None:
    """Give tasks whose key was taken out of their data the key again."""
    there = tasks.shown(studio, _there(project), list(pulled.keyless)) if pulled.keyless else {}
    for ls_task_id, task in there.items():
        tasks.update_data(studio, ls_task_id, {**task["data"], tasks.KEY: str(pulled.keyless[ls_task_id])})
        pulled.noticed.append(f"task {ls_task_id} had lost its {tasks.KEY}, by hand; it was put back into its data")


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _sweep(
    ledger: Ledger, studio: LabelStudio, project: Project, prove: Callable[[], object], *, always: bool
) -> int:
    """End the tasks that are gone from Label Studio; answers how many. Reads all ids, so only when the counts differ."""
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
