"""`lsloop accuracy`: what models said, held against what is right."""

from pathlib import Path
from typing import Annotated, Any

import typer

from lsloop import loop
from lsloop.commands._call import Call
from lsloop.commands._options import NeededTaskTypeOpt
from lsloop.commands._output import Table
from lsloop.commands._services import opened_ledger
from lsloop.errors import UsageError
from lsloop.ledger.accuracy import Against
from lsloop.steps.accuracy import Accuracy, Measured, Share
from lsloop.values.text import counted


def accuracy(
    ctx: typer.Context,
    task_type: NeededTaskTypeOpt,
    against: Annotated[
        Against,
        typer.Option("--against", help="What is right: what people accepted, gold, or marked annotations."),
    ] = "accepted",
    version: Annotated[
        str | None, typer.Option("--version", metavar="V", help="Only this model version, or how it begins.")
    ] = None,
    predictions: Annotated[
        Path | None,
        typer.Option("--predictions", metavar="FILE", help="JSON lines instead of the ledger's predictions."),
    ] = None,
) -> None:
    """Show how right each model version is, in the measures of the job, with 95 % intervals.

    An answer that is missing is wrong. FILE is as for `lsloop predictions import`, and nothing of it is kept.
    --json has the confusion of every field with few values, and each group. People who began from a model's
    answer tend to leave it as it is: gold says more than what they accepted.

    Example:
      lsloop accuracy -t transcript_correction
      lsloop accuracy -t transcript_correction --against gold
      lsloop accuracy -t candidates --predictions gpt.jsonl --json
    """
    call = Call.of(ctx)
    path = call.path(predictions) if predictions else None
    if path is not None and not path.is_file():
        raise UsageError(f"There is no file {path}.", "Give a file of JSON lines.")
    with opened_ledger(call.config) as ledger:
        found, left_out = loop.accuracy(
            ledger, call.config, task_type, against=against, version=version, path=path
        )
    document = {"against": against, **vars(found), "failed": left_out.failed, "problems": left_out.problems}
    call.out.result(document, *_shown(found, against))
    for problem in left_out.problems[:5]:
        call.out.warn(f"{problem}.")
    if left_out.failed:
        call.out.warn(f"{counted(left_out.failed, 'line')} of the file could not be taken; the others were.")
        raise typer.Exit(1)


_NOTHING = {
    "accepted": "Nothing was accepted yet for this task type.",
    "gold": "There is no gold for this task type: `lsloop gold set` makes it.",
    "ground-truth": "No annotation was marked as ground truth in Label Studio.",
}


def _shown(found: Measured, against: str) -> list[str | Table]:
    if not found.references:
        return [_NOTHING[against]]
    if not found.versions:
        return [
            f"No model answered for any of {counted(found.references, 'sample')} yet: "
            "`lsloop predict` asks one."
        ]
    unit = found.versions[0].unit
    rows = [
        (one.version, one.samples, one.missing, _share(one.overall), _share(one.exact), _rate(one))
        for one in found.versions
    ]
    title = f"against {counted(found.references, 'sample')} ({against})"
    columns = ("model version", "samples", "missing", "agreement", "exact", f"{unit} wrong")
    parts: list[str | Table] = [Table(columns, rows, title=title)]
    names = list(found.versions[0].fields)
    if len(names) > 1:
        by_field: list[tuple[Any, ...]] = [
            (one.version, *(f"{one.fields[name]:.1%}" for name in names)) for one in found.versions
        ]
        parts.append(Table(("model version", *names), by_field, title="exact, by field"))
    return parts


def _share(one: Share) -> str:
    return f"{one.value:.1%} ({one.low:.1%} – {one.high:.1%})"


def _rate(one: Accuracy) -> str:
    wrong, total = one.errors
    return f"{wrong:,} of {total:,} ({wrong / total:.1%})" if total else ""
