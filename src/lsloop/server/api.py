"""API at /api: conflicts, listed and decided, and what there is to count.

It is for who holds the token.
"""

import re
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, FastAPI, Path, Query, Request
from pydantic import AfterValidator, BaseModel, ConfigDict
from starlette.responses import Response

from lsloop.config import Config
from lsloop.config.following import Now
from lsloop.errors import Refused
from lsloop.ledger import Ledger, annotations, conflicts, overview, problems, quality, servers
from lsloop.ledger.conflicts import Conflict, Filter
from lsloop.loop.job import resolved
from lsloop.records import Strategy
from lsloop.server import guard
from lsloop.server.guard import Problem
from lsloop.steps import conflict as step

MOST = 500  # conflicts in one answer
_LARGEST = 2**63 - 1  # of PostgreSQL's bigint


@dataclass(frozen=True)
class Desk:
    """Desk that the API works with, and the token that opens it."""

    ledger: Ledger
    settings: Config | Now  # those that stay, or that follow params.yaml
    token: str

    @property
    def config(self) -> Config:
        """The settings now."""
        return self.settings if isinstance(self.settings, Config) else self.settings()


_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")  # PostgreSQL cannot hold some of these


def _printable(text: str) -> str:
    if _CONTROL.search(text):
        raise ValueError("it holds control characters")
    return text


Text = Annotated[str, AfterValidator(_printable)]
Number = Annotated[int, Path(ge=1, le=_LARGEST)]


class _Strict(BaseModel):
    """Parameters of a query: a misspelt one is refused, not ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Which(_Strict):
    """Choice of the conflicts to list.

    `after`: those that come after this one, the `next` of the answer before.
    """

    task_type: Annotated[Text, Query(max_length=100)] | None = None
    field: Annotated[Text, Query(max_length=100)] | None = None
    status: Literal["open", "resolved", "withdrawn", "all"] = "open"
    limit: Annotated[int, Query(ge=1, le=MOST)] = 50
    after: Annotated[int, Query(ge=1, le=_LARGEST)] | None = None


class Aside(_Strict):
    """Filter of what was left out.

    `sample`: an external id or a sample id.
    """

    task_type: Annotated[Text, Query(max_length=100)] | None = None
    annotator: Annotated[Text, Query(max_length=500)] | None = None
    sample: Annotated[Text, Query(max_length=2000)] | None = None
    limit: Annotated[int, Query(ge=1, le=MOST)] = 50


class Decision(_Strict):
    """Decision of a conflict.

    `seen`, as the list gave it, has it refused when either side moved since.
    """

    resolution: Strategy
    reason: Annotated[Text, Query(max_length=2000)] | None = None
    seen: Annotated[str, Query(pattern="^[0-9a-f]{32}$")] | None = None


def add(app: FastAPI, desk: Desk) -> None:
    """Serve /api.

    Handlers are plain functions: they run in threads, and the ledger keeps the connections.
    """

    def holder(request: Request) -> None:
        guard.check_token(request.headers, desk.token)

    router = APIRouter(prefix="/api", dependencies=[Depends(holder)])

    @router.get("/conflicts")
    def list_conflicts(which: Annotated[Which, Query()]) -> Response:
        return guard.answer(_listed(desk, which))

    @router.post("/resolve-conflict/{annotation_id}")
    def resolve(request: Request, annotation_id: Number, how: Annotated[Decision, Query()]) -> Response:
        return guard.answer(_resolved(desk, annotation_id, how, guard.actor(request.headers)))

    @router.get("/problems")
    def list_problems(which: Annotated[Aside, Query()]) -> Response:
        return guard.answer(_aside(desk, which))

    @router.get("/stats")
    def stats() -> Response:
        return guard.answer(_stats(desk))

    app.include_router(router)


def _listed(desk: Desk, which: Which) -> dict[str, Any]:
    task_type = desk.config.task_type(which.task_type)[0] if which.task_type else None
    wanted = Filter(task_type, which.field, None if which.status == "all" else which.status)
    found = conflicts.find(desk.ledger, wanted, which.limit + 1, which.after)
    page = found[: which.limit]
    return {
        "conflicts": [_told(conflict) for conflict in page],
        "total": conflicts.count(desk.ledger, wanted),
        "next": page[-1].conflict_id if len(found) > len(page) else None,
    }


def _aside(desk: Desk, which: Aside) -> dict[str, Any]:
    task_type = desk.config.task_type(which.task_type)[0] if which.task_type else None
    found, total = problems.listed(
        desk.ledger, task_type=task_type, annotator=which.annotator, sample=which.sample, limit=which.limit
    )
    page = desk.config.task_page
    told = [
        one | {"url": page(one["ls_project_id"], one["ls_task_id"]) if one["ls_task_id"] else None}
        for one in found
    ]
    return {"problems": told, "total": total}


def _told(conflict: Conflict) -> dict[str, Any]:
    """A conflict under the names of the API: its annotation's id is Label Studio's."""
    told = dict(vars(conflict))
    return {"annotation_id": told.pop("ls_annotation_id"), **told}


def _resolved(desk: Desk, number: int, how: Decision, actor: str) -> dict[str, Any]:
    conflict = _meant(desk, number)
    if how.seen is not None:
        conflict = replace(conflict, seen=how.seen)
    kind = resolved(desk.config, conflict.task_type)[2]
    child = step.resolve(desk.ledger, kind, conflict, how.resolution, actor=actor, reason=how.reason)
    return {
        "annotation_id": conflict.ls_annotation_id,
        "conflict_id": conflict.conflict_id,
        "status": "resolved",
        "resolution": how.resolution,
        "actor": actor,
        "reflow_sample_id": child,
    }


def _meant(desk: Desk, number: int) -> Conflict:
    """Find the conflict about Label Studio's annotation of this number.

    Where there is no such annotation, it is the ledger's conflict of that number. A number
    that is an annotation's never stands for the conflict about another one.
    """
    about = conflicts.of_annotation(
        desk.ledger, servers.spelled(desk.ledger, desk.config.label_studio_server), number
    )
    still_open = [conflict for conflict in about if conflict.status == "open"]
    if len(still_open) > 1:
        ids = ", ".join(str(conflict.conflict_id) for conflict in still_open)
        raise Problem(
            409,
            f"Annotation {number} is in several open conflicts: {ids}.",
            "Decide them with `lsloop conflicts resolve`.",
        )
    if about:
        return (still_open or about)[0]
    if annotations.is_known(
        desk.ledger, servers.spelled(desk.ledger, desk.config.label_studio_server), number
    ):
        raise Problem(404, f"Annotation {number} is in no conflict.", _LIST)
    try:
        return conflicts.get(desk.ledger, number)
    except Refused as refusal:
        raise Problem(404, f"There is no annotation and no conflict {number}.", _LIST) from refusal


_LIST = "GET /api/conflicts?status=all lists what there is."


def _stats(desk: Desk) -> dict[str, Any]:
    tasks = overview.tasks(desk.ledger, servers.spelled(desk.ledger, desk.config.label_studio_server))
    return {
        "now": overview.now(desk.ledger),
        **overview.counts(desk.ledger),
        "task_types": {row.pop("task_type"): row for row in tasks},
        "annotators": quality.annotators(desk.ledger),
        "agreement": quality.agreement(desk.ledger),
    }
