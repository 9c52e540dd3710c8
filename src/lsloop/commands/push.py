"""`lsloop push`: samples to Label Studio."""

import secrets
from typing import Annotated

import typer

from lsloop import loop
from lsloop.commands._call import Call
from lsloop.commands._options import DryRunOpt, LimitOpt, NeededTaskTypeOpt, OrderOpt
from lsloop.commands._output import Output, Table
from lsloop.commands._services import both, opened_ledger
from lsloop.steps.task import Planned, Pushed

_SHOWN = 20  # planned samples that people are shown; --json has all


def push(
    ctx: typer.Context,
    task_type: NeededTaskTypeOpt,
    limit: LimitOpt = None,
    order: OrderOpt = None,
    seed: Annotated[
        str | None, typer.Option("--seed", help="Of what chance decides: the same seed, the same order.")
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
    return _answer(call.out, pushed)


def _plan(out: Output, planned: Planned, seed: str) -> None:
    samples = planned.samples
    rows = [(s.external_id, s.media_path, s.sync_version) for s in samples[:_SHOWN]]
    title = f"{len(samples):,} samples would be sent, in this order"
    shown: list[str | Table] = [Table(("external id", "media", "version"), rows, title=title)]
    if len(samples) > _SHOWN:
        shown.append(f"… and {len(samples) - _SHOWN:,} more; --json has all of them.")
    beside = {
        "gold probes, at random places among them": planned.probes,
        "to decide between answers that do not agree": planned.adjudications,
        "of a push that was cut off, where Label Studio does not have them": planned.unfinished,
    }
    if said := [f"{count:,} {what}" for what, count in beside.items() if count]:
        shown.append(f"Beside them: {'; '.join(said)}. Altogether {planned.tasks:,} tasks.")
    document = {**vars(planned), "samples": [s.external_id for s in samples], "tasks": planned.tasks}
    out.result({"dry_run": True, "seed": seed, **document}, *shown)


def _answer(out: Output, pushed: Pushed) -> None:
    said = [f"Sent {pushed.sent:,} tasks." if pushed.sent else "Nothing to send."]
    if pushed.adopted:
        said.append(f"{pushed.adopted:,} tasks of an earlier push had arrived and are now in the ledger.")
    if pushed.removed:
        said.append(f"{pushed.removed:,} tasks were there twice; one of each was removed.")
    if pushed.probes:
        said.append(f"Gold probes among them: {pushed.probes:,}.")
    if pushed.adjudications:
        said.append(f"To decide between answers that do not agree: {pushed.adjudications:,}.")
    if pushed.refreshed:
        said.append(f"{pushed.refreshed:,} tasks that nobody had started show what their samples are now.")
    out.result(vars(pushed), " ".join(said))
    if pushed.probes and pushed.missing_probes:
        out.warn(
            f"{pushed.missing_probes:,} more gold probes were due, and every other gold sample is at work or does not fit: "
            "set more with `lsloop gold set`."
        )
    for kept in pushed.kept[:5]:
        out.warn(f"{kept}.")
    if pushed.unfit:
        out.warn(
            f"{len(pushed.unfit):,} tasks went without their pre-annotation; the first: {pushed.unfit[0]}"
        )
