"""Command `lsloop annotators`: accuracy, agreement, and work held for review.

It tells how right annotators are, how far they agree, and whose work is held.
"""

from typing import Annotated, Any

import typer

from lsloop import loop
from lsloop.commands._call import Call
from lsloop.commands._options import ByOpt, TaskTypeOpt, actor
from lsloop.commands._output import Table
from lsloop.commands._services import opened_ledger
from lsloop.ledger import quality
from lsloop.steps import consensus
from lsloop.values.text import counted

app = typer.Typer(
    invoke_without_command=True,
    help="""Show how right annotators are, how far they agree, and whose work is held for review.

Accuracy is the agreement with gold references, with the bounds between which it lies with 95 % confidence.

Example:
  lsloop annotators
  lsloop annotators --task-type transcript_correction --json
  lsloop annotators held linh@example.com
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
    return call.out.result(document, *_tables(people, agreed, remarks, call.config.params.gold.window))


NameArg = Annotated[
    str, typer.Argument(metavar="NAME", help="An e-mail address, or how it begins.", show_default=False)
]
TasksOpt = Annotated[
    list[int] | None,
    typer.Option("--task", metavar="N", help="Only this task of Label Studio; may be given several times."),
]
ReasonOpt = Annotated[str | None, typer.Option("--reason", metavar="WHY", help="Kept with the decision.")]


@app.command()
def held(ctx: typer.Context, annotator: NameArg, task_type: TaskTypeOpt = None) -> None:
    """List an annotator's answers that are held for review, with links, the oldest first.

    Example:
      lsloop annotators held linh@example.com
    """
    call = Call.of(ctx)
    only = call.config.task_type(task_type)[0] if task_type else None
    with opened_ledger(call.config) as ledger:
        name = quality.find(ledger, annotator)
        found = [
            one | {"url": call.config.task_page(one["ls_project_id"], one["ls_task_id"])}
            for one in quality.held(ledger, name, only)
        ]
    document = {"annotator": name, "held": found}
    if not found:
        return call.out.result(document, f"No answer of {name} is held for review.")
    rows = [
        (one["task_type"], one["external_id"], one["ls_task_id"], f"{one['submitted_at']:%Y-%m-%d %H:%M}",
         one["url"])
        for one in found
    ]  # fmt: skip
    return call.out.result(
        document,
        Table(("task type", "sample", "task", "submitted", "link"), rows),
        f"`lsloop annotators release {name}` lets them count; "
        "`reject` sends their samples to somebody again. "
        "Both take --task N.",
    )


@app.command()
def release(
    ctx: typer.Context,
    annotator: NameArg,
    task_type: TaskTypeOpt = None,
    tasks: TasksOpt = None,
    reason: ReasonOpt = None,
    by: ByOpt = None,
) -> None:
    """Let an annotator's held work count again; the probes they answered so far are not held against them any
    more.

    With --task only the answers to these tasks count, and what else is held stays held.

    Example:
      lsloop annotators release linh@example.com --reason "looked at 20 of them"
      lsloop annotators release linh@example.com --task 812 --task 815
    """
    call = Call.of(ctx)
    only = call.config.task_type(task_type)[0] if task_type else None
    with opened_ledger(call.config) as ledger:
        name = quality.find(ledger, annotator)
        if tasks:
            done = loop.review(
                ledger, call.config, name, only, tasks, "released", actor=actor(by), reason=reason
            )
        else:
            done = loop.release(ledger, call.config, name, only, actor=actor(by), reason=reason)
    what = f"{counted(len(tasks), 'answer')} of {name}" if tasks else name
    said = [f"Released {what} in {', '.join(done)}." if done else f"{name} is not held for review."]
    call.out.result({"annotator": name, "released": done}, " ".join([*said, *_became(done)]))


@app.command()
def reject(
    ctx: typer.Context,
    annotator: NameArg,
    task_type: TaskTypeOpt = None,
    tasks: TasksOpt = None,
    reason: ReasonOpt = None,
    by: ByOpt = None,
) -> None:
    """Set an annotator's held answers aside for good: they stay in the history, and their samples are sent
    again.

    Without --task all that are held. The annotator stays held until they answer gold probes well, or are
    released.

    Example:
      lsloop annotators reject linh@example.com --reason "typed without listening"
      lsloop annotators reject linh@example.com --task 812
    """
    call = Call.of(ctx)
    only = call.config.task_type(task_type)[0] if task_type else None
    with opened_ledger(call.config) as ledger:
        name = quality.find(ledger, annotator)
        done = loop.review(ledger, call.config, name, only, tasks, "rejected", actor=actor(by), reason=reason)
    said = [
        f"Rejected answers of {name} in {', '.join(done)}."
        if done
        else f"No answer of {name} is held for review."
    ]
    call.out.result({"annotator": name, "rejected": done}, " ".join([*said, *_became(done)]))


def _became(done: dict[str, dict[str, int]]) -> list[str]:
    return [
        f"{counted(count, 'task')} {word}."
        for became in done.values()
        for word, count in sorted(became.items())
    ]


def _tables(
    people: list[dict[str, Any]], agreed: list[dict[str, Any]], remarks: list[consensus.Remark], window: int
) -> list[Table | str]:
    columns = (
        "annotator",
        "task type",
        "answered",
        "gold seen",
        "scored",
        "accuracy (95 %)",
        "errors (95 %)",
        "state",
    )
    shown: list[Table | str] = [Table(columns, [_row(one, window) for one in people])]
    shown += [
        f"{one['annotator']}: {counted(one['held'], 'answered task')} of {one['task_type']} held for review "
        f"(`lsloop annotators held {one['annotator']}`)."
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


def _row(one: dict[str, Any], window: int) -> tuple[Any, ...]:
    return (
        one["annotator"], one["task_type"], one["answered"], f"{one['gold']:,} ({percent(one['gold_rate'])})",
        one["n"], bounds(one["mean"], one["low"], one["high"]),
        errors(one), _state(one, window),
    )  # fmt: skip


def errors(one: dict[str, Any]) -> str:
    """The share of what is wrong with its bounds, and of what."""
    rate = bounds(one["error_rate"], one["error_low"], one["error_high"])
    return f"{rate} of {one['unit']}" if rate else ""


def _state(one: dict[str, Any], window: int) -> str:
    if one["quarantined_at"]:
        return f"held: {percent(one['quarantine_score'])}, floor {percent(one['quarantine_floor'])}"
    if not one["n"]:
        return "not measured"
    # Before so many probes nobody is held, however bad they are.
    return "ok" if one["n"] >= window else f"too few to judge: {one['n']} of {window}"


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
