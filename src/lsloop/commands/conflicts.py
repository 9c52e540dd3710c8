"""`lsloop conflicts`: where upstream changed what annotators were at."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import typer

from lsloop import task_types
from lsloop.commands import _sides
from lsloop.commands._call import Call
from lsloop.commands._options import ByOpt, DryRunOpt, LimitOpt, TaskTypeOpt, actor
from lsloop.commands._output import Output, Table
from lsloop.commands._services import opened_ledger
from lsloop.config import Config
from lsloop.errors import UsageError
from lsloop.ledger import conflicts
from lsloop.ledger.conflicts import Conflict, Filter
from lsloop.loop.job import resolved
from lsloop.records import Strategy, Value
from lsloop.steps import conflict as step
from lsloop.steps.lock import span
from lsloop.task_types import Kind
from lsloop.values.text import counted

SHOWN = 50

app = typer.Typer(
    help="""Decide where upstream changed what an annotator was at.

params.yaml says what is decided by itself at each pull; what is left is for people. \
Every decision can be undone.

Example:
  lsloop conflicts list
  lsloop conflicts show 12
  lsloop conflicts resolve 12 --strategy human_wins
  lsloop conflicts undo 12
""",
    no_args_is_help=True,
)

IdArg = Annotated[int, typer.Argument(metavar="ID", help="A conflict.", min=1, show_default=False)]
FieldOpt = Annotated[
    str | None, typer.Option("--field", metavar="F", help="Only those about this field, or media.")
]
ReasonOpt = Annotated[str | None, typer.Option("--reason", metavar="WHY", help="Kept with the decision.")]
StrategyOpt = Annotated[
    Strategy,
    typer.Option(
        "--strategy",
        "-s",
        help="human_wins: the answer counts; crawler_wins: what is there now stays; "
        "merged: both changes, where they do not overlap; "
        "pending_reflow: the new content is annotated anew, beginning from the answer.",
        show_default=False,
    ),
]


@app.command("list")
def list_(
    ctx: typer.Context,
    task_type: TaskTypeOpt = None,
    field: FieldOpt = None,
    status: Annotated[
        Literal["open", "resolved", "withdrawn", "all"], typer.Option("--status", help="Which.")
    ] = "open",
    limit: LimitOpt = None,
) -> None:
    """List conflicts.

    Open ones come oldest first, others newest first.

    Example:
      lsloop conflicts list --task-type transcript_correction --field media
      lsloop conflicts list --status resolved --json
    """
    call = Call.of(ctx)
    which = _which(call.config, task_type, field, None if status == "all" else status)
    with opened_ledger(call.config) as ledger:
        found = conflicts.find(ledger, which, limit or SHOWN)
        total = conflicts.count(ledger, which)
    kind = "conflict" if status == "all" else f"{status} conflict"
    if not found:
        return call.out.result({"conflicts": [], "total": 0}, f"There are no {kind}s.")
    shown = [_list(found, counted(total, kind))]
    more = [f"… and {total - len(found):,} more: --limit shows them."] if total > len(found) else []
    return call.out.result({"conflicts": found, "total": total}, *shown, *more)


def _in_words(kind: Kind, found: Conflict, merged: Value | None) -> tuple[Conflict, Value | None]:
    """The sides of a conflict as people read them."""
    base, theirs = (
        side | {"fields": side["fields"] | task_types.readable(kind, _written(kind, side))}
        for side in (found.base, found.theirs)
    )
    ours = None if found.ours is None else found.ours | task_types.readable(kind, found.ours)
    told = None if merged is None else merged | task_types.readable(kind, merged)
    return replace(found, base=base, theirs=theirs, ours=ours), told


def _written(kind: Kind, side: dict[str, Any]) -> Value:
    return {name: part for name, part in side["fields"].items() if name in kind.WRITES}


@app.command()
def show(ctx: typer.Context, conflict_id: IdArg) -> None:
    """Show a conflict from all sides.

    As it was sent, the answer, and what upstream says now. What a side took out is red, what it put in is
    green; without colours [-out-] {+in+}.

    Example:
      lsloop conflicts show 12
    """
    call = Call.of(ctx)
    with opened_ledger(call.config) as ledger:
        found = conflicts.get(ledger, conflict_id)
        story = conflicts.story(ledger, conflict_id)
    kind = _kind(call.config, found.task_type)
    merged = step.merged(kind, found) if found.status == "open" or found.resolution == "merged" else None
    told = [
        (line["at"].strftime("%Y-%m-%d %H:%M"), line["actor"], line["action"], line["reason"])
        for line in story
    ]
    call.out.result(
        {**vars(found), "merged": merged, "story": story},
        _head(call.config, found),
        *_sides.tables(*_in_words(kind, found, merged), step.why_not_merged(kind, found)),
        *([Table(("when", "who", "did", "because"), told)] if told else []),
        _next(found, merged is not None),
    )


@app.command()
def resolve(
    ctx: typer.Context,
    strategy: StrategyOpt,
    conflict_id: Annotated[
        int | None, typer.Argument(metavar="ID", help="A conflict.", min=1, show_default=False)
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All open ones that the filters leave.")] = False,
    task_type: TaskTypeOpt = None,
    field: FieldOpt = None,
    limit: LimitOpt = None,
    reason: ReasonOpt = None,
    by: ByOpt = None,
    dry_run: DryRunOpt = False,
) -> None:
    """Decide one conflict, or many.

    With --all every open one that the filters leave; the exit code is 1 when some of them could not be
    decided so.

    Example:
      lsloop conflicts resolve 12 --strategy merged
      lsloop conflicts resolve --all --strategy pending_reflow --field media
    """
    call = Call.of(ctx)
    if everything == (conflict_id is not None):
        raise UsageError("It is not clear which conflicts to decide.", "Name one, or add --all (not both).")
    which = _which(call.config, task_type, field, "open")
    with opened_ledger(call.config) as ledger:
        these = [conflicts.get(ledger, conflict_id)] if conflict_id else conflicts.find(ledger, which, limit)
        if dry_run:
            return _plan(call.out, call.config, these, strategy)
        if conflict_id:
            kind = _kind(call.config, these[0].task_type)
            child = step.resolve(ledger, kind, these[0], strategy, actor=actor(by), reason=reason)
            done = step.Decided([conflict_id], {conflict_id: child} if child else {})
        else:
            with call.out.progress("Deciding conflicts", total=len(these)) as progress:
                done = step.resolve_all(
                    ledger, lambda name: _kind(call.config, name), these, strategy,
                    actor=actor(by), reason=reason, advance=progress.advance,
                )  # fmt: skip
    return _decided(call.out, done, strategy)


@app.command()
def undo(ctx: typer.Context, conflict_id: IdArg, reason: ReasonOpt = None, by: ByOpt = None) -> None:
    """Take a decision back.

    Everything is as it was before, and the conflict is open again, for people. Refused when something was
    built on the decision, with what to do about it.

    Example:
      lsloop conflicts undo 12 --reason "wrong recording"
    """
    call = Call.of(ctx)
    with opened_ledger(call.config) as ledger:
        undone = conflicts.undo(ledger, conflict_id, actor=actor(by), reason=reason)
    call.out.result(
        {"conflict_id": conflict_id, "undone": undone},
        f"Conflict {conflict_id} is open again; {undone} is undone.",
    )


def _which(config: Config, task_type: str | None, field: str | None, status: Any) -> Filter:
    return Filter(config.task_type(task_type)[0] if task_type else None, field, status)


def _kind(config: Config, task_type: str) -> Kind:
    return resolved(config, task_type)[2]


def _list(found: list[Conflict], title: str) -> Table:
    now = datetime.now(UTC)
    rows = [
        (
            str(c.conflict_id),
            c.task_type,
            c.external_id,
            _about(c),
            c.annotator,
            span(now - c.created_at),
            _state(c),
        )
        for c in found
    ]
    columns = ("id", "task type", "sample", "about", "answer by", "age", "state")
    return Table(columns, rows, title=title)


def _about(conflict: Conflict) -> str:
    movers = ["people" if conflict.moved.get(name) == "people" else "" for name in conflict.fields]
    named = [
        f"{name} ({mover})" if mover else name for name, mover in zip(conflict.fields, movers, strict=True)
    ]
    return ", ".join(named) or "nothing any more"


def _state(conflict: Conflict) -> str:
    if conflict.status != "open":
        return f"{conflict.resolution or conflict.status} by {conflict.actor}"
    if conflict.waits:
        return "open; the sample is at work again"
    if not conflict.automatic:
        return "open; a decision was undone"
    return "open; edits overlap" if conflict.tried == conflict.seen else "open"


def _head(config: Config, c: Conflict) -> str:
    page = config.task_page(c.ls_project_id, c.ls_task_id)
    url = f": {page}" if page else ""
    lines = [
        f"Conflict {c.conflict_id} of {c.external_id}, {c.task_type}: {_state(c)}",
        f"Task {c.ls_task_id} of project {c.ls_project_id}{url}",
        f"{c.annotator} answered; {c.reason}" if c.fields else "Nothing is in dispute any more.",
    ]
    return "\n".join(lines)


def _next(c: Conflict, mergeable: bool) -> str:
    if c.status == "resolved":
        return f"Take it back: lsloop conflicts undo {c.conflict_id}"
    if c.status == "withdrawn":
        return "There is nothing to decide: the answer is gone."
    ways = ["human_wins", "crawler_wins", *(["merged"] if mergeable else []), "pending_reflow"]
    return f"Decide: lsloop conflicts resolve {c.conflict_id} --strategy {'|'.join(ways)}"


def _plan(out: Output, config: Config, these: list[Conflict], strategy: Strategy) -> None:
    fit = [c for c in these if strategy != "merged" or step.merged(_kind(config, c.task_type), c) is not None]
    said = f"{len(fit):,} of {counted(len(these), 'conflict')} would be decided: {strategy}."
    out.result({"dry_run": True, "decided": [c.conflict_id for c in fit], "of": len(these)}, said)


def _decided(out: Output, done: step.Decided, strategy: Strategy) -> None:
    said = [f"Decided {counted(len(done.decided), 'conflict')}: {strategy}."]
    if done.reflowed:
        said.append(f"{counted(len(done.reflowed), 'sample')} will be sent again by the next push.")
    left = Table(
        ("conflict", "stays open because"), [(str(name), why) for name, why in done.left.items()][:SHOWN]
    )
    out.result({"strategy": strategy, **vars(done)}, " ".join(said), *([left] if done.left else []))
    if done.left:
        raise typer.Exit(1)
