"""Tasks of a Label Studio project: sent, found by key, read back, and deleted.

They are read back with their annotations.
"""

import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

from lsloop.errors import Refused, Uncertain
from lsloop.labelstudio import answers, keyset, salvage
from lsloop.labelstudio.client import LabelStudio, Params
from lsloop.labelstudio.keyset import Page, TaskJson
from lsloop.records import Result
from lsloop.values.text import counted

T = TypeVar("T")

KEY = "task_key"
"""The name of the key that travels inside each task's data, the one place Label Studio can search."""

NOT_NEEDED = "not_needed"
"""The name in a task's data that says why nobody needs to answer it. The data manager shows it as a
column."""

MOST = 1000  # values in one list filter; ids in one selection
GROUPS = 4  # that `carry` counts; each adds a millisecond
IMPORT_SECONDS = 600.0
POLL_SECONDS = 1.0


def import_batch(studio: LabelStudio, ls_project_id: int, tasks: list[TaskJson]) -> list[int]:
    """Send tasks ({"data": …, "predictions": […]}) in one request, all or none.

    Returns their new ids, ascending. Which id is which task must be found out by key. Predictions that
    did not arrive are sent once more, one by one. Raises Refused (nothing was imported) or Uncertain.
    """
    params: Params = {"return_task_ids": "true", "commit_to_project": "true"}
    answer = studio.post(f"api/projects/{ls_project_id}/import", params=params, json=tasks)
    if "import" in answer:  # editions other than Community work on after they have answered
        answer = _finished(studio, f"api/projects/{ls_project_id}/imports/{answer['import']}/")
    ids = answer.get("task_ids") or []
    if len(ids) != len(tasks):
        what = f"Label Studio answered an import of {counted(len(tasks), 'task')} with {len(ids)} ids."
        raise Uncertain(what, "Run again: the tasks are found by their keys.")
    # A Label Studio on SQLite that meets a lock may store the tasks, lose their predictions and answer that
    # all is well.
    if answer.get("prediction_count", len(tasks)) < sum(len(task.get("predictions", ())) for task in tasks):
        _add_missing_predictions(studio, ls_project_id, tasks, ids)
    return [int(i) for i in ids]


def _add_missing_predictions(
    studio: LabelStudio, ls_project_id: int, sent: Sequence[TaskJson], ids: Sequence[int]
) -> None:
    wanted = {str(task["data"].get(KEY)): task.get("predictions", ()) for task in sent}
    for ls_task_id, there in shown(studio, ls_project_id, ids).items():
        if not there["predictions"]:
            for prediction in wanted.get(str(there["data"].get(KEY)), ()):
                add_prediction(studio, ls_project_id, ls_task_id, prediction)


def carry(studio: LabelStudio, ls_project_id: int, pairs: Sequence[tuple[int, str]]) -> bool:
    """Tell whether all these tasks are there and each carries its key: (task id, key).

    It is one request that lists nothing, a quarter of what listing costs. The pairs are dealt into
    groups by key and each group is counted: any misplacing shows, except that of two keys of one group
    that changed places.
    """
    return _count_pairs(studio, ls_project_id, f"data.{KEY}", pairs) == len(pairs)


def find_by_key(studio: LabelStudio, ls_project_id: int, keys: Sequence[str]) -> list[tuple[int, str]]:
    """List (task id, key) of every task whose data.task_key is in `keys`.

    Twins are included, whatever else is in their data.
    """
    found: list[tuple[int, str]] = []
    for chunk in _chunks(keys, MOST):
        found += _by_key(studio, ls_project_id, chunk)
    return [(ls_task_id, key) for ls_task_id, key in found if key in set(keys)]


def above(studio: LabelStudio, ls_project_id: int, ls_task_id: int) -> Iterator[Page]:
    """Tasks with greater numbers than this one, by number, with their data.

    Those that cannot be listed come without data.
    """
    filters = [keyset.above(ls_task_id)]
    yield from keyset.pages(studio, ls_project_id, filters, MOST, {"include": "id,data"}, salvage.first)


