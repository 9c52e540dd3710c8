"""Write down what events told of answers.

Each version is part of the history, though Label Studio may not have it any more. An event is never believed
in what an answer is now. But somebody may have edited or deleted it before anybody looked, and then the event
is all that is left of what was submitted.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

from lsloop.labelstudio.client import LabelStudio
from lsloop.ledger import Ledger, annotations
from lsloop.ledger import tasks as ledger_tasks
from lsloop.records import Project
from lsloop.steps.annotation.keyless import key_of
from lsloop.steps.annotation.reader import Pulled, Reader
from lsloop.task_types import Kind

Payload = Mapping[str, Any]


def tell(
    ledger: Ledger, studio: LabelStudio, project: Project, kind: Kind, payloads: Sequence[Payload]
) -> int:
    """Write down the versions that these events told of and nobody has seen.

    Answers how many.
    """
    told = [one for payload in payloads for one in _told(payload)]
    known = ledger_tasks.known_of(ledger, project, [number for _, number, _ in told])
    reader, new = Reader(ledger, studio, project, kind, Pulled()), 0
    for key, ls_task_id, given in told:
        found = reader.annotation(given, ls_task_id)
        task_key = key or known.get(ls_task_id)
        if found is not None and task_key is not None:
            new += annotations.tell(ledger, project, task_key, ls_task_id, found)
    return new


def _told(payload: Payload) -> Iterator[tuple[UUID | None, int, Payload]]:
    """The annotations of an event, each with its task's key and number.

    The key is there if it is told.
    """
    keys = {
        task["id"]: key_of(task.get("data"))
        for task in _dicts(payload.get("task"))
        if type(task.get("id")) is int
    }
    for annotation in _dicts(payload.get("annotation")):
        number = annotation.get("task")
        if type(number) is int and "result" in annotation:
            yield keys.get(number), number, annotation


def _dicts(given: Any) -> list[dict[str, Any]]:
    """The dicts in what Label Studio gives, be it one thing or several."""
    several = given if isinstance(given, list) else [given]
    return [one for one in several if isinstance(one, dict)]
