"""Look at the project and write nothing, neither in Label Studio nor in the ledger."""

from dataclasses import replace
from typing import Any

from lsloop.errors import Refused, Skipped, UsageError
from lsloop.labelstudio import projects, webhooks
from lsloop.labelstudio.client import LabelStudio
from lsloop.ledger import Ledger
from lsloop.ledger import projects as ledger_projects
from lsloop.records import Project
from lsloop.steps.project import recognising
from lsloop.steps.project.agreeing import Wanted, check_template, check_there, overlap_differs, same
from lsloop.task_types import Kind
from lsloop.values.text import counted


def look_up(ledger: Ledger, studio: LabelStudio, wanted: Wanted, kind: Kind) -> Project:
    """Look up the project of a task type as it is.

    Raises UsageError where `setup` would, and where there is none yet.
    """
    check_template(wanted, kind)
    project, there = _found(ledger, studio, wanted)
    if project is None or there is None:
        raise UsageError(
            f"Nothing was pushed for {wanted.task_type} yet.",
            f"Run `lsloop push --task-type {wanted.task_type}` first.",
        )
    return replace(project, ls_project_id=there["id"], label_config=check_there(there, kind, wanted, []))


def _found(
    ledger: Ledger, studio: LabelStudio, wanted: Wanted
) -> tuple[Project | None, dict[str, Any] | None]:
    """The project as the ledger has it, and as Label Studio has it.

    None where there is none.
    """
    place = recognising.recognise(ledger, studio, wanted.server)
    project = ledger_projects.find(ledger, wanted.task_type, place.server.name)
    if project is None or project.ls_project_id is None:
        recognising.refuse_another(ledger, studio, place, wanted.task_type)
    if project is None:
        return None, _named_first(studio, wanted)
    if wanted.ls_project_id is not None:
        return project, recognising.named(ledger, studio, project, wanted.ls_project_id)
    there = recognising.find(ledger, studio, project)
    if there is None and project.ls_project_id is not None:
        raise Refused(
            f"Label Studio has no project {project.ls_project_id} of {wanted.task_type} any more.",
            "Look at it with `lsloop setup`, which says what to do.",
        )
    return project, there


def _named_first(studio: LabelStudio, wanted: Wanted) -> dict[str, Any] | None:
    """A project that the environment names and that was never set up."""
    if wanted.ls_project_id is None:
        return None
    there = projects.get(studio, wanted.ls_project_id)
    if there is None:
        raise Refused(
            f"Label Studio has no project {wanted.ls_project_id}.", "Correct LS_PROJECT_…, or remove it."
        )
    return there


def inspect(
    ledger: Ledger, studio: LabelStudio, wanted: Wanted, kind: Kind, hook: webhooks.Webhook | None
) -> str:
    """Check that template, project and webhook of a task type are as they should be.

    It changes nothing. Raises UsageError where they do not, Refused where the project is gone or asks for
    another number of answers, and Skipped where there is none yet.
    """
    check_template(wanted, kind)
    _, there = _found(ledger, studio, wanted)
    if there is None:
        raise Skipped("the template fits; there is no project yet", "`lsloop setup` makes it.")
    current = check_there(there, kind, wanted, [])
    if there["maximum_annotations"] != wanted.settings.overlap:
        said = overlap_differs(there["maximum_annotations"], wanted.settings.overlap)
        raise Refused(f"Project {there['id']}: {said}.", "`lsloop setup` says whether it puts it right.")
    if hook and (differs := webhooks.drift(studio, there["id"], hook)):
        raise Refused(
            f"The webhook of project {there['id']}: {'; '.join(differs)}.", "`lsloop setup` puts it right."
        )
    by_hand = "" if same(current, wanted.label_config) else ", changed by hand"
    return f"project {there['id']}, {counted(there['task_number'], 'task')}; its label config fits{by_hand}"
