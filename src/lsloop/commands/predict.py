"""`lsloop predict`: a model answers before people do."""

from typing import Annotated

import typer

from lsloop import loop
from lsloop.commands._call import Call
from lsloop.commands._options import LimitOpt, NeededTaskTypeOpt
from lsloop.commands._output import Output, Table
from lsloop.commands._services import opened_ledger
from lsloop.steps.prediction import Predicted

_SHOWN = 20  # failed samples that people are shown; --json names a thousand


def predict(
    ctx: typer.Context,
    task_type: NeededTaskTypeOpt,
    limit: LimitOpt = None,
    again: Annotated[bool, typer.Option("--all", help="Also where this model has answered already.")] = False,
    model: Annotated[
        str | None, typer.Option("--model", metavar="M", help="A folder or hub id; the model in use when not given.")
    ] = None,
) -> None:
    """Have the model in use pre-annotate the samples that wait: those a push may send, and gold; oldest first.

    A sample waits while it has no prediction of this model version and its content. What was predicted stays when this
    is stopped; run it again to go on. Run it several times at once to share the work. A sample that fails is named,
    the others go on, and the exit code is 1.

    Example:
      lsloop predict --task-type transcript_correction
      lsloop predict -t transcript_correction --limit 500 && lsloop push -t transcript_correction --order uncertain
    """
    call = Call.of(ctx)
    with opened_ledger(call.config) as ledger, call.out.progress("Predicting") as progress:
        told = loop.Progress(progress.expect, progress.advance)
        done = loop.predict(
            ledger, call.config, task_type, limit=limit, again=again, model=model, progress=told
        )
    _answer(call.out, done)
    if done.failed:
        raise typer.Exit(1)


def _answer(out: Output, done: Predicted) -> None:
    said = f"Predicted {done.predicted:,} samples" if done.predicted else "Nothing was predicted"
    if not done.predicted and not done.failed:
        said = "No sample waits for a prediction"
    rows = [(one["external_id"], one["problem"]) for one in done.problems[:_SHOWN]]
    more = done.failed - len(rows)
    out.result(
        vars(done),
        f"{said} (model {done.model_version}).",
        *([Table(("sample", "failed because"), rows)] if rows else []),
        *([f"… and {more:,} more; --json names them."] if more > 0 else []),
    )
