"""`lsloop events`: what Label Studio told, and what became of it."""

from typing import Annotated

import typer

from lsloop.commands._call import Call
from lsloop.commands._options import ByOpt, LimitOpt, actor
from lsloop.commands._output import Table
from lsloop.commands._services import opened_ledger
from lsloop.ledger import events as ledger_events
from lsloop.values.text import counted

COLUMNS = ("event", "first received", "action", "project", "state", "tries", "times received", "why")
SHOWN = 20


def events(
    ctx: typer.Context,
    failed: Annotated[bool, typer.Option("--failed", help="Only those that were given up.")] = False,
    retry: Annotated[
        bool, typer.Option("--retry", help="Have those that were given up tried again.")
    ] = False,
    limit: LimitOpt = None,
    by: ByOpt = None,
) -> None:
    """Show the newest events from Label Studio, or have those that were given up tried again.

    An event only says where to look, so one that is given up loses nothing: a pull brings what it told.

    Example:
      lsloop events --failed
      lsloop events --retry
    """
    call = Call.of(ctx)
    with opened_ledger(call.config) as ledger:
        if retry:
            count = ledger_events.retry(ledger, actor(by))
            said = f"{counted(count, 'event')} will be tried again." if count else "No event was given up."
            call.out.result({"retried": count}, said)
            return
        found = ledger_events.recent(ledger, limit or SHOWN, failed=failed)
        counts = ledger_events.counts(ledger)
    rows = [
        (one["event_id"], f"{one['received_at']:%Y-%m-%d %H:%M:%S}", one["action"],
         one["ls_project_id"] or "", one["state"], one["attempts"], one["deliveries"], one["error"] or "")
        for one in found
    ]  # fmt: skip
    shown = Table(COLUMNS, rows) if rows else "No event was given up." if failed else "No event has come yet."
    call.out.result({"counts": counts, "events": found}, shown)
