"""Agree on what a project should be, from that and from what it is.

What people changed in Label Studio is kept where it fits, and said.
"""

import hashlib
from dataclasses import dataclass
from typing import Any

from lsloop import task_types
from lsloop.config import TaskType
from lsloop.errors import Refused, UsageError
from lsloop.labelstudio import interface, projects
from lsloop.labelstudio.client import LabelStudio
from lsloop.records import Project
from lsloop.task_types import Kind


@dataclass(frozen=True)
class Wanted:
    """What the project of a task type should be.

    `ls_project_id` is set when the environment names the project. `server` is the setting under which Label
    Studio is reached. A request to make the project may be at work there for `settle` seconds after it was
    sent. `reading`: answers are to be read, and nothing is sent. `instruction` is HTML for annotators, which
    a new project begins with.
    """

    task_type: str
    settings: TaskType
    label_config: str
    server: str
    ls_project_id: int | None = None
    settle: float = 0
    reading: bool = False
    instruction: str = ""


def check_template(wanted: Wanted, kind: Kind) -> None:
    """Raise UsageError where the template does not fit the task type."""
    what, fix = f"The template of {wanted.task_type}", "Correct the template."
    _check_fits(wanted.label_config, kind, what, fix)
    if wanted.reading:  # what is not asked for by it any more does not keep answers out
        return
    if problems := task_types.unreadable(kind, wanted.label_config):
        raise UsageError(f"{what} does not fit: {'; '.join(problems)}.", fix)


def check_there(there: dict[str, Any], kind: Kind, wanted: Wanted, drift: list[str]) -> str:
    """The label config in Label Studio.

    Raises UsageError where it does not fit the task type. To read answers it will do that most can be
    understood: `drift` says which cannot.
    """
    config, where = str(there["label_config"]), f"The label config of Label Studio's project {there['id']}"
    fix = "Put the control back in Label Studio (Settings → Labeling Interface)."
    _check_fits(config, kind, where, fix)
    problems = task_types.unreadable(kind, config)
    if problems and not wanted.reading:
        raise UsageError(f"{where} does not fit: {'; '.join(problems)}.", fix)
    drift += [f"{where} does not fit: {problem}" for problem in problems]
    return config


def _check_fits(config: str, kind: Kind, what: str, fix: str) -> None:
    interface.check_config(config)
    if problems := task_types.misfits(kind, config):
        raise UsageError(f"{what} does not fit: {'; '.join(problems)}.", fix)


def same(one: str, other: str) -> bool:
    """Return whether two label configs are one but for spaces."""
    return one.split() == other.split()


_WRITTEN_BEFORE = {
    "350dcb785d5067d31fdf28565b80b1b2", "15e2457a97582bf185285930b01eb1db",
    "9b91180d4b485ac47f3cef351f96f3fc",
}  # fmt: skip
"""Digests of the templates that lsloop wrote before it wrote down that it had: they are nobody's change."""


def _is_as_written(current: str, written: str | None) -> bool:
    """Return whether a label config is as lsloop last wrote it."""
    if written is not None:
        return same(current, written)
    return hashlib.sha256(" ".join(current.split()).encode()).hexdigest()[:32] in _WRITTEN_BEFORE


def agree_on_config(
    studio: LabelStudio, project: Project, there: dict[str, Any], wanted: Wanted, kind: Kind, drift: list[str]
) -> tuple[str, str | None]:
    """The label config to go by, and the one that lsloop last wrote.

    It is brought up to the template only where it is what lsloop wrote. Raises UsageError where what people
    made of it does not fit.
    """
    current, written = str(there["label_config"]), project.written_label_config
    if same(current, wanted.label_config):
        return check_there(there, kind, wanted, drift), current
    if _is_as_written(current, written):
        try:
            projects.update(studio, there["id"], label_config=wanted.label_config)
        except Refused as refusal:  # as where answers use a control that the template has no more
            drift.append(f"the label config stays as it is: {refusal.problem}")
            return check_there(there, kind, wanted, drift), written
        drift.append("the label config was brought up to the template")
        return wanted.label_config, wanted.label_config
    check_there(there, kind, wanted, drift)
    drift.append("the label config was changed in Label Studio; it fits and is kept")
    return current, written


def agree_on_overlap(
    studio: LabelStudio,
    project: Project,
    there: dict[str, Any],
    wanted: Wanted,
    drift: list[str],
    *,
    created: bool,
) -> int:
    """The number of answers per task that lsloop last wrote.

    What people changed it to is kept.
    """
    asked, wish = int(there["maximum_annotations"]), wanted.settings.overlap
    if asked == wish:
        return wish
    written = project.written_overlap if there["id"] == project.ls_project_id else None
    if written not in (None, asked):
        drift.append(overlap_differs(asked, wish))
        return int(written or 0)
    projects.set_overlap(studio, there["id"], wish)
    drift += [] if created else [f"overlap was {asked}, now {wish}"]
    return wish


def overlap_differs(asked: int, wish: int) -> str:
    """What is said where people changed the number of answers per task."""
    return (
        f"the overlap was changed in Label Studio to {asked}, and is kept; params.yaml says {wish}: "
        f"write {asked} there, or put {wish} back in Label Studio"
    )
