"""Make or verify the project, and its webhook."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from lsloop.errors import LsloopError, Unreachable, UsageError
from lsloop.labelstudio import projects, tasks, webhooks
from lsloop.labelstudio.client import LabelStudio
from lsloop.ledger import Ledger, servers
from lsloop.ledger import projects as ledger_projects
from lsloop.ledger import tasks as ledger_tasks
from lsloop.records import Project
from lsloop.steps.project import recognising
from lsloop.steps.project.agreeing import Wanted, agree_on_config, agree_on_overlap, check_template
from lsloop.steps.project.recognising import Place
from lsloop.task_types import Kind
from lsloop.values.text import counted


@dataclass
class Setup:
    """What setup found or made.

    `drift` says what differs from the settings and was left or put right. `no_events` says why Label Studio
    does not tell what people do; empty when it does.
    """

    project: Project
    created: bool = False
    drift: list[str] = field(default_factory=list)
    no_events: str = ""


def setup(
    ledger: Ledger,
    studio: LabelStudio,
    wanted: Wanted,
    kind: Kind,
    *,
    recreate: bool = False,
    also_here: bool = False,
    lost: str | None = None,
) -> Setup:
    """Make or verify the Label Studio project of a task type.

    Idempotent, also when it was cut off before. Raises UsageError when the label config (the template, or the
    one in Label Studio after a change by hand) does not fit the task type; when a named project does not
    exist, or is not the one that the tasks are in; when tasks are at work in another Label Studio (unless
    `also_here`); or when the project is gone: with `recreate` its open tasks are then ended, so that their
    samples can be sent again, and a new one is made. So are those in another Label Studio that is `lost`.
    """
    check_template(wanted, kind)
    if lost is not None:
        _give_up(ledger, studio, wanted, lost)
    place = _meet(ledger, studio, wanted, also_here)
    with ledger.in_turn(f"lsloop setup {wanted.task_type} {place.server.name}"):
        project = ledger_projects.reserve(ledger, wanted.task_type, place.server.name)
        there = _find(ledger, studio, project, wanted, place, recreate)
        created = there is None
        there = there or _create(ledger, studio, project, wanted)
        found = Setup(project, created)
        found.drift += _remove_second(ledger, studio, project, wanted, there["id"])
        seen, written = agree_on_config(studio, project, there, wanted, kind, found.drift)
        overlap = agree_on_overlap(studio, project, there, wanted, found.drift, created=created)
        found.drift += _follow_moved(ledger, studio, project, there["id"])
        found.project = ledger_projects.bind(
            ledger,
            project,
            there["id"],
            seen,
            ls_created_at=there.get("created_at"),
            written_label_config=written,
            written_overlap=overlap,
        )
    return found


def _meet(ledger: Ledger, studio: LabelStudio, wanted: Wanted, also_here: bool) -> Place:
    """Find out which Label Studio this is, and write it down.

    Where none of the ledger's tasks are, none is sent unasked.
    """
    with ledger.in_turn(f"lsloop meets {wanted.server}"):
        place = recognising.recognise(ledger, studio, wanted.server)
        found = ledger_projects.find(ledger, wanted.task_type, place.server.name)
        if not also_here and (found is None or found.ls_project_id is None):
            recognising.refuse_another(ledger, studio, place, wanted.task_type)
        servers.remember(ledger, place.server, wanted.server)
    return place


def _give_up(ledger: Ledger, studio: LabelStudio, wanted: Wanted, lost: str) -> None:
    """End the tasks in a Label Studio that is lost for good.

    It is never the one at hand.
    """
    project = ledger_projects.find(ledger, wanted.task_type, lost)
    if project is None:
        names = ", ".join(one.name for one in servers.known(ledger)) or "none"
        raise UsageError(
            f"The ledger knows no Label Studio {lost!r} with {wanted.task_type}.", f"Use one of: {names}."
        )
    if recognising.recognise(ledger, studio, wanted.server).server.name == lost:
        raise UsageError(
            f"The Label Studio at {studio.url} is {lost}: it is not lost.", "Run without --lost."
        )
    ledger_tasks.gone(ledger, [UUID(key) for key in ledger_tasks.sent_keys(ledger, project)])


def _find(
    ledger: Ledger, studio: LabelStudio, project: Project, wanted: Wanted, place: Place, recreate: bool
) -> dict[str, Any] | None:
    if wanted.ls_project_id is not None:
        return recognising.named(ledger, studio, project, wanted.ls_project_id)
    there = recognising.find(ledger, studio, project, wanted.settle)
    if there is None:
        _refuse_lost(ledger, project, wanted, place, recreate)
    return there


def _refuse_lost(ledger: Ledger, project: Project, wanted: Wanted, place: Place, recreate: bool) -> None:
    """Refuse to let a project with tasks of ours vanish unnoticed.

    Work that was not pulled may have gone with it.
    """
    if project.ls_project_id is None:
        return
    known = ledger_tasks.known(ledger, project)
    lost = (
        f"Label Studio has no project of {wanted.task_type} any more; "
        f"it had {counted(len(known), 'task')} of the ledger."
    )
    if not place.is_proven and ledger_tasks.sent_keys(ledger, project):
        raise UsageError(
            lost, "Nothing shows that this is the Label Studio that had it: set LABEL_STUDIO_URL to that one."
        )
    if known and not recreate:
        raise UsageError(
            lost,
            f"If it was deleted on purpose, run `lsloop setup --task-type {wanted.task_type} --recreate`: "
            "their samples can then be sent again.",
        )
    ledger_tasks.gone(ledger, list(known.values()))


def _create(ledger: Ledger, studio: LabelStudio, project: Project, wanted: Wanted) -> dict[str, Any]:
    # The marker finds the project again when the answer to this request is lost.
    ledger_projects.about_to_ask(ledger, project)
    told = {"expert_instruction": wanted.instruction, "show_instruction": bool(wanted.instruction)}
    made = projects.create(
        studio, wanted.settings.title, wanted.label_config, _description(project, wanted), **told
    )
    with suppress(LsloopError):  # a list in the order of Label Studio's own is no reason to stop
        projects.make_tab(studio, made["id"], hidden=_FOR_PROGRAMS)
    there = projects.get(studio, made["id"])
    return there if there is not None else made


_FOR_PROGRAMS = (tasks.KEY, "sample_id", "candidates", "player")
"""Data of tasks that tell people nothing in a list. From then on the tab is theirs to arrange, like the
instruction."""


def _remove_second(
    ledger: Ledger, studio: LabelStudio, project: Project, wanted: Wanted, ours: int
) -> list[str]:
    """Remove what an earlier request made after it was given up for lost.

    No project is removed that people gave tasks or a shape.
    """
    if ledger_projects.asked(ledger, project).times < 2:
        return []
    marked = projects.find_by_description(studio, str(project.marker))
    others = (projects.get(studio, one["id"]) for one in marked if one["id"] != ours)
    empty = [
        one["id"] for one in others if one and one["task_number"] == 0 and _is_as_made(one, project, wanted)
    ]
    for ls_project_id in empty:
        projects.delete(studio, ls_project_id)
    return [f"project {ls_project_id} was made a second time, and removed" for ls_project_id in empty]


def _is_as_made(there: Mapping[str, Any], project: Project, wanted: Wanted) -> bool:
    """Return whether nobody changed a project since lsloop asked for it.

    A copy that somebody made is theirs.
    """
    made = {
        "title": wanted.settings.title, "description": _description(project, wanted),
        "label_config": wanted.label_config
    }  # fmt: skip
    return all(
        "".join(str(there.get(name)).split()) == "".join(value.split()) for name, value in made.items()
    )


def _description(project: Project, wanted: Wanted) -> str:
    return f"{wanted.task_type}, kept by lsloop ({project.marker})"


def _follow_moved(ledger: Ledger, studio: LabelStudio, project: Project, ls_project_id: int) -> list[str]:
    """Follow our tasks into the project where they are now, under other ids."""
    if project.ls_project_id in (None, ls_project_id):
        return []
    keys = ledger_tasks.sent_keys(ledger, project)
    if not keys:
        return []
    ids = {
        key: number for number, key in sorted(tasks.find_by_key(studio, ls_project_id, keys), reverse=True)
    }
    if not ids:
        return []
    ledger_tasks.moved(ledger, project, ids)
    found = counted(len(ids), "of its tasks is", "of its tasks are")
    return [f"project {project.ls_project_id} is gone; {found} in project {ls_project_id} now"]


def register_webhook(
    ledger: Ledger, studio: LabelStudio, found: Setup, wanted: webhooks.Webhook, *, verify: bool
) -> None:
    """Have Label Studio tell what people do.

    Without `verify`, do so only when it was not asked to tell it there before. That it refuses is no error:
    pulls bring everything.
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
