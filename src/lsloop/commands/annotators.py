"""`lsloop annotators`: how right annotators are, how far they agree, and whose work is held for review."""

from typing import Annotated, Any

import typer

from lsloop import loop
from lsloop.commands._call import Call
from lsloop.commands._options import ByOpt, TaskTypeOpt, actor
from lsloop.commands._output import Table
from lsloop.commands._services import opened_ledger
from lsloop.ledger import quality
from lsloop.steps import consensus
from lsloop.text import counted

app = typer.Typer(
    invoke_without_command=True,
    help="""Show how right annotators are, how far they agree, and whose work is held for review.

Accuracy is the agreement with gold references, with the bounds between which it lies with 95 % confidence.

Example:
  lsloop annotators
  lsloop annotators --task-type transcript_correction --json
""",
)


@app.callback()
def annotators(ctx: typer.Context, task_type: TaskTypeOpt = None) -> None:
    """Show annotators; the help text is the application's."""
    if ctx.invoked_subcommand is not None:
        return None
    call = Call.of(ctx)
    name = call.config.task_type(task_type)[0] if task_type else None
    with opened_ledger(call.config) as ledger:
        people = quality.annotators(ledger, name)
        agreed = quality.agreement(ledger, name)
        remarks = consensus.remarks(ledger, name)
    document = {"annotators": people, "agreement": agreed, "remarks": remarks}
    if not people:
        return call.out.result(document, "Nobody has answered a task yet.")
    return call.out.result(document, *_tables(people, agreed, remarks))


@app.command()
def release(
    ctx: typer.Context,
    annotator: Annotated[
        str, typer.Argument(metavar="NAME", help="An e-mail address, or how it begins.", show_default=False)
    ],
    task_type: TaskTypeOpt = None,
    reason: Annotated[
        str | None, typer.Option("--reason", metavar="WHY", help="Kept with the release.")
    ] = None,
    by: ByOpt = None,
) -> None:
    """Let an annotator's held work count again; the probes they answered so far are not held against them any more.

    Example:
      lsloop annotators release linh@example.com --reason "looked at 20 of them"
    """
    call = Call.of(ctx)
    only = call.config.task_type(task_type)[0] if task_type else None
    with opened_ledger(call.config) as ledger:
        name = quality.find(ledger, annotator)
        done = loop.release(ledger, call.config, name, only, actor=actor(by), reason=reason)
    said = [f"Released {name} in {', '.join(done)}." if done else f"{name} is not held for review."]
    said += [f"{counted(count, 'task')} {word}." for became in done.values() for word, count in sorted(became.items())]
    call.out.result({"annotator": name, "released": done}, " ".join(said))


def _tables(
    people: list[dict[str, Any]], agreed: list[dict[str, Any]], remarks: list[consensus.Remark]
) -> list[Table | str]:
    columns = (
        "annotator",
        "task type",
        "answered",
        "gold seen",
        "scored",
        "accuracy (95 %)",
        "word errors (95 %)",
        "state",
    )
    shown: list[Table | str] = [Table(columns, [_row(one) for one in people])]
    shown += [
        f"{one['annotator']}: {counted(one['held'], 'answered task')} of {one['task_type']} held for review "
        f"(`lsloop annotators release {one['annotator']}`)."
        for one in people
        if one["quarantined_at"]
    ]
    if agreed:
        rows = [
            (one["task_type"], "answers: mean agreement", percent(one["agreement"]), one["tasks"],
             _waiting(one)) for one in agreed
        ]  # fmt: skip
        rows += [
            (r.task_type, f"{r.remark}: alpha ({r.level})", _alpha(r.alpha), r.tasks, "") for r in remarks
        ]
        shown.append(
            Table(("task type", "measure", "value", "tasks", ""), rows, title="Agreement between annotators")
        )
    return shown


def _row(one: dict[str, Any]) -> tuple[Any, ...]:
    return (
        one["annotator"], one["task_type"], one["answered"], f"{one['gold']:,} ({percent(one['gold_rate'])})",
        one["n"], bounds(one["mean"], one["low"], one["high"]),
        bounds(one["word_error_rate"], one["word_error_low"], one["word_error_high"]), _state(one),
    )  # fmt: skip


def _state(one: dict[str, Any]) -> str:
    if not one["quarantined_at"]:
        return "ok" if one["n"] else "not measured"
    return f"held: {percent(one['quarantine_score'])}, floor {percent(one['quarantine_floor'])}"


def _waiting(one: dict[str, Any]) -> str:
    return f"{one['below']:,} did not agree, {one['waiting']:,} wait for adjudication" if one["below"] else ""


def _alpha(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.2f}"


def percent(share: float | None) -> str:
    """A share as people read it."""
    return "" if share is None else f"{100 * share:.1f} %"


def bounds(value: float | None, low: float | None, high: float | None) -> str:
    """A share with the bounds of its interval."""
    if value is None or low is None or high is None:
        return ""
    return f"{percent(value)} ({100 * low:.1f}–{100 * high:.1f})"
