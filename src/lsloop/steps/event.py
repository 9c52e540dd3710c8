"""Events: what Label Studio tells is where to look, and nothing more.

An event names tasks, or annotations whose tasks the ledger knows. Those tasks are read back from Label
Studio, so that an event that is lost, late, repeated or forged can do no more than cause a read, or not cause
one.
"""

import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lsloop.errors import LsloopError, Unreachable
from lsloop.ledger import Ledger, events, projects
from lsloop.ledger.events import Event
from lsloop.records import Project
from lsloop.secrecy import without_secrets

logger = logging.getLogger(__name__)

ACTIONS = (
    "ANNOTATION_CREATED", "ANNOTATIONS_CREATED", "ANNOTATION_UPDATED", "ANNOTATIONS_DELETED", "TASKS_DELETED",
)  # fmt: skip
"""What is listened to. TASKS_CREATED tells of our own pushes, whose tasks the ledger knows before Label
Studio does."""

BATCH = 500
"""Events that are taken at a time."""

GREATEST = 2**63 - 1  # what PostgreSQL and Label Studio hold as a number of something

Look = Callable[[Project, Collection[int]], object]
"""Bring the ledger up to these tasks of a project. Raises LsloopError."""

Tell = Callable[[Project, Sequence[Mapping[str, Any]]], object]
"""Write down the versions of answers that these payloads tell of. Raises LsloopError."""


@dataclass
class Processed:
    """The numbers of events and tasks that were dealt with.

    These are events that were looked at, ignored and put off, and tasks that were looked at for them.
    """

    done: int = 0
    ignored: int = 0
    postponed: int = 0
    tasks: int = 0


@dataclass(frozen=True)
class Named:
    """The numbers in Label Studio that an event names."""

    project: int | None = None
    tasks: frozenset[int] = frozenset()
    annotations: frozenset[int] = frozenset()


@dataclass
class _Wanted:
    """What to look at in one project: task → the events that name it."""

    project: Project
    tasks: dict[int, dict[int, Event]] = field(default_factory=dict)

    def add(self, event: Event, ls_task_ids: Iterable[int]) -> None:
        for ls_task_id in ls_task_ids:
            self.tasks.setdefault(ls_task_id, {})[event.event_id] = event

    @property
    def events(self) -> dict[int, Event]:
        return {number: event for named in self.tasks.values() for number, event in named.items()}


def named(action: str, payload: Mapping[str, Any]) -> Named:
    """What an event names, whatever its shape.

    Nothing for actions that are not listened to.
    """
    if action not in ACTIONS:
        return Named(_number(payload.get("project")))
    given = _list(payload.get("annotation"))
    tasks = [one.get("task") for one in given if isinstance(one, dict)]
    tasks += [*_list(payload.get("task")), *_list(payload.get("tasks"))]
    gone = _list(payload.get("annotations"))
    return Named(_number(payload.get("project")), _numbers(tasks), _numbers(gone))


def process(
    ledger: Ledger, server: str, look: Look, tell: Tell = lambda project, payloads: None, *, tries: int
) -> Processed:
    """Look at what the events that are due name, until none is due.

    A task that many of them name is looked at once. Then what they told is written down: it may be all that
    is left of an answer that was edited or deleted since. Events from other Label Studios than `server` are
    left to whoever reaches these.

    What cannot be looked at is tried again later, up to `tries` times. Raises Unreachable when PostgreSQL is
    away.
    """
    total = Processed()
    while taken := events.take(ledger, BATCH, tries, server):
        places = {one.ls_project_id: one for one in projects.of_server(ledger, server)}
        wanted = _wanted(ledger, server, places, taken, total)
        for one in wanted:
            _look(ledger, one, _Way(look, tell), tries, total)
    return total


@dataclass(frozen=True)
class _Way:
    """What is done with events."""

    look: Look
    tell: Tell


def _wanted(
    ledger: Ledger,
    server: str,
    places: Mapping[int | None, Project],
    taken: Sequence[Event],
    total: Processed,
) -> list[_Wanted]:
    """Find what to look at, by project.

    Events that name nothing of ours are ended here.
    """
    by_project: dict[int, _Wanted] = {}
    ignored: dict[str, list[int]] = {}
    for event in taken:
        found = _tasks(ledger, server, places, event)
        if isinstance(found, str):
            ignored.setdefault(found, []).append(event.event_id)
            continue
        for project, ls_task_ids in found:
            by_project.setdefault(project.project_id, _Wanted(project)).add(event, ls_task_ids)
    for why, ids in ignored.items():
        events.finish(ledger, ids, "ignored", why)
        total.ignored += len(ids)
    return list(by_project.values())


