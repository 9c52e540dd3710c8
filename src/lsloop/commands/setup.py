"""`lsloop setup`: the Label Studio projects."""

from typing import Annotated

import typer

from lsloop import loop
from lsloop.commands._call import Call
from lsloop.commands._options import TaskTypeOpt
from lsloop.commands._output import Table
from lsloop.commands._services import both
from lsloop.errors import UsageError


def setup(
    ctx: typer.Context,
    task_type: TaskTypeOpt = None,
    recreate: Annotated[
        bool, typer.Option("--recreate", help="Make a project anew that was deleted in Label Studio.")
    ] = False,
) -> None:
    """Create or verify the Label Studio project of each task type, and its webhook; says what differs. Safe to repeat.

    Example:
      lsloop setup
      lsloop setup --task-type transcript_correction
    """
    call = Call.of(ctx)
    names = [task_type] if task_type else list(call.config.params.task_types)
    if recreate and not task_type:
        raise UsageError("--recreate needs to be told which project.", "Add --task-type T.")
    with both(call.config) as (ledger, studio):
        done = {
            name: loop.setup(ledger, studio, call.config, name, recreate=recreate, verify_webhook=True)
            for name in names
        }
    url = call.config.label_studio_url
    rows = [
        (name, str(s.project.ls_project_id), "created" if s.created else "verified", "; ".join(s.drift) or "none",
         "no" if s.no_events else "told", f"{url}/projects/{s.project.ls_project_id}/")
        for name, s in done.items()
    ]  # fmt: skip
    call.out.result(
        {
            name: {
                "project": s.project.ls_project_id,
                "created": s.created,
                "drift": s.drift,
                "no_events": s.no_events,
            }
            for name, s in done.items()
        },
        Table(("task type", "project", "state", "drift", "events", "URL"), rows),
    )
    for why in sorted({s.no_events for s in done.values() if s.no_events}):
        call.out.note(f"Label Studio does not tell what people do. {why}")
