"""Adopt tasks of ours that the ledger does not know.

After a restore from a backup they are known again, not sent again.
"""

from typing import Any
from uuid import UUID

from lsloop.labelstudio import tasks
from lsloop.labelstudio.client import LabelStudio
from lsloop.ledger import Ledger, adopting
from lsloop.ledger.adopting import Stray
from lsloop.records import Project
from lsloop.task_types import Kind
from lsloop.values.text import counted


def adopt(ledger: Ledger, studio: LabelStudio, project: Project, kind: Kind, overlap: int) -> list[str]:
    """Take in what was sent after the ledger's last word of this project.

    Answers what was done, in words. Tasks have ascending numbers, so that one request shows that there is
    none. A decision between answers is not taken in: between which, its task does not say.
    """
    assert project.ls_project_id is not None
    strays: list[Stray] = []
    for page in tasks.above(studio, project.ls_project_id, adopting.newest(ledger, project)):
        strays += [stray for task in page.tasks if (stray := _stray(task["id"], task.get("data")))]
    if not strays:
        return []
    found = adopting.adopt(ledger, project, strays, kind.READS, kind.WRITES, overlap)
    if not found:
        return []
    words = counted(found, "task of this ledger was", "tasks of this ledger were")
    return [
        f"{words} found in project {project.ls_project_id}, and not in the ledger, which was "
        "put back to an older state; it knows them again"
    ]


def _stray(ls_task_id: int, data: Any) -> Stray | None:
    if not isinstance(data, dict) or data.get("candidates") or tasks.NOT_NEEDED in data:
        return None
    try:
        return Stray(ls_task_id, UUID(str(data[tasks.KEY])), UUID(str(data["sample_id"])))
    except (KeyError, ValueError):
        return None
