"""`lsloop gold`: samples with a known answer, and what they tell about annotators."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from lsloop.commands._call import Call
from lsloop.commands._options import ByOpt, TaskTypeOpt, actor
from lsloop.commands._output import Table
from lsloop.commands._services import opened_ledger
from lsloop.commands.annotators import bounds, errors, percent
from lsloop.config import Config
from lsloop.errors import LsloopError, UsageError
from lsloop.ledger import gold, quality
from lsloop.loop.job import kinds_of
from lsloop.records import Value
from lsloop.steps.gold import check_reference
from lsloop.task_types import Kind
from lsloop.values.text import counted, nfc

app = typer.Typer(
    help="""Keep the gold standard: samples with a known answer, mixed unseen into what annotators get.

Example:
  lsloop gold set clip-0001 --value '{"transcript": "xin chào"}'
  lsloop gold report
""",
    no_args_is_help=True,
)

IdsArg = Annotated[list[str], typer.Argument(metavar="EXTERNAL_ID", help="Samples.", show_default=False)]
SourceOpt = Annotated[
    str | None, typer.Option("--source", metavar="S", help="Where an id is in several sources.")
]


@app.command("set")
def set_(
    ctx: typer.Context,
    external_ids: IdsArg,
    value: Annotated[
        str | None, typer.Option("--value", metavar="JSON", help='The right values: {"transcript": "…"}.')
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--file", metavar="FILE", help="A JSON file with them.")
    ] = None,
    from_revision: Annotated[
        bool,
        typer.Option(
            "--from-revision", help="Take the values that people accepted (as without --value and --file)."
        ),
    ] = False,
    score: Annotated[
        float, typer.Option("--score", metavar="S", min=0, max=1, help="How sure the values are.")
    ] = 1.0,
    source: SourceOpt = None,
    by: ByOpt = None,
) -> None:
    """Make samples gold. They are no longer sent for ordinary work, and never exported for training.

    Example:
      lsloop gold set clip-0001 clip-0002 --from-revision
      lsloop gold set clip-0003 --file right.json
    """
    call = Call.of(ctx)
    reference = _reference(call, value, file, from_revision, len(external_ids))
    if reference is not None:
        check_reference(reference, _kinds(call.config))
    done: list[str] = []
    failed: dict[str, LsloopError] = {}
    with opened_ledger(call.config) as ledger:
        for external_id in external_ids:
            try:
                sample_id = gold.find_sample(ledger, nfc(external_id), source)
                gold.set_standard(ledger, sample_id, score, actor(by), reference)
                done.append(external_id)
            except LsloopError as error:  # the other samples can be gold nevertheless
                if len(external_ids) == 1:
                    raise
                failed[external_id] = error
    told = [{"external_id": name, "problem": trouble.problem} for name, trouble in failed.items()]
    call.out.result({"gold": done, "failed": told}, f"{_samples(len(done))} gold.")
    for trouble in failed.values():
        call.out.warn(f"{trouble.problem} {trouble.fix}")
    if failed:
        raise typer.Exit(1)


@app.command()
def unset(ctx: typer.Context, external_ids: IdsArg, source: SourceOpt = None, by: ByOpt = None) -> None:
    """Give gold samples back to ordinary work. What was scored against them no longer counts.

    Example:
      lsloop gold unset clip-0001
    """
    call = Call.of(ctx)
    with opened_ledger(call.config) as ledger:
        ids = {name: gold.find_sample(ledger, nfc(name), source) for name in external_ids}
        done = [name for name, sample_id in ids.items() if gold.unset_standard(ledger, sample_id, actor(by))]
    said = [f"{_samples(len(done))} gold no longer."] if done else []
    said += [f"{_samples(len(ids) - len(done))} not gold anyway."] if len(done) < len(ids) else []
    call.out.result({"unset": done}, " ".join(said))


@app.command("list")
def list_(ctx: typer.Context) -> None:
    """List gold samples. Those that annotators agree with least come first: their references may be wrong.

    Example:
      lsloop gold list --json
    """
    call = Call.of(ctx)
    with opened_ledger(call.config) as ledger:
        found = gold.standards(ledger)
    columns = ("external id", "reference", "score", "set by", "set on", "probes", "scored", "agreement", "")
    rows = [
        (one["external_id"], _short(one["reference"]), one["gold_score"], one["set_by"],
         f"{one['set_at']:%Y-%m-%d}", one["probes"], one["answers"], percent(one["mean"]),
         "its content changed since: set it anew" if one["changed_since_set"] else "")
        for one in found
    ]  # fmt: skip
    shown = Table(columns, rows) if rows else "No sample is gold. `lsloop gold set EXTERNAL_ID` makes one."
    call.out.result({"gold": found}, shown)


@app.command()
def report(ctx: typer.Context, task_type: TaskTypeOpt = None) -> None:
    """Show what gold tells: how much of it annotators met, how right they were, and whether that changes.

    Example:
      lsloop gold report --task-type transcript_correction
    """
    call = Call.of(ctx)
    name = call.config.task_type(task_type)[0] if task_type else None
    window = call.config.params.gold.window
    with opened_ledger(call.config) as ledger:
        sent = [one for one in gold.pools(ledger) if name in (None, one["task_type"])]
        people = [one for one in quality.annotators(ledger, name) if one["n"]]
        drift = gold.drift(ledger, window, name)
    document = {"task_types": sent, "annotators": people, "drift": drift, "window": window}
    call.out.result(document, *_report(sent, people, drift, window))


def _report(
    sent: list[dict[str, Any]], people: list[dict[str, Any]], drift: list[dict[str, Any]], window: int
) -> list[Table | str]:
    probes = [
        (
            one["task_type"],
            one["tasks"],
            one["probes"],
            percent(one["share"]),
            one["answered"],
            one["at_work"],
        )
        for one in sent
    ]
    shown: list[Table | str] = [
        Table(
            ("task type", "tasks sent", "probes", "share", "answered", "at work"), probes, title="Probes sent"
        )
    ]
    if not people:
        return [*shown, "No answer to a probe was scored yet."]
    measured = [
        (one["annotator"], one["task_type"], one["n"], bounds(one["mean"], one["low"], one["high"]),
         errors(one)) for one in people
    ]  # fmt: skip
    columns = ("annotator", "task type", "scored", "accuracy (95 %)", "errors (95 %)")
    moved = [
        (one["annotator"], one["task_type"], percent(one["before"]), percent(one["recent"]), _moved(one))
        for one in drift
    ]
    last = ("annotator", "task type", "before", f"last {window}", "change")
    return [*shown, Table(columns, measured, title="Accuracy"), Table(last, moved, title="Change")]


def _moved(one: dict[str, Any]) -> str:
    if one["drift"] is None:
        return "too few to tell"
    points = f"{100 * one['drift']:+.1f} points"
    return f"{points}, more than chance" if one["clear"] else points


def _reference(
    call: Call, value: str | None, file: Path | None, from_revision: bool, samples: int
) -> Value | None:
    """The reference that was given; None: the accepted values.

    Raises UsageError.
    """
    if sum((value is not None, file is not None, from_revision)) > 1:
        raise UsageError("--value, --file and --from-revision exclude each other.", "Give one of them.")
    if value is None and file is None:
        return None
    if samples > 1:
        raise UsageError(
            f"One reference cannot be right for {counted(samples, 'sample')}.",
            "Give one EXTERNAL_ID with it.",
        )
    try:
        text = call.path(file).read_text(encoding="utf-8") if file is not None else value
        found = json.loads(nfc(text or ""))
    except ValueError as error:
        raise UsageError(
            f"The reference is not JSON: {error}.", 'Write it as {"transcript": "…"}.'
        ) from error
    if not isinstance(found, dict):
        raise UsageError("The reference is not an object.", 'Write it as {"transcript": "…"}.')
    return found


def _kinds(config: Config) -> list[Kind]:
    return list(kinds_of(config, None).values())


def _samples(count: int) -> str:
    return counted(count, "sample is", "samples are")


def _short(reference: Value) -> str:
    text = json.dumps(reference, ensure_ascii=False)
    return text if len(text) <= 60 else text[:59] + "…"
