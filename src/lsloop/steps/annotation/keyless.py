"""Tasks of ours whose key people took out of their data, or changed.

They are known otherwise, and get the key again.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote
from uuid import UUID

from lsloop.labelstudio import tasks
from lsloop.labelstudio.client import LabelStudio
from lsloop.labelstudio.keyset import TaskJson
from lsloop.ledger import Ledger
from lsloop.ledger import tasks as ledger_tasks
from lsloop.records import Project


def key_of(data: Any) -> UUID | None:
    """The key in a task's data; None where there is none of ours."""
    try:
        return UUID(str(data.get(tasks.KEY)))
    except (AttributeError, ValueError):
        return None


def keyless(ledger: Ledger, project: Project, page: Sequence[TaskJson]) -> dict[int, UUID]:
    """Find our tasks whose key people took out of their data, or changed.

    They are known by their number and by what else is in them. The number alone does not tell: on SQLite,
    Label Studio gives the numbers of deleted tasks to new ones.
    """
    data = {task["id"]: task["data"] for task in page if isinstance(task.get("data"), dict)}
    told = {ls_task_id: key_of(given) for ls_task_id, given in data.items()}
    found = ledger_tasks.under_other_keys(ledger, project, told)
    return {one.ls_task_id: one.task_key for one in found if _shows(data[one.ls_task_id], one)}


def _shows(data: Mapping[str, Any], recorded: ledger_tasks.Recorded) -> bool:
    """Return whether a task's data is about the sample sent under its number."""
    if data.get("sample_id") is not None:
        return str(data["sample_id"]) == str(recorded.sample_id)
    link = quote(recorded.media_path) if recorded.media_path else None
    return link is not None and any(link in value for value in data.values() if isinstance(value, str))


def put_back(studio: LabelStudio, ls_project_id: int, missing: Mapping[int, UUID]) -> list[str]:
    """Give tasks whose key was taken out of their data the key again.

    Answers what was done, in words.
    """
    there = tasks.shown(studio, ls_project_id, list(missing)) if missing else {}
    for ls_task_id, task in there.items():
        tasks.update_data(studio, ls_task_id, {**task["data"], tasks.KEY: str(missing[ls_task_id])})
    return [
        f"task {number} had lost its {tasks.KEY}, by hand; it was put back into its data" for number in there
    ]
