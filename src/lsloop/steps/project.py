"""Setup: the Label Studio project of a task type, made once, found again, and checked for drift."""

import time
from dataclasses import dataclass, field
from typing import Any

from lsloop import task_types
from lsloop.config import TaskType
from lsloop.errors import LsloopError, Refused, Skipped, Unreachable, UsageError
from lsloop.labelstudio import interface, projects, webhooks
from lsloop.labelstudio.client import LabelStudio
from lsloop.ledger import Ledger
from lsloop.ledger import projects as ledger_projects
from lsloop.ledger import tasks as ledger_tasks
from lsloop.records import Project
from lsloop.task_types import Kind
from lsloop.text import counted


@dataclass
class Setup:
    """What was found or made. `drift` says what differs from the settings and was left or put right.

    `no_events` says why Label Studio does not tell what people do; empty when it does.
    """

    project: Project
    created: bool = False
    drift: list[str] = field(default_factory=list)
    no_events: str = ""


@dataclass(frozen=True)
class Wanted:
    """What the project of a task type should be. `ls_project_id` is set when the environment names the project.

    A request to make it may be at work in Label Studio for `settle` seconds after it was sent.
    """

    task_type: str
    settings: TaskType
    label_config: str
    server: str
    ls_project_id: int | None = None
    settle: float = 0


def setup(
    ledger: Ledger, studio: LabelStudio, wanted: Wanted, kind: Kind, *, recreate: bool = False
) -> Setup:
    """Make or verify the Label Studio project of a task type. Idempotent, also when it was cut off before.

    Raises UsageError when the label config (the template, or the one in Label Studio after a change by hand) does not
    fit the task type, when a named project does not exist, or when the project is gone: with `recreate` its open tasks
    are then ended, so that their samples can be sent again, and a new one is made.
    """
    _check_fits(wanted.label_config, kind, f"The template of {wanted.task_type}", "Correct the template.")
    with ledger.in_turn(f"lsloop setup {wanted.task_type} {wanted.server}"):
        project = ledger_projects.reserve(ledger, wanted.task_type, wanted.server)
        there = _find(ledger, studio, project, wanted, recreate)
        created = there is None
        there = there or _create(ledger, studio, project, wanted)
        found = Setup(project, created)
        found.drift += _remove_second(ledger, studio, project, there["id"])
        config = _agreed_config(studio, project, there, wanted, kind, found.drift)
        if there["maximum_annotations"] != wanted.settings.overlap:
            projects.set_overlap(studio, there["id"], wanted.settings.overlap)
            found.drift += (
                []
                if created
                else [f"overlap was {there['maximum_annotations']}, now {wanted.settings.overlap}"]
            )
        found.project = ledger_projects.bind(ledger, project, there["id"], config)
    return found


def register_webhook(
    ledger: Ledger, studio: LabelStudio, found: Setup, wanted: webhooks.Webhook, *, verify: bool
) -> None:
    """Have Label Studio tell what people do. Without `verify`, only when it was not asked to tell it there before.

    That it refuses is no error: pulls bring everything.
    """
    if found.project.webhook_url == wanted.url and not verify:
        return
    assert found.project.ls_project_id is not None
    with ledger.in_turn(f"lsloop webhook {found.project.project_id}"):
        try:
            found.drift += webhooks.register(studio, found.project.ls_project_id, wanted)
        except LsloopError as error:
            found.no_events = f"{error.problem} {error.fix}"
            if isinstance(error, Unreachable):
                return  # the next one asks again
        ledger_projects.tell_webhook(ledger, found.project, wanted.url)


def inspect(
    ledger: Ledger, studio: LabelStudio, wanted: Wanted, kind: Kind, hook: webhooks.Webhook | None
) -> str:
    """Whether template, project and webhook of a task type are as they should be; changes nothing.

    Raises UsageError where they do not, Refused where the project is gone or asks for another number of answers, and
    Skipped where there is none yet.
    """
    _check_fits(wanted.label_config, kind, f"The template of {wanted.task_type}", "Correct the template.")
    project = ledger_projects.find(ledger, wanted.task_type, wanted.server)
    ls_project_id = wanted.ls_project_id or (project.ls_project_id if project else None)
    if ls_project_id is None:
        raise Skipped("the template fits; there is no project yet", "`lsloop setup` makes it.")
    there = projects.get(studio, ls_project_id)
    if there is None:
        raise Refused(
            f"Label Studio has no project {ls_project_id}.", "Look at it with `lsloop setup`, which says what to do."
        )
    current = str(there["label_config"])
    where = f"The label config of Label Studio's project {ls_project_id}"
    _check_fits(current, kind, where, "Put the control back in Label Studio (Settings → Labeling Interface).")
    if there["maximum_annotations"] != wanted.settings.overlap:
        asked = f"Project {ls_project_id} asks for {counted(there['maximum_annotations'], 'answer')}, params.yaml for"
        raise Refused(f"{asked} {wanted.settings.overlap}.", "`lsloop setup` puts it right.")
    if hook and (differs := webhooks.drift(studio, ls_project_id, hook)):
        raise Refused(
            f"The webhook of project {ls_project_id}: {'; '.join(differs)}.", "`lsloop setup` puts it right."
        )
    by_hand = "" if _same(current, wanted.label_config) else ", changed by hand"
    return f"project {ls_project_id}, {counted(there['task_number'], 'task')}; its label config fits{by_hand}"


