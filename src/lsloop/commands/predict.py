"""`lsloop predict`: a model answers before people do."""

from typing import Annotated

import typer

from lsloop import loop
from lsloop.commands._call import Call
from lsloop.commands._options import LimitOpt, NeededTaskTypeOpt
from lsloop.commands._output import Output, Table
from lsloop.commands._services import opened_ledger
from lsloop.errors import UsageError
from lsloop.ledger import predictions
from lsloop.running import jobs
from lsloop.steps.prediction import Predicted
from lsloop.values.text import counted

_SHOWN = 20  # failed samples that people are shown; --json names a thousand


def predict(
    ctx: typer.Context,
    task_type: NeededTaskTypeOpt,
    limit: LimitOpt = None,
    again: Annotated[bool, typer.Option("--all", help="Also where this model has answered already.")] = False,
    model: Annotated[
        str | None,
        typer.Option("--model", metavar="M", help="A folder or hub id; the model in use when not given."),
    ] = None,
    background: Annotated[
        bool, typer.Option("--background", help="Leave it to `lsloop worker --queue predict`.")
    ] = False,
    workers: Annotated[
        int,
        typer.Option(
            "--workers", metavar="N", min=1, max=100, help="In the background: so many share the work."
        ),
    ] = 1,
) -> None:
    """Have the model in use pre-annotate the samples that wait: those a push may send, and gold; oldest
    first.

    A sample waits while it has no prediction of this model version and its content. What was predicted stays
    when this is stopped; run it again to go on. Run it several times at once to share the work. A sample that
    fails is named, the others go on, and the exit code is 1.

    Example:
      lsloop predict --task-type transcript_correction
      lsloop predict -t translation_review --limit 500 --background
    """
    call = Call.of(ctx)
    if workers > 1 and not background:
        raise UsageError(
            "--workers is for the background.", "Add --background, or run the command several times."
        )
    if background:
        return _queue(call, task_type, limit, again, model, workers)
    with opened_ledger(call.config) as ledger, call.out.progress("Predicting") as progress:
        told = loop.Progress(progress.expect, progress.advance)
        since = predictions.now(ledger) if again else None
        done = loop.predict(
            ledger, call.config, task_type, limit=limit, since=since, model=model, progress=told
        )
    _answer(call.out, done)
    if done.failed:
        raise typer.Exit(1)
    return None


def _queue(
    call: Call, task_type: str, limit: int | None, again: bool, model: str | None, workers: int
) -> None:
    """One job for each of so many workers."""
    name, _ = call.config.task_type(task_type)
    with opened_ledger(call.config) as ledger:
        loop.models_that_answer(ledger, call.config, name, model)
        since = predictions.now(ledger).isoformat() if again else None
    if limit is not None:
        limit = -(-limit // workers)
    wanted = {"task_type": name, "limit": limit, "since": since, "model": model}
    numbers = [jobs.add(call.config, "predict", key=f"{name} {place}", **wanted) for place in range(workers)]
    queued = [number for number in numbers if number is not None]
    told = f"Queued {len(queued)} of {counted(workers, 'job')}" if queued else "Nothing queued"
    waiting = "" if len(queued) == workers else "; the others wait already"
    call.out.result({"jobs": queued}, f"{told}{waiting}. `lsloop worker --queue predict` does them.")


def _answer(out: Output, done: Predicted) -> None:
    said = f"Predicted {counted(done.predicted, 'sample')}" if done.predicted else "Nothing was predicted"
    if not done.predicted and not done.failed:
        said = "No sample waits for a prediction"
    rows = [(one["external_id"], one["problem"]) for one in done.problems[:_SHOWN]]
    more = done.failed - len(rows)
    out.result(
        vars(done),
        f"{said} (model {done.model_version}).",
        *([f"It stands in for the first choice: {done.fallback}."] if done.fallback else []),
        *([Table(("sample", "failed because"), rows)] if rows else []),
        *([f"… and {more:,} more; --json names them."] if more > 0 else []),
    )
