"""`lsloop push`: samples to Label Studio."""

import secrets
from typing import Annotated

import typer

from lsloop import loop
from lsloop.commands._call import Call
from lsloop.commands._options import DryRunOpt, LimitOpt, NeededTaskTypeOpt, OrderOpt
from lsloop.commands._output import Output, Table
from lsloop.commands._services import both, opened_ledger, page_of
from lsloop.steps.task import Planned, Pushed
from lsloop.values.text import counted

_SHOWN = 20  # planned samples that people are shown; --json has all


def push(
    ctx: typer.Context,
    task_type: NeededTaskTypeOpt,
    limit: LimitOpt = None,
    order: OrderOpt = None,
    seed: Annotated[
        str | None,
        typer.Option("--seed", metavar="TEXT", help="Any text. The same seed gives the same random choices."),
    ] = None,
    dry_run: DryRunOpt = False,
) -> None:
    """Lock samples and send them to Label Studio, each exactly once, with pre-annotations.

    The project is made if it is missing. A push that was cut off is finished first.

    Example:
      lsloop push --task-type transcript_correction --limit 100
      lsloop push -t translation_review --order priority --dry-run
    """
    call = Call.of(ctx)
    seed = seed if seed is not None else secrets.token_hex(8)
    if dry_run:
        with opened_ledger(call.config) as ledger:
            planned = loop.plan_push(ledger, call.config, task_type, limit=limit, order=order, seed=seed)
        return _plan(call.out, planned, seed)
    with both(call.config) as (ledger, studio), call.out.progress("Sending tasks") as progress:
        told = loop.Progress(
            progress.expect,
            progress.advance,
            lambda: call.out.note("Another push is at work; waiting for it."),
        )
        pushed = loop.push(
            ledger, studio, call.config, task_type, limit=limit, order=order, seed=seed, progress=told
        )
        page = page_of(ledger, call.config, task_type)
    return _answer(call.out, pushed, page)


_TO_DECIDE = ("task to decide between answers that differ", "tasks to decide between answers that differ")
_CUT_OFF = ("task of a push that was cut off", "tasks of a push that was cut off")


def _plan(out: Output, planned: Planned, seed: str) -> None:
    samples = planned.samples
    rows = [(s.external_id, s.media_path, s.sync_version) for s in samples[:_SHOWN]]
    title = f"{counted(len(samples), 'sample')} would be sent, in this order"
    shown: list[str | Table] = [Table(("external id", "media", "version"), rows, title=title)]
    if len(samples) > _SHOWN:
        shown.append(f"… and {len(samples) - _SHOWN:,} more; --json has all of them.")
    also = {
        counted(planned.probes, "gold probe"): planned.probes,
        counted(planned.adjudications, *_TO_DECIDE): planned.adjudications,
        counted(planned.unfinished, *_CUT_OFF): planned.unfinished,
    }
    if said := [words for words, count in also.items() if count]:
        shown.append(f"Also: {'; '.join(said)}. In all, {counted(planned.tasks, 'task')}.")
    if planned.left_out:
        shown.append(
            f"{counted(len(planned.left_out), 'sample')} would not be sent; the first: {planned.left_out[0]}"
        )
    document = {**vars(planned), "samples": [s.external_id for s in samples], "tasks": planned.tasks}
    out.result({"dry_run": True, "seed": seed, **document}, *shown)


def _answer(out: Output, pushed: Pushed, page: str | None) -> None:
    said = [f"Sent {counted(pushed.sent, 'task')}." if pushed.sent else "Nothing to send."]
    if pushed.adopted:
        said.append(f"Of an earlier push, {counted(pushed.adopted, 'task')} had arrived; now in the ledger.")
    if pushed.put_away:
        said.append(
            f"Not needed, so no longer given to annotators: {counted(pushed.put_away, 'task')} "
            "(second copies, or decided meanwhile). Nothing was deleted."
        )
    if pushed.probes:
        said.append(f"Gold probes among them: {pushed.probes:,}.")
    if pushed.adjudications:
        said.append(f"Asked to decide between answers that differ: {counted(pushed.adjudications, 'task')}.")
    if pushed.refreshed:
        said.append(
            f"Updated {counted(pushed.refreshed, 'task')} that nobody had started to the latest content."
        )
    if pushed.links:
        said.append(f"Renewed the media links of {counted(pushed.links, 'task')}.")
    where = [f"People answer here: {page}"] if page else []
    out.result({**vars(pushed), "url": page}, " ".join(said), *where)
    for noticed in pushed.noticed:
        out.note(f"{noticed[:1].upper()}{noticed[1:]}.")
    for problem in pushed.not_renewed[:5]:
        out.warn(f"{problem}")
    if pushed.probes and pushed.missing_probes:
        out.warn(
            f"{counted(pushed.missing_probes, 'gold probe')} could not be sent: "
            "every other gold sample is in use or does not fit this task type. `lsloop gold set` makes more."
        )
    _left_out(out, pushed.left_out)
    for kept in pushed.kept[:5]:
        out.warn(f"{kept}.")
    if pushed.unfit:
        out.warn(
            f"Sent without pre-annotation: {counted(len(pushed.unfit), 'task')}; the first: {pushed.unfit[0]}"
        )


def _left_out(out: Output, samples: list[str]) -> None:
    for sample in samples[:5]:
        out.warn(f"Not sent: {sample}")
    if samples:
        out.warn(
            f"{counted(len(samples), 'sample')} could not be sent; the others were. "
            "`lsloop problems` lists them with what to do; "
            "each is tried again when it, or the label config, has changed."
        )
