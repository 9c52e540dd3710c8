"""What became of tasks whose push was cut off: adopted, sent again, and rid of a second one of them."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from uuid import UUID

from lsloop.labelstudio import tasks
from lsloop.labelstudio.client import LabelStudio
from lsloop.ledger import Ledger, Turn
from lsloop.ledger import tasks as ledger_tasks
from lsloop.records import Project
from lsloop.steps.task.sending import Pushed


def in_turn(
    ledger: Ledger, project: Project, waiting: Callable[[], None] = lambda: None
) -> AbstractContextManager[Turn]:
    """Whoever sends tasks to a project, or removes twins from it, does so alone."""
    return ledger.in_turn(f"lsloop push {project.project_id}", waiting)


def reconcile(
    ledger: Ledger, studio: LabelStudio, project: Project, pushed: Pushed, *, settle: float
) -> list[UUID]:
    """Find out what became of tasks whose push was cut off: adopt what arrived, remove twins; answers what to send.

    A request without an answer may still be at work in Label Studio for `settle` seconds after it was sent; until then
    what is not there yet may come.
    """
    assert project.ls_project_id is not None
    doubtful = ledger_tasks.doubtful(ledger, project)
    sent = [task for task in doubtful if task.sent]
    ended = {task.task_key for task in doubtful if task.ended}
    found = _arrivals(studio, project.ls_project_id, sent, settle)
    adopted = {
        task.task_key: min(found[task.task_key]) for task in sent if task.claimed and task.task_key in found
    }
    ledger_tasks.opened(ledger, project, adopted)
    pushed.adopted += len(adopted)
    twins = {key: ids for key, ids in found.items() if len(ids) > 1 or key in ended}
    for done in (remove_twins(ledger, studio, project, twins), remove_needless(ledger, studio, project)):
        pushed.removed += done.removed
        pushed.kept += done.kept
    return [task.task_key for task in doubtful if task.claimed and task.task_key not in adopted]


def _arrivals(
    studio: LabelStudio, ls_project_id: int, sent: Sequence[ledger_tasks.Doubtful], settle: float
) -> dict[UUID, list[int]]:
    """The ids that Label Studio has for each key, once all are there or nothing more can come."""
    if not sent:
        return {}
    started = time.monotonic()
    patience = max((settle - (task.age or 0) for task in sent if task.claimed), default=0.0)
    while True:
        found = _by_key(tasks.find_by_key(studio, ls_project_id, [str(task.task_key) for task in sent]))
        if time.monotonic() - started >= patience or all(task.task_key in found for task in sent):
            return found
        time.sleep(_POLL)


_POLL = 0.5  # seconds


@dataclass(frozen=True)
class Removed:
    """How many tasks were removed; `kept` says which were not, because somebody has begun to answer them."""

    removed: int = 0
    kept: list[str] = field(default_factory=list)


def remove_twins(
    ledger: Ledger, studio: LabelStudio, project: Project, twins: Mapping[UUID, Sequence[int]]
) -> Removed:
    """Of the tasks that Label Studio has under a key, keep one.

    A task that somebody has answered or begun is never removed; the one that stays is an answered one if there is any,
    else one that was begun.
    """
    assert project.ls_project_id is not None
    ids = [ls_task_id for group in twins.values() for ls_task_id in group]
    if not ids:
        return Removed()
    there = tasks.fetch(studio, project.ls_project_id, ids)
    answered = {task["id"] for task in there if task["annotations"]}
    begun = tasks.begun(studio, project.ls_project_id, ids)
    extra: dict[int, UUID] = {}
    for key, group in twins.items():
        stays = min(group, key=lambda each: (each not in answered, each not in begun, each))
        ledger_tasks.keep(ledger, project, key, stays)
        extra |= {each: key for each in group if each != stays and each not in answered}
    return _removed(studio, project.ls_project_id, extra)


def remove_needless(ledger: Ledger, studio: LabelStudio, project: Project) -> Removed:
    """Take tasks that nobody needs any more out of Label Studio, unless somebody has answered or begun them."""
    assert project.ls_project_id is not None
    needless = ledger_tasks.needless(ledger, project)
    if not needless:
        return Removed()
    done = _removed(studio, project.ls_project_id, needless)
    left = tasks.find_by_key(studio, project.ls_project_id, [str(key) for key in needless.values()])
    ledger_tasks.gone(ledger, list(set(needless.values()) - _by_key(left).keys()))
    return done


def _removed(studio: LabelStudio, ls_project_id: int, needless: Mapping[int, UUID]) -> Removed:
    """Delete tasks, by id and key, that nobody is or was at."""
    ids = list(needless)
    removed = tasks.delete_unanswered(studio, ls_project_id, ids, sorted({str(key) for key in needless.values()}))
    begun = tasks.begun(studio, ls_project_id, ids) if removed < len(ids) else set()
    return Removed(removed, [_KEPT.format(ls_task_id) for ls_task_id in sorted(begun)])


_KEPT = (
    "task {} in Label Studio is a second one of its sample, and stays because somebody has begun to answer it: "
    "once that is submitted or deleted, run again"
)


def remove_seen_twins(
    ledger: Ledger, studio: LabelStudio, project: Project, seen: Sequence[tuple[UUID, int]]
) -> Removed:
    """Remove the second tasks that a pull came across, as `remove_twins` does, when no push is at work."""
    assert project.ls_project_id is not None
    keys = sorted({str(key) for key, _ in seen})
    if not keys:
        return Removed()
    with in_turn(ledger, project):
        twins = _by_key(tasks.find_by_key(studio, project.ls_project_id, keys))
        return remove_twins(ledger, studio, project, twins)


def _by_key(found: Iterable[tuple[int, str]]) -> dict[UUID, list[int]]:
    ids: dict[UUID, list[int]] = {}
    for ls_task_id, key in found:
        ids.setdefault(UUID(key), []).append(ls_task_id)
    return ids
