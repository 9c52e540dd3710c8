"""Label Studio's tasks as records, with the values that the task type understands.

Whatever is in one of them, the others are read. An answer that cannot be kept as it is stays as text, with
the reason.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from lsloop import task_types
from lsloop.errors import LsloopError
from lsloop.labelstudio import people, salvage
from lsloop.labelstudio.client import LabelStudio
from lsloop.labelstudio.keyset import Page, TaskJson
from lsloop.ledger import Ledger, annotations
from lsloop.ledger import tasks as ledger_tasks
from lsloop.ledger.problems import Problem
from lsloop.records import Annotation, Project, Task
from lsloop.steps.annotation import storable
from lsloop.steps.annotation.keyless import key_of, keyless
from lsloop.task_types import Kind
from lsloop.values.regions import Nothing

GREATEST = 2**63 - 1  # what PostgreSQL holds as a number of something
LONGEST = 365 * 86400.0  # seconds: no answer took longer
LOOK = "Open the task, and correct or delete what the reason names; the next pull tries again."


@dataclass
class Pulled:
    """What a pull brought, and what followed.

    `read` tasks had changed, `foreign` ones are not ours, `gone` ones were deleted there, `parked` ones were
    skipped too often, `offered` ones were answered with nothing and are offered to somebody else, `refreshed`
    ones show what their samples are now; `not_refreshed` says why others do not. `links` were renewed;
    `not_renewed` says why others were not. `kept` says which needless tasks stay for now, because somebody
    has begun to answer them. `decided`: conflicts that the settings decided, by strategy. `training`: the one
    that so many accepted annotations called for. `noticed`: what people changed by hand. `keyless`: tasks
    whose key was taken out of their data, by id. `problems` says what was not understood or was set aside.
    """

    read: int = 0
    foreign: int = 0
    gone: int = 0
    problems: list[str] = field(default_factory=list)
    decided: dict[str, int] = field(default_factory=dict)
    parked: int = 0
    offered: int = 0
    refreshed: int = 0
    not_refreshed: list[str] = field(default_factory=list)
    links: int = 0
    not_renewed: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    noticed: list[str] = field(default_factory=list)
    keyless: dict[int, UUID] = field(default_factory=dict)
    received: annotations.Received = field(default_factory=annotations.Received)
    training: int | None = None


class Reader:
    """Turn Label Studio's tasks into records.

    `set_aside` is what could not be turned into one, or not whole.
    """

    def __init__(
        self, ledger: Ledger, studio: LabelStudio, project: Project, kind: Kind, pulled: Pulled
    ) -> None:
        assert project.label_config is not None
        self.project = project
        self.pulled = pulled
        self._ledger, self._studio, self._kind, self._config = ledger, studio, kind, project.label_config
        self._names: Mapping[int, str] = {}
        self._durations: Mapping[UUID, float] = {}

    def understood(self, page: Page) -> tuple[list[Task], list[Problem]]:
        """The tasks of a page, and what of it is set aside."""
        aside = [self._broken(page, number) for number in page.broken]
        if task_types.knows_impossible(self._kind):
            keys = [key for one in page.tasks if (key := key_of(one.get("data")))]
            self._durations = ledger_tasks.durations(self._ledger, keys)
        lost = keyless(self._ledger, self.project, page.tasks)
        self.pulled.keyless |= lost
        found = {
            task.ls_task_id: task
            for one in page.tasks
            if (task := self._task(one, page.partial, lost, aside))
        }
        self.pulled.read += len(page.tasks)
        self.pulled.foreign += sum(task.task_key is None for task in found.values())
        self.pulled.problems += [f"task {one.ls_task_id}: {one.reason}" for one in aside]
        return list(found.values()), aside

    def problem(self, ls_task_id: int, reason: str, fix: str = LOOK) -> Problem:
        """A task that is set aside, or something in it."""
        return Problem(
            "pull", "task", str(ls_task_id), reason, fix, self.project.task_type,
            ls_project_id=self.project.ls_project_id,
            ls_task_id=ls_task_id if ls_task_id <= GREATEST else None,
        )  # fmt: skip

    def _broken(self, page: Page, ls_task_id: int) -> Problem:
        whole = ls_task_id not in page.partial
        then = "What is in it was read one by one." if whole else "Not all of it could be read one by one."
        return self.problem(
            ls_task_id, f"Label Studio itself cannot list this task. {then} {page.broken[ls_task_id]}"
        )

    def _task(
        self, task: TaskJson, partial: Collection[int], lost: Mapping[int, UUID], aside: list[Problem]
    ) -> Task | None:
        number = task.get("id")
        if type(number) is not int or not _is_number(number) or "data" not in task:
            return None  # why is among the page's broken ones
        given = task.get("annotations")
        moment = _moment(task.get("updated_at"))
        key = lost.get(number) or key_of(task["data"])
        duration = self._durations.get(key) if key else None
        read = {
            a.ls_annotation_id: a
            for one in _list(given)
            if (a := self.annotation(one, number, moment, duration))
        }
        is_whole = number not in partial and isinstance(given, list) and len(read) == len(given)
        if not is_whole and number not in partial:
            aside.append(self.problem(number, "Some of its annotations are not what Label Studio's are."))
        return Task(number, key, moment, tuple(read.values()), is_whole)

    def annotation(
        self, a: Any, ls_task_id: int, changed: datetime | None = None, duration: float | None = None
    ) -> Annotation | None:
        """One annotation of a task that changed then; None for what is none at all."""
        if not isinstance(a, dict) or not _is_number(a.get("id")):
            return None
        made = _moment(a.get("created_at")) or changed or _BEGINNING
        found = self._with_value(
            Annotation(
                ls_annotation_id=a["id"],
                annotator=self._name(_number_of(a.get("completed_by"))),
                result=a.get("result"),  # type: ignore[arg-type]  # whatever came
                value=None,
                problem=None,
                was_cancelled=bool(a.get("was_cancelled")),
                ground_truth=bool(a.get("ground_truth")),
                lead_time=_seconds(a.get("lead_time")),
                created_at=made,
                updated_at=_moment(a.get("updated_at")) or made,
                edited_by=self._editor(a),
            ),
            a.get(salvage.UNREADABLE),
            duration,
        )
        if found.problem:
            by = found.edited_by or found.annotator
            self.pulled.problems.append(f"annotation {a['id']} of task {ls_task_id} by {by}: {found.problem}")
        return found

    def _with_value(self, found: Annotation, unreadable: str | None, duration: float | None) -> Annotation:
        if unreadable:
            return storable.aside(found, f"Label Studio itself cannot give it out. {unreadable}")
        if why := storable.why_not(found.result):
            return storable.aside(found, why)
        if found.was_cancelled:
            return found
        try:
            value = self._kind.from_result(found.result, self._config)
            task_types.refuse_impossible(self._kind, value, duration)
            return replace(found, value=value)
        except Nothing as error:
            return replace(found, problem=str(error), says_nothing=True)
        except LsloopError:
            raise
        except Exception as error:  # whatever a kind makes of it, the others are read
            words = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
            return replace(found, problem=storable.as_text(words))

    def _editor(self, a: Mapping[str, Any]) -> str | None:
        """The person who changed an annotation last.

        None where that was its annotator.
        """
        editor, annotator = _number_of(a.get("updated_by")), _number_of(a.get("completed_by"))
        return None if editor is None or annotator is None or editor == annotator else self._name(editor)

    def _name(self, number: int | None) -> str:
        """Somebody's e-mail address.

        People are asked for again when a new one turns up.
        """
        if number is None:
            return "unknown"
        if number not in self._names:
            self._names = people.names(self._studio)
        return self._names.get(number, f"user {number}")


_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


def _list(given: Any) -> list[Any]:
    return given if isinstance(given, list) else []


def _number_of(person: Any) -> int | None:
    found = person.get("id") if isinstance(person, dict) else person
    return found if type(found) is int else None


def _is_number(given: Any) -> bool:
    return type(given) is int and 0 < given <= GREATEST


def _moment(text: Any) -> datetime | None:
    """A moment of Label Studio's clock; None for what is none."""
    try:
        found = datetime.fromisoformat(text)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        return None


def _seconds(given: Any) -> float | None:
    """The time that an answer took; None for what no answer takes."""
    try:
        found = float(given)
    except (TypeError, ValueError, OverflowError):
        return None
    return found if 0 <= found <= LONGEST else None
