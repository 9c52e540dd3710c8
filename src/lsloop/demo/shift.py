"""Working day of annotators in Label Studio.

They take open tasks, listen, submit, skip, and think again later.

Everything goes through Label Studio's API as each annotator's own account, as their browsers would do it.
"""

import secrets
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit
from uuid import UUID

from lsloop.demo.annotators import Annotator, Intent, as_edited, intent, seconds
from lsloop.labelstudio import client, keyset, people, tasks
from lsloop.labelstudio.client import LabelStudio
from lsloop.labelstudio.keyset import TaskJson
from lsloop.records import Result, Sample
from lsloop.task_types import Kind


@dataclass(frozen=True)
class Desk:
    """Annotator at work: their account's connection, and the job of all of them."""

    annotator: Annotator
    studio: LabelStudio
    kind: Kind
    config: str


@dataclass(frozen=True)
class Crew:
    """Crew of annotators.

    Those at the desks take turns; the lead decides what they disagree on, and does what they left.
    """

    desks: Sequence[Desk]
    lead: Desk

    @property
    def everybody(self) -> Sequence[Desk]:
        return [*self.desks, self.lead]

    def asked(self, task: TaskJson) -> Sequence[Desk]:
        """List who is asked for a task, in this order."""
        if task["data"]["candidates"]:
            return [self.lead]
        first = int(clip(task)[-5:]) % len(self.desks)
        return [*self.desks[first:], *self.desks[:first], self.lead]


@dataclass(frozen=True)
class Submission:
    """Annotation as its annotator last left it.

    `text` is None where the task was skipped.
    """

    external_id: str
    task_key: UUID
    sample_id: str
    ls_annotation_id: int
    annotator: str
    intent: Intent
    result: Result
    text: str | None
    deleted: bool = False

    @property
    def place(self) -> tuple[UUID, int]:
        """Identify the annotation.

        Label Studio on SQLite gives the number of a deleted one to another one.
        """
        return self.task_key, self.ls_annotation_id


def standing(submitted: Iterable[Submission]) -> list[Submission]:
    """Return the last version of each annotation.

    Those that were skipped or deleted are left out.
    """
    last = {one.place: one for one in submitted}.values()
    return [one for one in last if one.text is not None and not one.deleted]


def sign_up(admin: LabelStudio, annotators: Sequence[Annotator], kind: Kind, config: str) -> list[Desk]:
    """Give each annotator an account and a connection of their own.

    Close them after use.
    """
    return [Desk(one, _sign_up(admin, one), kind, config) for one in annotators]


def _sign_up(admin: LabelStudio, annotator: Annotator) -> LabelStudio:
    token = people.add_annotator(admin, annotator.email, secrets.token_urlsafe(16))
    return client.connect(admin.url, token)


def seen(studio: LabelStudio, ls_project_id: int) -> list[TaskJson]:
    """All tasks of a project with all that an annotator may see of them, by clip."""
    pages = keyset.pages(studio, ls_project_id, [], 500, {"fields": "all"})
    return sorted((task for page in pages for task in page.tasks), key=clip)


def clip(task: Mapping[str, Any]) -> str:
    """Name the clip that a task plays.

    The annotator knows it by listening.
    """
    return PurePosixPath(unquote(urlsplit(task["data"]["audio"]).path)).stem


def work(
    crew: Crew,
    open_tasks: Iterable[TaskJson],
    said: Mapping[str, str],
    done: Sequence[Submission],
    *,
    for_good: bool = False,
    advance: Callable[[], None] = lambda: None,
) -> list[Submission]:
    """Give each task the answers that it lacks.

    `done`: what was submitted before; `for_good`: without second thoughts.
    """
    new: list[Submission] = []
    for task in open_tasks:
        before = [one for one in (*done, *new) if one.external_id == clip(task)]
        new += _answers(crew, task, said[clip(task)], before, for_good)
        advance()
    return new


def _answers(
    crew: Crew, task: TaskJson, said: str, before: Collection[Submission], for_good: bool
) -> Iterator[Submission]:
    lacking = task["overlap"] - task["total_annotations"]
    for desk in crew.asked(task):
        own = {one.task_key for one in before if one.annotator == desk.annotator.email}
        if lacking > 0 and _key(task) not in own:
            one = _answer(desk, task, intent(desk.annotator, clip(task), said, len(own)), for_good)
            lacking -= one.text is not None
            yield one


def _key(task: TaskJson) -> UUID:
    return UUID(task["data"][tasks.KEY])


def _answer(desk: Desk, task: TaskJson, plan: Intent, for_good: bool) -> Submission:
    text = plan.final if for_good else plan.first
    shown = task["predictions"][0] if task["predictions"] else {"id": None, "result": []}
    result = [] if plan.skip else _result(desk, task["data"]["sample_id"], shown["result"], text)
    made = tasks.annotate(
        desk.studio,
        task["id"],
        result,
        lead_time=seconds(task["data"]["text"], text),
        was_cancelled=plan.skip,
        parent_prediction=shown["id"],
    )
    ids = (_key(task), task["data"]["sample_id"], made["id"])
    return Submission(clip(task), *ids, desk.annotator.email, plan, result, None if plan.skip else text)


def _result(desk: Desk, sample_id: str, shown: Result, text: str) -> Result:
    (field,) = desk.kind.WRITES
    return as_edited(shown, desk.kind.to_result({field: text}, desk.config, Sample(UUID(sample_id), "")))


def think_again(crew: Crew, done: Iterable[Submission]) -> list[Submission]:
    """Have some annotators correct what they submitted, and some take it back.

    Returns what changed, as it is now.
    """
    at = {desk.annotator.email: desk for desk in crew.everybody}
    return [_change(at[one.annotator], one) for one in done if one.intent.afterthought]


def _change(desk: Desk, was: Submission) -> Submission:
    if was.intent.afterthought == "delete":
        tasks.delete_annotation(desk.studio, was.ls_annotation_id)
        return replace(was, deleted=True)
    text = was.intent.final
    result = _result(desk, was.sample_id, was.result, text)
    tasks.update_annotation(desk.studio, was.ls_annotation_id, result=result)
    return replace(was, result=result, text=text)
