"""Offer tasks that somebody answered with nothing to somebody else.

Nothing that a person did is deleted for it.
"""

from lsloop.errors import Refused
from lsloop.labelstudio import tasks
from lsloop.labelstudio.client import LabelStudio
from lsloop.ledger import Ledger
from lsloop.ledger import tasks as ledger_tasks
from lsloop.records import Project


def offer_again(ledger: Ledger, studio: LabelStudio, project: Project) -> int:
    """Tell Label Studio how many annotators tasks answered with nothing need.

    Answers how many are offered again. Raises Unreachable.
    """
    offered = 0
    for task in ledger_tasks.to_offer(ledger, project):
        try:
            if task.is_raised:
                tasks.offer_again(studio, task.ls_task_id, task.wanted)
            else:
                tasks.set_overlap(studio, task.ls_task_id, task.wanted)
        except Refused:  # it is gone there: the next pull finds out
            continue
        ledger_tasks.offered(ledger, task)
        offered += task.is_raised
    return offered
