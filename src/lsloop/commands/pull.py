"""`lsloop pull`: annotations back into the ledger."""

from typing import Annotated

import typer

from lsloop import loop
from lsloop.commands._call import Call
from lsloop.commands._options import DryRunOpt, TaskTypeOpt
from lsloop.commands._output import Output, Table
from lsloop.commands._services import both
from lsloop.errors import LsloopError
from lsloop.steps.annotation import Pulled
from lsloop.values.text import counted


def pull(
    ctx: typer.Context,
    task_type: TaskTypeOpt = None,
    full: Annotated[
        bool, typer.Option("--full", help="Read every task, not only those that changed.")
    ] = False,
    dry_run: DryRunOpt = False,
) -> None:
    """Bring annotations back: what is new, edited or deleted since the last pull, and the revisions they
    make.

    Without --task-type, every task type that was ever pushed.

    Example:
      lsloop pull
      lsloop pull --task-type transcript_correction --full
    """
    call = Call.of(ctx)
    failed: dict[str, LsloopError] = {}
    done: dict[str, Pulled] = {}
    with both(call.config) as (ledger, studio):
        names = (
            [call.config.task_type(task_type)[0]]
            if task_type
            else loop.task_types_here(ledger, studio, call.config)
        )
        for name in names:
            with call.out.progress(f"Reading {name}") as progress:
                told = loop.Progress(
                    progress.expect,
                    progress.advance,
                    lambda: call.out.note("Another pull is at work; waiting for it."),
                )
                try:
                    done[name] = loop.pull(
                        ledger, studio, call.config, name, full=full, dry_run=dry_run, progress=told
                    )
                except LsloopError as error:  # one project's trouble must not keep the others' answers out
                    if len(names) == 1:
                        raise
                    failed[name] = error
    _answer(call.out, done, dry_run)
    for name, trouble in failed.items():
        call.out.warn(f"{name}: {trouble.problem} {trouble.fix}")
    if failed:
        raise typer.Exit(max(trouble.exit_code for trouble in failed.values()))


def _answer(out: Output, done: dict[str, Pulled], dry_run: bool) -> None:
    columns = (
        "task type", "tasks read", "new", "edited", "deleted", "accepted", "conflicts", "withdrawn",
        "tasks gone", "not understood",
    )  # fmt: skip
    rows = [_row(name, pulled) for name, pulled in done.items()]
    title = "would come in" if dry_run else ""
    shown = (
        Table(columns, rows, title=title) if rows else "Nothing was pushed yet, so there is nothing to pull."
    )
    then = filter(None, (_then(name, pulled) for name, pulled in done.items()))
    out.result({"dry_run": dry_run, "task_types": done}, shown, *_beside(done), *then)
    for name, pulled in done.items():
        for problem in pulled.not_refreshed[:5]:
            out.warn(f"{name}: not refreshed: {problem}")
        for problem in pulled.not_renewed[:5]:
            out.warn(f"{name}: {problem}")
        for noticed in pulled.noticed:
            out.note(f"{name}: {noticed}.")
        for kept in pulled.kept[:5]:
            out.warn(f"{name}: {kept}.")
        for problem in pulled.problems[:5]:
            out.warn(f"{name}: {problem}")
        if pulled.problems:
            out.warn(f"{name}: {_left_out(len(pulled.problems))}")


def _left_out(count: int) -> str:
    return (
        f"{counted(count, 'problem')} in all; `lsloop problems` lists them with links, and says what to do."
    )


_BESIDE = {
    "probed": ("gold probe answered", "gold probes answered"),
    "adjudication": ("task has answers that differ", "tasks have answers that differ"),
    "review": ("task is held for review", "tasks are held for review"),
}
_NEXT = {
    "adjudication": ": the next push asks somebody to decide", "review": ": `lsloop annotators` says whose"
}  # fmt: skip


def _beside(done: dict[str, Pulled]) -> list[str]:
    """Tell what became of tasks beside the ordinary."""
    return [
        f"{name}: {counted(pulled.received.outcomes[what], *words)}{_NEXT.get(what, '')}."
        for name, pulled in done.items()
        for what, words in _BESIDE.items()
        if pulled.received.outcomes.get(what)
    ]


def _then(name: str, pulled: Pulled) -> str:
    """Tell what followed from what came in, in words; empty when nothing did."""
    decided = [f"{count:,} {strategy}" for strategy, count in sorted(pulled.decided.items())]
    said = [f"conflicts decided as params.yaml says: {', '.join(decided)}"] if decided else []
    if pulled.refreshed:
        said.append(
            f"{counted(pulled.refreshed, 'task')} that nobody had started updated to the latest content"
        )
    if pulled.links:
        said.append(f"new media links in {counted(pulled.links, 'task')}")
    if pulled.offered:
        said.append(
            f"{counted(pulled.offered, 'task')} offered to somebody else, because an answer says nothing"
        )
    if pulled.parked:
        said.append(f"{counted(pulled.parked, 'task')} parked, because skipped too often")
    if pulled.training:
        said.append(f"a milestone is reached: training {pulled.training} waits for a worker")
    return f"{name}: {'; '.join(said)}." if said else ""


def _row(name: str, pulled: Pulled) -> tuple[str | int, ...]:
    received, became = pulled.received, pulled.received.outcomes
    return (
        name, pulled.read, received.added, received.edited, received.removed, became.get("accepted", 0),
        became.get("conflicted", 0), became.get("withdrawn", 0), pulled.gone, len(pulled.problems),
    )  # fmt: skip