def _tasks(
    ledger: Ledger, server: str, places: Mapping[int | None, Project], event: Event
) -> Sequence[tuple[Project, Collection[int]]] | str:
    """The tasks that an event names, by project; or why there are none."""
    if event.action not in ACTIONS:
        return "not an action that is listened to"
    told = named(event.action, event.payload)
    if told.project is None:  # as a webhook of the whole organisation tells of deleted tasks
        of = events.places(ledger, server, told.tasks)
        by_id = {project.project_id: project for project in places.values()}
        found = [(by_id[number], [t for t in of if of[t] == number]) for number in set(of.values())]
        return found or "it names no project, and no task that the ledger knows"
    project = places.get(told.project)
    if project is None:
        return f"Label Studio's project {told.project} is not ours"
    ids = told.tasks | set(events.tasks_of(ledger, project.project_id, told.annotations).values())
    return [(project, ids)] if ids else "it names nothing that the ledger has"


def _look(ledger: Ledger, wanted: _Wanted, way: _Way, tries: int, total: Processed) -> None:
    """Look at all tasks of a project at once.

    When that fails for another reason than a service that is away, they are looked at one by one.
    """
    trouble = _try(way.look, wanted.project, list(wanted.tasks))
    total.tasks += len(wanted.tasks)
    if trouble is None:
        _tell(ledger, wanted.project, wanted.events, way, tries, total)
    elif isinstance(trouble, Unreachable) or len(wanted.tasks) == 1:
        _postpone(ledger, wanted.events, trouble, tries, total)
    else:
        _look_one_by_one(ledger, wanted, way, tries, total)


def _look_one_by_one(ledger: Ledger, wanted: _Wanted, way: _Way, tries: int, total: Processed) -> None:
    """Look one by one, so that a task that cannot be taken in keeps no other out."""
    failed: dict[int, tuple[Event, Exception]] = {}
    for ls_task_id, naming in wanted.tasks.items():
        trouble = _try(way.look, wanted.project, [ls_task_id])
        if trouble is not None:
            failed |= {number: (event, trouble) for number, event in naming.items()}
    for number, (event, trouble) in failed.items():
        _postpone(ledger, {number: event}, trouble, tries, total)
    looked = {n: e for n, e in wanted.events.items() if n not in failed}
    _tell(ledger, wanted.project, looked, way, tries, total)


def _tell(
    ledger: Ledger, project: Project, looked: Mapping[int, Event], way: _Way, tries: int, total: Processed
) -> None:
    """Write down what events told; where that fails, event by event."""
    if _try(way.tell, project, [event.payload for event in looked.values()]) is None:
        _done(ledger, looked, total)
        return
    for number, event in looked.items():
        trouble = _try(way.tell, project, [event.payload])
        if trouble is None:
            _done(ledger, {number: event}, total)
        else:
            _postpone(ledger, {number: event}, trouble, tries, total)


def _try(do: Callable[[Project, Any], object], project: Project, what: Sequence[Any]) -> Exception | None:
    try:
        do(project, what)
    except LsloopError as error:
        return error
    except Exception as error:  # whatever one task holds, the others are looked at
        logger.exception("looking at tasks of %s failed", project.task_type)
        return error
    return None


def _done(ledger: Ledger, done: Mapping[int, Event], total: Processed) -> None:
    events.finish(ledger, list(done), "done")
    total.done += len(done)


def _postpone(
    ledger: Ledger, late: Mapping[int, Event], why: Exception, tries: int, total: Processed
) -> None:
    words = why.problem if isinstance(why, LsloopError) else f"{type(why).__name__}: {why}"
    events.postpone(ledger, list(late), without_secrets(words), tries)
    total.postponed += len(late)


def _list(given: Any) -> list[Any]:
    """The list of what Label Studio gives, be it one thing or several."""
    return given if isinstance(given, list) else [] if given is None else [given]


def _numbers(given: Iterable[Any]) -> frozenset[int]:
    return frozenset(number for one in given if (number := _number(one)) is not None)


def _number(given: Any) -> int | None:
    """The number of a thing, given as such or as an object with an id.

    None for anything else.
    """
    found = given.get("id") if isinstance(given, dict) else given
    return found if type(found) is int and 0 < found <= GREATEST else None
