"""Command `lsloop retrain`: fine-tune a model, and use it if it is better.

It learns from what people accepted.
"""

import time
from collections.abc import Mapping
from typing import Annotated, Literal

import typer

from lsloop import loop
from lsloop.commands._call import Call
from lsloop.commands._models import metrics_table
from lsloop.commands._options import ByOpt, NeededTaskTypeOpt, actor
from lsloop.commands._output import Output
from lsloop.commands._services import opened_ledger
from lsloop.errors import UsageError
from lsloop.running import jobs
from lsloop.steps import retraining
from lsloop.values.promotion import Rule


def retrain(
    ctx: typer.Context,
    task_type: NeededTaskTypeOpt,
    base: Annotated[
        str | None,
        typer.Option("--base", metavar="MODEL", help="Begin with this folder, hub id or model version."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Only go on with a run that was killed.")] = False,
    no_promote: Annotated[
        bool, typer.Option("--no-promote", help="Measure it, and leave it unused.")
    ] = False,
    force_promote: Annotated[
        bool, typer.Option("--force-promote", help="Use it whatever is measured; say why with --reason.")
    ] = False,
    reason: Annotated[
        str | None, typer.Option("--reason", metavar="WHY", help="Kept with the training.")
    ] = None,
    launcher: Annotated[
        Literal["torchrun"] | None, typer.Option("--launcher", help="Train in several processes at once.")
    ] = None,
    nproc_per_node: Annotated[
        int, typer.Option("--nproc-per-node", metavar="N", min=1, help="How many: one per GPU.")
    ] = 1,
    background: Annotated[
        bool, typer.Option("--background", help="Export and train later, by a worker (`lsloop worker`).")
    ] = False,
    by: ByOpt = None,
) -> None:
    """Fine-tune on data/reviewed, compare with the model in use on the frozen test split, and use what is
    better.

    Better is what is better beyond the 95 % interval of a paired bootstrap. A run that was killed goes on
    from its last checkpoint by itself, if data and settings are the same. One training per task type at a
    time; in the background one more may wait.

    Example:
      lsloop export && lsloop retrain --task-type transcript_correction
      lsloop retrain -t translation_review --launcher torchrun --nproc-per-node 4
    """
    call = Call.of(ctx)
    if no_promote and force_promote:
        raise UsageError("--no-promote and --force-promote exclude each other.", "Give one of them.")
    if background:
        return _queue(call, task_type, by, reason, base, words={
            "--base": base, "--resume": resume, "--no-promote": no_promote, "--force-promote": force_promote,
            "--reason": reason, "--launcher": launcher,
            "--nproc-per-node": nproc_per_node if launcher else None,
        })  # fmt: skip
    rule: Rule = "never" if no_promote else "always" if force_promote else "if_better"
    with opened_ledger(call.config) as ledger:
        try:
            done = loop.retrain(
                ledger,
                call.config,
                task_type,
                actor=actor(by),
                reason=reason,
                base=base,
                resume=resume,
                rule=rule,
                processes=nproc_per_node if launcher else None,
                progress=_progress(call.out),
            )
        except retraining.AlreadyAtWork as at_work:
            return call.out.result({"trained": False, "why": at_work.problem}, at_work.problem, at_work.fix)
    return call.out.result(
        done, *([metrics_table(done.version, done.metrics)] if done.metrics else []), done.why
    )


def _queue(
    call: Call,
    task_type: str,
    by: str | None,
    reason: str | None,
    base: str | None,
    words: Mapping[str, object],
) -> None:
    """Have a worker do it, with the same options."""
    name = call.config.task_type(task_type)[0]
    with opened_ledger(call.config) as ledger:
        loop.check_base(ledger, call.config, name, base)
    given = [
        str(part) for word, value in words.items() if value for part in (word, value) if part is not True
    ]
    number = jobs.retrain(
        call.config, name, actor=actor(by), reason=reason, words=[*given, "--by", actor(by)]
    )
    said = f"Training {number} of {name} waits for a worker; `lsloop models list` shows how it goes."
    call.out.result({"training": number, "task_type": name}, said)


def _progress(out: Output) -> retraining.Progress:
    """Return what reports each beginning, and the loss every few seconds."""
    said = time.monotonic()

    def log(metrics: Mapping[str, float]) -> None:
        nonlocal said
        if "loss" in metrics and time.monotonic() - said > 5:
            said = time.monotonic()
            out.note(f"  step {int(metrics['step']):,}: loss {metrics['loss']:.3f}")

    return retraining.Progress(out.note, log)