def some(studio: LabelStudio, ls_project_id: int, most: int = 25) -> list[TaskJson]:
    """A few tasks of a project with their data, spread over its first thousand.

    Those that Label Studio cannot list are left out, however many they are.
    """
    lean = keyset.first(studio, ls_project_id, [], MOST, {"include": "id"})
    ids = [task["id"] for task in lean.tasks]
    picks = ids[:: max(1, len(ids) // most)]
    try:
        return _with_data(studio, ls_project_id, picks)
    except answers.Failing:
        found: list[TaskJson] = []
        for ls_task_id in picks:
            with suppress(answers.Failing):
                found += _with_data(studio, ls_project_id, [ls_task_id])
        return found


def _with_data(studio: LabelStudio, ls_project_id: int, ids: Sequence[int]) -> list[TaskJson]:
    if not ids:
        return []
    wanted = keyset.where("id", "in_list", "List", list(ids))
    return keyset.first(studio, ls_project_id, [wanted], len(ids), {"include": "id,data"}).tasks


def _by_key(studio: LabelStudio, ls_project_id: int, keys: list[str]) -> list[tuple[int, str]]:
    """The tasks that carry these keys: (task id, key).

    Where the list fails for what is in a task, it is asked for each key alone, and for no data.
    """
    wanted = [keyset.where(f"data.{KEY}", "in_list", "List", keys)]
    try:
        pages = list(keyset.pages(studio, ls_project_id, wanted, MOST, {"include": "id,data"}))
        return [(task["id"], str(task["data"].get(KEY))) for page in pages for task in page.tasks]
    except answers.Failing:
        if len(keys) == 1:
            pages = list(keyset.pages(studio, ls_project_id, wanted, MOST, {"include": "id"}))
            return [(task["id"], keys[0]) for page in pages for task in page.tasks]
    middle = len(keys) // 2
    return [*_by_key(studio, ls_project_id, keys[:middle]), *_by_key(studio, ls_project_id, keys[middle:])]


def changed(
    studio: LabelStudio, ls_project_id: int, since: datetime | None = None, batch: int = 500
) -> Iterator[Page]:
    """Every task updated after `since`, with its annotations, in id order.

    `since` is server time; None: all. A task that is deleted meanwhile may be missing; no other is.
    Raises Unreachable when the server gives fewer than it promised.
    """
    filters = [] if since is None else [keyset.updated_after(since)]
    return keyset.pages(studio, ls_project_id, filters, batch, salvage.DETAILED, salvage.first)


@dataclass(frozen=True)
class Newest:
    """The latest change in a project, and the clock of whoever answered.

    The change is by the clock that the rows are stamped with.
    """

    moment: datetime
    server_time: datetime | None

    @property
    def is_ahead(self) -> bool:
        """Tell whether the latest change lies in the future.

        Then the clock was put back since, or there are two clocks.
        """
        whole_seconds = timedelta(seconds=2)
        return self.server_time is not None and self.server_time + whole_seconds < self.moment


def newest(studio: LabelStudio, ls_project_id: int) -> Newest | None:
    """The latest change in a project; None without tasks."""
    lean: Params = {"include": "id,updated_at"}
    page = keyset.first(studio, ls_project_id, [], 1, lean, order="-tasks:updated_at")
    if not page.tasks:
        return None
    return Newest(datetime.fromisoformat(page.tasks[0]["updated_at"]), page.server_time)


def count_between(studio: LabelStudio, ls_project_id: int, since: datetime, until: datetime) -> int:
    """The number of tasks last updated from `since` to `until`, both included.

    Both are server time.
    """
    between = [keyset.updated_since(since), keyset.updated_until(until)]
    return keyset.first(studio, ls_project_id, between, 1, {"include": "id"}).remaining


def count_as_seen(studio: LabelStudio, ls_project_id: int, seen: Mapping[int, datetime], salt: str) -> int:
    """The number of these tasks that were last updated just when they were seen to be.

    The tasks are given as task id → moment. They are counted in groups, as `carry` does: a task that
    took over the moment of another one of its group is not noticed. Who is in whose group depends on
    `salt`.
    """
    pairs = [(ls_task_id, keyset.stamp(moment)) for ls_task_id, moment in seen.items()]
    return sum(
        _count_pairs(studio, ls_project_id, "updated_at", chunk, salt) for chunk in _chunks(pairs, MOST)
    )


def moments_between(
    studio: LabelStudio, ls_project_id: int, since: datetime, until: datetime
) -> dict[int, datetime]:
    """The last update of each task that was last updated from `since` to `until`.

    Both are server time and included.
    """
    return _moments(studio, ls_project_id, [keyset.updated_since(since), keyset.updated_until(until)])


def moments_after(studio: LabelStudio, ls_project_id: int, since: datetime) -> dict[int, datetime]:
    """The last update of each task that was updated after `since` (server time)."""
    return _moments(studio, ls_project_id, [keyset.updated_after(since)])


def moments_of(studio: LabelStudio, ls_project_id: int, ids: Sequence[int]) -> dict[int, datetime]:
    """The last update of each of these tasks; deleted ones are left out."""
    found: dict[int, datetime] = {}
    for chunk in _chunks(ids, MOST):
        found |= _moments(studio, ls_project_id, [keyset.where("id", "in_list", "List", chunk)])
    return found


def _moments(studio: LabelStudio, ls_project_id: int, filters: list[keyset.Filter]) -> dict[int, datetime]:
    pages = keyset.pages(studio, ls_project_id, filters, MOST, {"include": "id,updated_at"})
    return {task["id"]: datetime.fromisoformat(task["updated_at"]) for page in pages for task in page.tasks}


def of_ids(studio: LabelStudio, ls_project_id: int, ids: Sequence[int], batch: int = 500) -> Iterator[Page]:
    """The tasks of these ids, with their annotations, as `changed` gives them.

    Deleted ones are left out.
    """
    for chunk in _chunks(ids, min(batch, MOST)):
        wanted = keyset.where("id", "in_list", "List", chunk)
        yield from keyset.pages(studio, ls_project_id, [wanted], batch, salvage.DETAILED, salvage.first)


def fetch(studio: LabelStudio, ls_project_id: int, ids: Sequence[int]) -> list[TaskJson]:
    """The tasks of these ids as a list."""
    return [task for page in of_ids(studio, ls_project_id, ids) for task in page.tasks]


def ids(studio: LabelStudio, ls_project_id: int, batch: int = 2000) -> Iterator[list[int]]:
    """The ids of all tasks of a project, ascending, `batch` at a time."""
    for page in keyset.pages(studio, ls_project_id, [], batch, {"include": "id"}):
        yield [task["id"] for task in page.tasks]


def count(studio: LabelStudio, ls_project_id: int) -> int:
    """The number of tasks that a project holds."""
    return keyset.first(studio, ls_project_id, [], 1, {"include": "id"}).remaining


def delete(studio: LabelStudio, ls_project_id: int, ids: Sequence[int]) -> None:
    """Delete tasks with all their annotations."""
    for chunk in _chunks(ids, MOST):
        # Never with an empty selection: Label Studio would take it for all tasks.
        body = {"selectedItems": {"all": False, "included": chunk}}
        studio.post("api/dm/actions", params={"id": "delete_tasks", "project": ls_project_id}, json=body)


def place(studio: LabelStudio, ls_project_id: int, ids: Sequence[int]) -> dict[int, TaskJson]:
    """The fields that decide whether people are given these tasks, by id.

    Those that are not there, and those that Label Studio cannot list, are left out: nothing is done to
    them.
    """
    asked: Params = {"include": "id,data,overlap,is_labeled,total_annotations,cancelled_annotations"}
    found: dict[int, TaskJson] = {}
    for chunk in _chunks(ids, MOST):
        wanted = keyset.where("id", "in_list", "List", chunk)
        for page in keyset.pages(studio, ls_project_id, [wanted], MOST, asked, salvage.first):
            found |= {task["id"]: task for task in page.tasks if task["id"] not in page.broken}
    return found


def present(studio: LabelStudio, ls_project_id: int, ids: Sequence[int]) -> set[int]:
    """Those of these tasks that are there, even if Label Studio cannot list them."""
    found: set[int] = set()
    for chunk in _chunks(ids, MOST):
        wanted = keyset.where("id", "in_list", "List", chunk)
        for page in keyset.pages(studio, ls_project_id, [wanted], MOST, {"include": "id"}):
            found.update(task["id"] for task in page.tasks)
    return found


def is_put_away(task: TaskJson) -> bool:
    """Tell whether people are not given this task (see `put_away`)."""
    return bool(task["overlap"] == 0 and task["is_labeled"])


def put_away(studio: LabelStudio, task: TaskJson, why: str) -> None:
    """Put a task (from `place`) out of people's way.

    The label stream does not give it any more. Nothing of it is deleted, and whoever has its page open
    can still submit. Label Studio gives people what needs more annotations than it has, and this task
    needs none.
    """
    body = {"overlap": 0, "is_labeled": True, "data": {**task["data"], NOT_NEEDED: why}}
    studio.patch(f"api/tasks/{task['id']}/", json=body)


def bring_back(studio: LabelStudio, task: TaskJson, overlap: int) -> None:
    """Give people a hidden task again, until it has `overlap` annotations."""
    data = {name: value for name, value in task["data"].items() if name != NOT_NEEDED}
    is_labeled = task["total_annotations"] >= overlap
    studio.patch(
        f"api/tasks/{task['id']}/", json={"overlap": overlap, "is_labeled": is_labeled, "data": data}
    )


def shown(studio: LabelStudio, ls_project_id: int, ids: Sequence[int]) -> dict[int, TaskJson]:
    """The contents of these tasks as annotators see them, by id.

    They are the data, every prediction, and annotations. Deleted ones are left out, and those that
    Label Studio cannot list.
    """
    found: dict[int, TaskJson] = {}
    asked: Params = {"fields": "all", "include": "id,data,predictions,annotations,was_cancelled"}
    for chunk in _chunks(ids, 500):
        wanted = keyset.where("id", "in_list", "List", chunk)
        for page in keyset.pages(studio, ls_project_id, [wanted], 500, asked, salvage.first):
            found |= {task["id"]: task for task in page.tasks if task["id"] not in page.broken}
    return found


def data_of(studio: LabelStudio, ls_project_id: int, ids: Sequence[int]) -> dict[int, dict[str, Any]]:
    """The data of these tasks by id.

    Deleted ones are left out, and those that Label Studio cannot list.
    """
    found: dict[int, dict[str, Any]] = {}
    for chunk in _chunks(ids, 500):
        wanted = keyset.where("id", "in_list", "List", chunk)
        for page in keyset.pages(studio, ls_project_id, [wanted], 500, {"include": "id,data"}, salvage.first):
            found |= {task["id"]: task["data"] for task in page.tasks if task["id"] not in page.broken}
    return found


def has_drafts(studio: LabelStudio, ls_task_id: int) -> bool:
    """Tell whether somebody has begun an answer to this task and not submitted it.

    Raises NotFound for a deleted task.
    """
    return bool(studio.get(f"api/tasks/{ls_task_id}/drafts"))


def begun(studio: LabelStudio, ls_project_id: int, ids: Sequence[int]) -> set[int]:
    """Those of these tasks with an answer that somebody began and did not submit."""
    found: set[int] = set()
    for chunk in _chunks(ids, MOST):
        filters = [keyset.where("id", "in_list", "List", chunk), _begun(True)]
        for page in keyset.pages(studio, ls_project_id, filters, MOST, {"include": "id"}):
            found.update(task["id"] for task in page.tasks)
    return found


def _begun(value: bool) -> keyset.Filter:
    return keyset.where("draft_exists", "equal", "Boolean", value)


def change_prediction(
    studio: LabelStudio, ls_project_id: int, ls_prediction_id: int, prediction: dict[str, Any]
) -> None:
    """Change a prediction in place.

    A page that is open names it when it submits, and a deleted one makes that fail.
    """
    studio.patch(f"api/predictions/{ls_prediction_id}/", json={**prediction, "project": ls_project_id})


def add_prediction(
    studio: LabelStudio, ls_project_id: int, ls_task_id: int, prediction: dict[str, Any]
) -> None:
    """Give a task a prediction: {"result", "model_version", "score"}."""
    studio.post("api/predictions/", json={**prediction, "task": ls_task_id, "project": ls_project_id})


def update_data(studio: LabelStudio, ls_task_id: int, data: dict[str, Any]) -> TaskJson:
    """Replace a task's data."""
    return dict(studio.patch(f"api/tasks/{ls_task_id}/", json={"data": data}))


def set_overlap(studio: LabelStudio, ls_task_id: int, overlap: int) -> None:
    """Set how many annotators this one task needs, whatever the project says."""
    studio.patch(f"api/tasks/{ls_task_id}/", json={"overlap": overlap})


def offer_again(studio: LabelStudio, ls_task_id: int, overlap: int) -> None:
    """Have one more annotator asked.

    By itself Label Studio goes on taking the task for done.
    """
    studio.patch(f"api/tasks/{ls_task_id}/", json={"overlap": overlap, "is_labeled": False})


def annotate(
    studio: LabelStudio,
    ls_task_id: int,
    result: Result,
    *,
    lead_time: float | None = None,
    was_cancelled: bool = False,
    parent_prediction: int | None = None,
) -> dict[str, Any]:
    """Submit an annotation, as whoever the connection is; `lead_time` is in seconds."""
    body = {
        "result": result,
        "lead_time": lead_time,
        "was_cancelled": was_cancelled,
        "parent_prediction": parent_prediction,
    }
    return dict(studio.post(f"api/tasks/{ls_task_id}/annotations/", json=body))


def update_annotation(studio: LabelStudio, ls_annotation_id: int, **fields: Any) -> dict[str, Any]:
    """Change an annotation's `result`, `was_cancelled`, `lead_time`, …"""
    return dict(studio.patch(f"api/annotations/{ls_annotation_id}/", json=fields))


def delete_annotation(studio: LabelStudio, ls_annotation_id: int) -> None:
    """Delete an annotation; its task stays."""
    studio.delete(f"api/annotations/{ls_annotation_id}/")


def _finished(studio: LabelStudio, path: str) -> dict[str, Any]:
    """An import that the server carried on with, once it is done.

    Raises Refused or Uncertain.
    """
    ends = time.monotonic() + IMPORT_SECONDS
    while time.monotonic() < ends:
        found = dict(studio.get(path))
        if found["status"] == "completed":
            return found
        if found["status"] == "failed":
            raise Refused(
                f"Label Studio did not import the tasks: {found.get('error')}", "Correct what it names."
            )
        time.sleep(POLL_SECONDS)
    raise Uncertain(
        f"Label Studio still imports after {IMPORT_SECONDS:.0f} s.",
        "Run again later: what it did is found and kept.",
    )


def _count_pairs(
    studio: LabelStudio, ls_project_id: int, field: str, pairs: Sequence[tuple[int, str]], salt: str = ""
) -> int:
    """The number of tasks whose id and `field` are in one group of (id, value)."""
    lines = [_group(field, group) for group in _groups(pairs, salt)]
    return keyset.first(studio, ls_project_id, lines, 1, {"include": "id"}, conjunction="or").remaining


def _groups(pairs: Sequence[tuple[int, str]], salt: str) -> list[list[tuple[int, str]]]:
    dealt: list[list[tuple[int, str]]] = [[] for _ in range(GROUPS)]
    for pair in pairs:
        # Not a CRC: of two values it says the same with every salt.
        digest = hashlib.blake2b(f"{pair[1]}{salt}".encode(), digest_size=1).digest()
        dealt[digest[0] % GROUPS].append(pair)
    return [group for group in dealt if group]


def _group(field: str, pairs: list[tuple[int, str]]) -> keyset.Filter:
    """Tasks with one of these ids and one of these values."""
    has_value = keyset.where(field, "in_list", "List", sorted({value for _, value in pairs}))
    return keyset.where("id", "in_list", "List", [i for i, _ in pairs]) | {"child_filter": has_value}


def _chunks(values: Sequence[T], size: int) -> Iterator[list[T]]:
    for start in range(0, len(values), size):
        yield list(values[start : start + size])
