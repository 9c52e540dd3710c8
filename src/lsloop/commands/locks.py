"""`lsloop locks`: who holds what, and why."""

from typing import Annotated

import typer

from lsloop.commands._call import Call
from lsloop.commands._options import ByOpt, LimitOpt, TaskTypeOpt, actor
from lsloop.commands._output import Table
from lsloop.commands._services import opened_ledger
from lsloop.ledger import locks as ledger_locks
from lsloop.ledger.locks import Counts, Lock
from lsloop.steps import lock
from lsloop.values.text import counted

SHOWN = 50


def locks(
    ctx: typer.Context,
    task_type: TaskTypeOpt = None,
    stale: Annotated[
        bool,
        typer.Option("--stale", help="Only those that look forgotten: expired, or of a task nobody answers."),
    ] = False,
    release: Annotated[
        int | None, typer.Option("--release", metavar="ID", min=1, help="Take this lock from its owner.")
    ] = None,
    limit: LimitOpt = None,
    reason: Annotated[
        str | None, typer.Option("--reason", metavar="WHY", help="Kept with the release.")
    ] = None,
    by: ByOpt = None,
) -> None:
    """Show who holds which sample, since when, and why, oldest first.

    A lock that a task in Label Studio needs is never released: it says what ends it.

    Example:
      lsloop locks --task-type transcript_correction
      lsloop locks --stale
      lsloop locks --release 7 --reason "the crawler is gone"
    """
    call = Call.of(ctx)
    name = call.config.task_type(task_type)[0] if task_type else None
    days = call.config.params.lock.abandoned_days
    with opened_ledger(call.config) as ledger:
        if release is not None:
            ledger_locks.release(ledger, release, actor=actor(by), reason=reason)
            return call.out.result({"released": release}, f"Lock {release} is released.")
        many = limit or SHOWN
        found = (
            ledger_locks.stale(ledger, days, name, many) if stale else ledger_locks.held(ledger, name, many)
        )
        counts = ledger_locks.counts(ledger, name)
    document = {"locks": [{**vars(one), "why": lock.why(one)} for one in found], "counts": counts}
    if not found:
        return call.out.result(document, "No lock looks forgotten." if stale else "Nobody holds a lock.")
    more = counts.bound + counts.elsewhere + counts.expired - len(found)
    rest = [f"… and {more:,} more: --limit shows them."] if more and not stale else []
    return call.out.result(document, _table(found, _title(counts, len(found), stale)), *rest)


def _title(counts: Counts, shown: int, stale: bool) -> str:
    if stale:
        return f"Forgotten, it seems: {counted(shown, 'lock')}"
    return (
        f"Locks: {counts.bound:,} of tasks, {counts.elsewhere:,} of other owners, {counts.expired:,} expired"
    )


def _table(found: list[Lock], title: str) -> Table:
    rows = [
        (str(one.lock_id), one.external_id, one.task_type or "every", one.locked_by,
         f"{lock.span(one.now - one.locked_at)} ago", lock.why(one))
        for one in found
    ]  # fmt: skip
    return Table(("id", "sample", "task type", "held by", "since", "why"), rows, title=title)
