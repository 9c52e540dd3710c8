"""Refresh: a task that nobody has started shows what its sample is now, in place.

Label Studio is changed first, the ledger after it. Cut off in between, the ledger goes by what the task
showed before: an answer then makes a conflict at worst, and the next refresh does it again. A page that was
opened before a refresh still shows the old content; what was begun before the refresh is therefore judged by
the old base (`earlier_bases`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

from lsloop.config import Push
from lsloop.errors import LsloopError, Refused, Uncertain
from lsloop.labelstudio import answers, tasks
from lsloop.labelstudio.client import LabelStudio
from lsloop.ledger import Ledger, problems, refreshing
from lsloop.ledger.problems import Problem
from lsloop.ledger.refreshing import Stale
from lsloop.records import Claim, Project


class Unmade(Protocol):
    """A task that cannot be made of what its sample is now."""

    @property
    def reason(self) -> str: ...


Made = Callable[[Sequence[Claim], list[str]], Sequence[dict[str, Any] | Unmade]]
"""Makes {"data", "predictions"} of tasks; what had to be left out goes into the list."""


@dataclass
class Refreshed:
    """What a refresh did.

    `started` tasks were left alone because somebody is at them; `problems` were refused.
    """

    refreshed: int = 0
    started: int = 0
    problems: list[str] = field(default_factory=list)


def refresh(ledger: Ledger, studio: LabelStudio, project: Project, made: Made, *, params: Push) -> Refreshed:
    """Bring up to `params.refresh` tasks up to their samples.

    Raises Unreachable; what was done until then is in the ledger.
    """
    done, loading = Refreshed(), timedelta(seconds=params.loading_seconds)
    assert project.ls_project_id is not None
    with ledger.in_turn(f"lsloop refresh {project.project_id}"):
        stale = refreshing.stale(ledger, project, params.refresh)
        if not stale:
            return done
        there = tasks.shown(studio, project.ls_project_id, [task.ls_task_id for task in stale])
        aside, failing = _Aside(project, done), 0
        for task, content in _contents(stale, made, aside):
            if not isinstance(content, dict):
                aside.add(task, content.reason)
                continue
            try:
                old = there.get(task.ls_task_id)
                _refresh(ledger, studio, project.ls_project_id, task, old, content, loading, done)
                failing = 0
            # One task that Label Studio will not take must not keep the others waiting.
            except (Refused, answers.Failing, Uncertain) as trouble:
                if isinstance(trouble, Uncertain) and not trouble.answered:
                    raise
                failing += not isinstance(trouble, Refused)
                if failing == MOST:
                    raise
                aside.add(task, trouble.problem)
        aside.write(ledger, stale)
    return done


MOST = 3
"""Tasks in a row for which Label Studio fails: then it is not they that fail."""


@dataclass
class _Aside:
    """A collector of what could not be refreshed."""

    project: Project
    done: Refreshed
    found: list[Problem] = field(default_factory=list)

    def add(self, task: Stale, why: str) -> None:
        self.done.problems.append(f"task {task.ls_task_id}: {why}")
        sample = task.claim.sample
        self.found.append(
            Problem(
                "refresh", "task", str(task.ls_task_id), why,
                "Mend the sample; the next refresh tries again.",
                self.project.task_type, sample.sample_id, ls_project_id=self.project.ls_project_id,
                ls_task_id=task.ls_task_id, sync_version=sample.sync_version,
            )
        )  # fmt: skip

    def write(self, ledger: Ledger, looked_at: Sequence[Stale]) -> None:
        well = {str(task.ls_task_id) for task in looked_at} - {one.key for one in self.found}
        with ledger.transaction() as transaction:
            problems.clear(transaction, "refresh", "task", well, self.project.task_type)
            problems.set_aside(transaction, self.found)


def _contents(
    stale: Sequence[Stale], made: Made, aside: _Aside
) -> list[tuple[Stale, dict[str, Any] | Unmade]]:
    """What each task is to show.

    Where one cannot be made, the others are all the same.
    """
    try:
        return list(zip(stale, made([task.claim for task in stale], aside.done.problems), strict=True))
    except LsloopError:
        raise
    except Exception as error:  # whatever is in one sample, the others are refreshed
        if len(stale) == 1:
            aside.add(stale[0], f"Its content cannot be made: {error}")
            return []
        middle = len(stale) // 2
        return [*_contents(stale[:middle], made, aside), *_contents(stale[middle:], made, aside)]


def _refresh(
    ledger: Ledger,
    studio: LabelStudio,
    ls_project_id: int,
    task: Stale,
    there: dict[str, Any] | None,
    content: dict[str, Any],
    loading: timedelta,
    done: Refreshed,
) -> None:
    if there is None or there["data"].get(tasks.KEY) != str(task.task_key):
        return  # gone, or its id is another task's now: the next pull finds out
    if any(not a["was_cancelled"] for a in there["annotations"]) or tasks.has_drafts(studio, task.ls_task_id):
        done.started += 1
        return
    _show(studio, ls_project_id, task.ls_task_id, there["predictions"], content["predictions"])
    theirs = {
        k: v for k, v in there["data"].items() if k not in task.moved
    }  # what people put beside ours stays
    changed = tasks.update_data(studio, task.ls_task_id, {**theirs, **content["data"]})
    since = datetime.fromisoformat(changed["updated_at"])
    version = next((p["model_version"] for p in content["predictions"]), None)
    done.refreshed += refreshing.refreshed(ledger, task, version, since=since, until=since + loading)


def _show(
    studio: LabelStudio,
    ls_project_id: int,
    ls_task_id: int,
    there: list[dict[str, Any]],
    wanted: list[dict[str, Any]],
) -> None:
    """Put the pre-annotation in the place of those that are there.

    None of them is deleted.
    """
    new = list(wanted)
    for old in there:
        replacement = (
            new.pop() if new else {"result": [], "model_version": old["model_version"], "score": None}
        )
        tasks.change_prediction(studio, ls_project_id, old["id"], replacement)
    for prediction in new:
        tasks.add_prediction(studio, ls_project_id, ls_task_id, prediction)
