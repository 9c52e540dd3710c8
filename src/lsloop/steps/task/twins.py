"""What became of tasks whose push was cut off.

They are adopted, sent again, and a second one of them is put away.
"""

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from uuid import UUID

from lsloop.labelstudio import tasks
from lsloop.labelstudio.client import LabelStudio
from lsloop.labelstudio.keyset import TaskJson
from lsloop.ledger import Ledger, Turn
from lsloop.ledger import tasks as ledger_tasks
from lsloop.records import Project
from lsloop.steps.task.sending import Pushed


def in_turn(
    ledger: Ledger, project: Project, waiting: Callable[[], None] = lambda: None
) -> AbstractContextManager[Turn]:
    """Let whoever sends tasks to a project, or puts twins away in it, do so alone."""
    return ledger.in_turn(_turn(project), waiting)


def _turn(project: Project) -> str:
    return f"lsloop push {project.project_id}"


def reconcile(
    ledger: Ledger, studio: LabelStudio, project: Project, pushed: Pushed, *, settle: float
) -> list[UUID]:
    """Find out what became of tasks whose push was cut off; answer what to send.

    It adopts what arrived, and puts twins away. A request without an answer may still be at work in Label
    Studio for `settle` seconds after it was sent; until then what is not there yet may come.
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
    for done in (
        put_away_twins(ledger, studio, project, twins), put_away_needless(ledger, studio, project),
    ):  # fmt: skip
        pushed.put_away += done.count
        pushed.kept += done.kept
    return [task.task_key for task in doubtful if task.claimed and task.task_key not in adopted]


def _arrivals(
    studio: LabelStudio, ls_project_id: int, sent: Sequence[ledger_tasks.Doubtful], settle: float
) -> dict[UUID, list[int]]:
    """The ids that Label Studio has for each key.

    It waits until all are there or nothing more can come.
    """
    if not sent:
        return {}
    started = time.monotonic()
    # PostgreSQL's clock may have been put back since: then a request is as old as one can be that was sent
    # just now.
    patience = max((settle - max(task.age or 0, 0) for task in sent if task.claimed), default=0.0)
    while True:
        found = _by_key(tasks.find_by_key(studio, ls_project_id, [str(task.task_key) for task in sent]))
        if time.monotonic() - started >= patience or all(
            task.task_key in found for task in sent if task.claimed
        ):
            return found
        time.sleep(_POLL)


_POLL = 0.5  # seconds


@dataclass(frozen=True)
class PutAway:
    """The number of tasks that were taken out of people's way.

    `kept` says which were not, because somebody has begun them.
    """

    count: int = 0
    kept: list[str] = field(default_factory=list)


def put_away_twins(
    ledger: Ledger, studio: LabelStudio, project: Project, twins: Mapping[UUID, Sequence[int]]
) -> PutAway:
    """Give people one of the tasks that Label Studio has under a key.

    Which one: one that was answered if there is any, else one that was begun. What was answered or begun
    stays as it is, and nothing is ever deleted: whoever has a page open may submit it in this very moment,
    and what comes counts.
    """
    assert project.ls_project_id is not None
    ids = [ls_task_id for group in twins.values() for ls_task_id in group]
    if not ids:
        return PutAway()
    there = tasks.place(studio, project.ls_project_id, ids)
    begun = tasks.begun(studio, project.ls_project_id, ids)
    second: dict[int, UUID] = {}
    for key, group in twins.items():
        present = [each for each in group if each in there]
        if present:
            stays = min(present, key=lambda each: (not _answered(there[each]), each not in begun, each))
            ledger_tasks.keep(ledger, project, key, stays)
            second |= {each: key for each in present if each != stays}
    done = _put_away(ledger, studio, project, second, there, begun, _SECOND)
    _bring_back(ledger, studio, project)
    return done


def put_away_needless(ledger: Ledger, studio: LabelStudio, project: Project) -> PutAway:
    """Take tasks that nobody needs any more out of people's way.

    Those that somebody has begun stay.
    """
    assert project.ls_project_id is not None
    _bring_back(ledger, studio, project)
    needless = ledger_tasks.needless(ledger, project)
    if not needless:
        return PutAway()
    there = tasks.place(studio, project.ls_project_id, list(needless))
    begun = tasks.begun(studio, project.ls_project_id, list(needless))
    return _put_away(ledger, studio, project, needless, there, begun, _NEEDLESS)


_SECOND = "a second copy of a task: one answer is enough"
_NEEDLESS = "what it asks for was decided, or is asked for by another task"


def _answered(task: TaskJson) -> bool:
    return bool(task["total_annotations"] or task["cancelled_annotations"])


def _put_away(
    ledger: Ledger,
    studio: LabelStudio,
    project: Project,
    needless: Mapping[int, UUID],
    there: Mapping[int, TaskJson],
    begun: Collection[int],
    why: str,
) -> PutAway:
    """Put away those of these tasks that nobody has answered or begun.

    They are given by id and key; it is written down before it is done.
    """
    ours = {
        i: key for i, key in needless.items() if i in there and there[i]["data"].get(tasks.KEY) == str(key)
    }
    idle = {i: key for i, key in ours.items() if i not in begun and not _answered(there[i])}
    ledger_tasks.put_away(ledger, project, idle)
    visible = [i for i in idle if not tasks.is_put_away(there[i])]
    for ls_task_id in visible:
        tasks.put_away(studio, there[ls_task_id], why)
    return PutAway(len(visible), [_KEPT.format(i) for i in sorted(ours) if i in begun])


_KEPT = (
    "task {} in Label Studio is a second one of its sample, and people see it because somebody has begun "
    "to answer it: once that is submitted or deleted, run again"
)


def _bring_back(ledger: Ledger, studio: LabelStudio, project: Project) -> None:
    """Give people tasks again that were put away and are needed after all.

    Nothing else comes back. Label Studio gives them out again by itself when the number of annotations that a
    project needs is changed.
    """
    assert project.ls_project_id is not None
    hidden = ledger_tasks.hidden(ledger, project)
    if not hidden:
        return
    ids = [task.ls_task_id for task in hidden]
    there, present = (
        tasks.place(studio, project.ls_project_id, ids),
        tasks.present(studio, project.ls_project_id, ids),
    )
    for task in hidden:
        found = there.get(task.ls_task_id)
        if found is None and task.ls_task_id in present:
            continue  # it cannot be listed now; nothing is known of it
        if found is None or found["data"].get(tasks.KEY) != str(task.task_key):
            ledger_tasks.not_hidden(ledger, project, task.ls_task_id)
        elif task.is_needed:
            tasks.bring_back(studio, found, task.overlap)
            ledger_tasks.not_hidden(ledger, project, task.ls_task_id)
        elif not tasks.is_put_away(found) and not _answered(found):
            tasks.put_away(studio, found, found["data"].get(tasks.NOT_NEEDED, _NEEDLESS))


def put_away_seen_twins(
    ledger: Ledger,
    studio: LabelStudio,
    project: Project,
    seen: Sequence[tuple[UUID, int]],
    *,
    wait: bool = True,
) -> PutAway:
    """Do what `put_away_twins` does with the second tasks that a pull came across.

    It does so when no push is at work. While one is, wait for it, or leave them as they are for now.
    """
    assert project.ls_project_id is not None
    keys = sorted({str(key) for key, _ in seen})
    if not keys:
        return PutAway()
    turn = in_turn(ledger, project) if wait else ledger.turn_if_free(_turn(project))
    with turn as mine:
        if mine is None:
            return PutAway()
        twins = _by_key(tasks.find_by_key(studio, project.ls_project_id, keys))
        return put_away_twins(ledger, studio, project, twins)


def _by_key(found: Iterable[tuple[int, str]]) -> dict[UUID, list[int]]:
    ids: dict[UUID, list[int]] = {}
    for ls_task_id, key in found:
        ids.setdefault(UUID(key), []).append(ls_task_id)
    return ids