def _find(
    ledger: Ledger, studio: LabelStudio, project: Project, wanted: Wanted, recreate: bool
) -> dict[str, Any] | None:
    """The project as Label Studio has it: the one the environment names, the one we know, or the one with our marker."""
    if wanted.ls_project_id is not None:
        there = projects.get(studio, wanted.ls_project_id)
        if there is None:
            raise UsageError(
                f"Label Studio has no project {wanted.ls_project_id}, which the environment names for {wanted.task_type}.",
                "Correct LS_PROJECT_…, or remove it to have the project made.",
            )
        return there
    there = projects.get(studio, project.ls_project_id) if project.ls_project_id is not None else None
    if there is not None and str(project.marker) in (there["description"] or ""):
        return there
    marked = _marked(ledger, studio, project, wanted.settle)
    if marked:
        return projects.get(studio, marked[0]["id"])
    _refuse_lost(ledger, project, wanted, recreate)
    return None


def _refuse_lost(ledger: Ledger, project: Project, wanted: Wanted, recreate: bool) -> None:
    """A project with tasks of ours does not vanish unnoticed: work that was not pulled may have gone with it."""
    if project.ls_project_id is None:
        return
    known = ledger_tasks.known(ledger, project)
    if known and not recreate:
        raise UsageError(
            f"Label Studio has no project of {wanted.task_type} any more; it had "
            f"{counted(len(known), 'task')} of the ledger.",
            "If it was deleted on purpose, run `lsloop setup --recreate`: their samples can then be sent again.",
        )
    ledger_tasks.gone(ledger, list(known.values()))


def _marked(ledger: Ledger, studio: LabelStudio, project: Project, settle: float) -> list[dict[str, Any]]:
    """The projects with our marker, once there is one or none can come any more."""
    asked = ledger_projects.asked(ledger, project)
    ends = time.monotonic() + (settle - asked.age if asked.times else 0)
    while True:
        marked = projects.find_by_description(studio, str(project.marker))
        if marked or time.monotonic() >= ends:
            return marked
        time.sleep(_POLL)


_POLL = 0.5  # seconds


def _create(ledger: Ledger, studio: LabelStudio, project: Project, wanted: Wanted) -> dict[str, Any]:
    # The marker finds the project again when the answer to this request is lost.
    ledger_projects.about_to_ask(ledger, project)
    description = f"{wanted.task_type}, kept by lsloop ({project.marker})"
    made = projects.create(studio, wanted.settings.title, wanted.label_config, description)
    there = projects.get(studio, made["id"])
    return there if there is not None else made


def _remove_second(ledger: Ledger, studio: LabelStudio, project: Project, ours: int) -> list[str]:
    """Remove what an earlier request made after it was given up for lost. A project with tasks is left alone."""
    if ledger_projects.asked(ledger, project).times < 2:
        return []
    marked = projects.find_by_description(studio, str(project.marker))
    others = (projects.get(studio, one["id"]) for one in marked if one["id"] != ours)
    empty = [one["id"] for one in others if one and one["task_number"] == 0]
    for ls_project_id in empty:
        projects.delete(studio, ls_project_id)
    return [f"project {ls_project_id} was made a second time, and removed" for ls_project_id in empty]


def _agreed_config(
    studio: LabelStudio, project: Project, there: dict[str, Any], wanted: Wanted, kind: Kind, drift: list[str]
) -> str:
    """The label config to go by: ours, unless people changed it in Label Studio and it still fits."""
    current = str(there["label_config"])
    if _same(current, wanted.label_config):
        return current
    by_hand = project.label_config is None or not _same(current, project.label_config)
    if (by_hand and project.ls_project_id is not None) or wanted.ls_project_id is not None:
        where = f"The label config of Label Studio's project {there['id']}"
        _check_fits(
            current, kind, where, "Put the control back in Label Studio (Settings → Labeling Interface)."
        )
        drift.append("the label config was changed in Label Studio; it fits and is kept")
        return current
    projects.update(studio, there["id"], label_config=wanted.label_config)
    drift.append("the label config was brought up to the template")
    return wanted.label_config


def _check_fits(config: str, kind: Kind, what: str, fix: str) -> None:
    interface.check_config(config)
    if problems := task_types.misfits(kind, config):
        raise UsageError(f"{what} does not fit: {'; '.join(problems)}.", fix)


def _same(one: str, other: str) -> bool:
    return one.split() == other.split()
