"""`lsloop problems`: what steps left out, why, and what to do about it."""

from typing import Annotated, Any

import typer

from lsloop.commands._call import Call
from lsloop.commands._options import LimitOpt, TaskTypeOpt
from lsloop.commands._output import Table
from lsloop.commands._services import opened_ledger
from lsloop.config import Config
from lsloop.ledger import problems as ledger_problems

COLUMNS = ("step", "task type", "what", "annotator", "why", "what to do")
SHOWN = 50


def problems(
    ctx: typer.Context,
    task_type: TaskTypeOpt = None,
    annotator: Annotated[
        str | None, typer.Option("--annotator", metavar="NAME", help="Only this one's.")
    ] = None,
    sample: Annotated[
        str | None,
        typer.Option("--sample", metavar="ID", help="Only about this sample: its external id or its id."),
    ] = None,
    limit: LimitOpt = None,
) -> None:
    """Show what could not be taken and was left out while the rest went on, the latest first.

    Each is tried again when it has changed, and leaves the list once it was taken.

    Example:
      lsloop problems
      lsloop problems --annotator minh@example.org --json
    """
    call = Call.of(ctx)
    name = call.config.task_type(task_type)[0] if task_type else None
    with opened_ledger(call.config) as ledger:
        found, total = ledger_problems.listed(
            ledger, task_type=name, annotator=annotator, sample=sample, limit=limit or SHOWN
        )
    told = [one | {"url": _page(call.config, one)} for one in found]
    call.out.result({"problems": told, "total": total}, *_shown(told, total))


def _shown(told: list[dict[str, Any]], total: int) -> list[str | Table]:
    if not told:
        return ["Nothing was left out."]
    rows = [
        (one["step"], one["task_type"], f"{one['subject']} {one['external_id'] or one['key']}",
         one["annotator"], one["reason"], " ".join(part for part in (one["fix"], one["url"]) if part))
        for one in told
    ]  # fmt: skip
    more = [f"{total - len(told):,} more: --limit shows them."] if total > len(told) else []
    return [Table(COLUMNS, rows), *more]


def _page(config: Config, one: dict[str, Any]) -> str | None:
    return config.task_page(one["ls_project_id"], one["ls_task_id"]) if one["ls_task_id"] else None
