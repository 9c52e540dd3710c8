"""Reading a list of tasks without losing one.

It never goes by page number: rows move between pages while people work. Each request asks for the first
page of the ids above the last one seen. The server says each time how many are left; one that gives
fewer is found out.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import httpx

from lsloop.errors import Unreachable
from lsloop.labelstudio import answers
from lsloop.labelstudio.client import LabelStudio, Params
from lsloop.values.text import counted

TaskJson = dict[str, Any]
Filter = dict[str, Any]

SMALLEST = 250  # tasks; a request costs as much as thirty of them
TRIES = 3
"""How often a page is read that has fewer tasks than the server promised."""


@dataclass(frozen=True)
class Page:
    """Some tasks, in the order of their ids.

    `remaining` is how many the server had left, these included. `broken` are those of the tasks that
    the server cannot list, by id, and why; they were read another way, as far as they can be, and those
    of `partial` lack annotations.
    """

    tasks: list[TaskJson]
    remaining: int
    server_time: datetime | None  # the clock of whoever answered; nothing is decided by it
    broken: dict[int, str] = field(default_factory=dict)
    partial: frozenset[int] = frozenset()


First = Callable[[LabelStudio, int, list[Filter], int, Params], Page]
"""How the first page of a list is read."""


def pages(
    studio: LabelStudio,
    ls_project_id: int,
    filters: list[Filter],
    batch: int,
    params: Params,
    read: First | None = None,
) -> Iterator[Page]:
    """Yield pages of at most `batch` tasks by ascending id, until none is left.

    The server says when none is left. The last pages are smaller: whoever works on a page while the
    next one is read has little left to do at the end.

    A task may come twice, but none is left out. Raises Unreachable when the server keeps tasks back.
    """

    def ask(last: int, left: int = 2 * batch) -> Page:
        size = min(batch, max(left // 2, SMALLEST))
        return (read or first)(studio, ls_project_id, [above(last), *filters], size, params)

    def given(start: int, end: int) -> int:
        inside = [above(start), where("id", "less_or_equal", "Number", end), *filters]
        return first(studio, ls_project_id, inside, 1, {"include": "id"}).remaining

    last, tries, page = 0, 1, ask(0)
    while page.remaining:
        _check_order(ls_project_id, last, page)
        if page.tasks:
            yield page
        owed = page.remaining - len(page.tasks)
        if owed <= 0:
            return
        reached = page.tasks[-1]["id"] if page.tasks else last
        following = ask(reached, owed)
        # Fewer are left than were promised: some were deleted meanwhile, or this page lacked some.
        if page.tasks and (following.remaining >= owed or given(last, reached) <= len(page.tasks)):
            last, tries, page = reached, 1, following
        elif tries == TRIES:
            raise _kept_back(ls_project_id, last, page)
        else:
            tries, page = tries + 1, ask(last, page.remaining)


def first(
    studio: LabelStudio,
    ls_project_id: int,
    filters: list[Filter],
    batch: int,
    params: Params,
    conjunction: str = "and",
    order: str = "tasks:id",
    patient: bool = True,
) -> Page:
    """The first page of a list, by ascending id if nothing else is said.

    Raises Failing where the server cannot give it.
    """
    # A GET with a body: a thousand keys do not fit into a URL.
    items = {"conjunction": conjunction, "items": filters}
    body = {"project": ls_project_id, "filters": items, "ordering": [order]}
    asked: Params = {"page": 1, "page_size": batch, "resolve_uri": "false", **params}
    response = studio.send("GET", "api/tasks/", params=asked, json=body, patient=patient)
    found = answers.parsed(response)
    for task in found["tasks"]:
        if not isinstance(
            task.get("data", {}), dict
        ):  # somebody put a list or a text there: nothing in it has a name
            task["data"] = {}
    return Page(found["tasks"], int(found["total"]), _time(response))


def _time(response: httpx.Response) -> datetime | None:
    try:
        return answers.server_time(response)
    except Unreachable:
        return None


def above(ls_task_id: int) -> Filter:
    """Tasks with a greater id."""
    return where("id", "greater", "Number", ls_task_id)


def updated_after(moment: datetime) -> Filter:
    """Tasks updated after a moment, in the server's time."""
    return where("updated_at", "greater", "Datetime", stamp(moment))


def updated_since(moment: datetime) -> Filter:
    """Tasks updated at or after a moment, in the server's time."""
    return where("updated_at", "greater_or_equal", "Datetime", stamp(moment))


def updated_until(moment: datetime) -> Filter:
    """Tasks last updated at or before a moment, in the server's time."""
    return where("updated_at", "less_or_equal", "Datetime", stamp(moment))


def stamp(moment: datetime) -> str:
    """A moment as Label Studio takes it: UTC with a fraction, and no other form."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def where(field: str, operator: str, kind: str, value: Any) -> Filter:
    """One filter of Label Studio's data manager."""
    return {"filter": f"filter:tasks:{field}", "operator": operator, "type": kind, "value": value}


def _check_order(ls_project_id: int, last: int, page: Page) -> None:
    """Check that the server heeded the filter and the order.

    One that ignores them would make the list endless or leave tasks out.
    """
    ids = [last, *(task["id"] for task in page.tasks)]
    if any(a >= b for a, b in pairwise(ids)):
        raise Unreachable(
            f"Label Studio does not list the tasks of project {ls_project_id} above {last} by ascending id.",
            "Let whatever stands before Label Studio pass the body of GET requests on, or "
            "upgrade Label Studio.",
        )


def _kept_back(ls_project_id: int, last: int, page: Page) -> Unreachable:
    return Unreachable(
        f"Label Studio promised {counted(page.remaining, 'task')} above {last} "
        f"in project {ls_project_id}, and gave "
        f"{len(page.tasks)} with others missing between them.",
        "Run again; if it happens again, look at Label Studio's log.",
    )
