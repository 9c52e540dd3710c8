"""Reading a page that Label Studio cannot list, mostly because of one record.

The record is found and read another way, and the rest comes.

Label Studio takes what it cannot give out again (half a UTF-16 pair in a text, for one), and then fails
for every page that holds it. So the page is halved until the tasks are found that it fails for. Of each
of these it is asked for less and less, and for the annotations one by one.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from lsloop.labelstudio import answers, keyset
from lsloop.labelstudio.client import LabelStudio, Params
from lsloop.labelstudio.keyset import Filter, Page, TaskJson

_TASK = ("id", "data", "meta", "updated_at", "is_labeled", "total_annotations", "cancelled_annotations")
# `include` also names the fields inside an annotation
_INSIDE = (
    "annotations", "was_cancelled", "ground_truth", "completed_by", "created_at", "updated_by", "task",
    "project",
)  # fmt: skip
_WHAT = ("result", "lead_time", "parent_prediction")

DETAILED: Params = {"fields": "all", "include": ",".join((*_TASK, *_INSIDE, *_WHAT))}
"""A task with all that lsloop reads of it and of its annotations."""

_LESS: tuple[Params, ...] = (
    {"fields": "all", "include": ",".join((*_TASK, *_INSIDE, "result"))},
    {"fields": "all", "include": ",".join((*_TASK, *_INSIDE))},
    {"fields": "all", "include": "id,data,updated_at,annotations"},
)
"""The same with less and less in it: without durations, without results, with the numbers of the
annotations alone."""

MOST = 20
"""Tasks in a row of which nothing can be read: then it is asked again whether it is they that fail."""

_NOBODY = 0  # an id that no task has


def first(studio: LabelStudio, ls_project_id: int, filters: list[Filter], batch: int, params: Params) -> Page:
    """The first page of a list by ascending id, whatever is in its tasks.

    Raises Unreachable where all fails.
    """
    try:
        return keyset.first(studio, ls_project_id, filters, batch, params)
    except answers.Failing:
        lean = keyset.first(studio, ls_project_id, filters, batch, {"include": "id"})
        found = _Salvage(studio, ls_project_id, params)
        found.read([task["id"] for task in lean.tasks])
        return Page(found.tasks, lean.remaining, lean.server_time, found.broken, frozenset(found.partial))


@dataclass
class _Salvage:
    """The readable part of some tasks that cannot be read together."""

    studio: LabelStudio
    ls_project_id: int
    params: Params
    tasks: list[TaskJson] = field(default_factory=list)
    broken: dict[int, str] = field(default_factory=dict)
    partial: set[int] = field(default_factory=set)
    _in_a_row: int = 0
    _works: bool = False  # whether it was seen that the list can be had when no task is in it

    def read(self, ids: Sequence[int]) -> None:
        """Read tasks by ascending id, in halves where that fails."""
        if not ids:
            return
        try:
            self._add(self._list(ids, self.params))
        except answers.Failing as failing:
            if len(ids) == 1:
                self._read_another_way(ids[0], failing)
                return
            middle = len(ids) // 2
            self.read(ids[:middle])
            self.read(ids[middle:])

    def _add(self, tasks: list[TaskJson]) -> None:
        self.tasks += tasks
        self._in_a_row = 0

    def _list(self, ids: Sequence[int], params: Params) -> list[TaskJson]:
        wanted = keyset.where("id", "in_list", "List", list(ids))
        return keyset.first(self.studio, self.ls_project_id, [wanted], len(ids), params, patient=False).tasks

    def _read_another_way(self, ls_task_id: int, why: answers.Failing) -> None:
        self.broken[ls_task_id] = why.problem
        for less in _LESS:
            try:
                found = self._list([ls_task_id], less)
            except answers.Failing:
                continue
            self._add([self._with_annotations(task) for task in found])
            return
        self._in_a_row += 1
        if self._in_a_row % MOST == 0:
            self._works = False
        if self._fails_without_any():
            raise why
        # Whoever looks for answers before removing a task is to find one.
        self.tasks.append({"id": ls_task_id, "annotations": [{UNREADABLE: why.problem}]})
        self.partial.add(ls_task_id)

    def _fails_without_any(self) -> bool:
        """Tell whether the list fails also when no task is in it.

        Then it is no task that it fails for.
        """
        if not self._works:
            try:
                self._list([_NOBODY], self.params)
                self._works = True
            except answers.Failing:
                return True
        return False

    def _with_annotations(self, task: TaskJson) -> TaskJson:
        """The task with each annotation as it is given by itself.

        Where even that fails, the annotation is what the list says of it.
        """
        given = task.get("annotations") or []
        read = [one if "result" in one else self._annotation(one) for one in given]
        return {**task, "annotations": [one for one in read if one is not None]}

    def _annotation(self, listed: dict[str, Any]) -> dict[str, Any] | None:
        try:
            response = self.studio.send("GET", f"api/annotations/{listed['id']}/", patient=False)
            return {**listed, **answers.parsed(response)}
        except answers.Failing as failing:
            return {**listed, UNREADABLE: failing.problem}
        except answers.NotFound:
            return None


UNREADABLE = "lsloop_unreadable"
"""In an annotation without a result: why it has none."""
