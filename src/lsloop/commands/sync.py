"""`lsloop sync`: one cycle of the loop, for cron and for people."""

import signal
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Annotated, Any

import typer

from lsloop.commands import _services
from lsloop.commands._call import Call
from lsloop.commands._output import Output, Table
from lsloop.commands._stop import Stop
from lsloop.ledger import Ledger, syncs
from lsloop.ledger.syncs import Run
from lsloop.running.sync import Cycle, Step, Wanted, cycle

CRON_IS_LATE = (
    15.0  # seconds: what it starts every 5 minutes begins now and then 4 minutes and 59 seconds later
)

IntervalOpt = Annotated[
    float | None,
    typer.Option(
        "--interval",
        metavar="MIN",
        min=0.01,
        help="Do nothing if a cycle succeeded within this many minutes.",
    ),
]


def sync(
    ctx: typer.Context,
    interval: IntervalOpt = None,
    push: Annotated[
        bool,
        typer.Option(
            "--send-samples",
            help="Send samples to annotators also where params.yaml has no `sync_push: true`.",
        ),
    ] = False,
) -> None:
    """Run one cycle: dvc pull → ingest → pull → accept → push, for every task type of params.yaml.

    It asks nobody to annotate unless told: by `sync_push: true` of a task type in params.yaml, or by
    --send-samples. One at a time on a ledger, also across machines: a second one says so and is done. A step
    that fails does not stop the others; each failure is named, and the exit code is 1, or 3 when a service
    does not answer. SIGTERM ends it after the step it is at. What runs by cron is best given --interval and
    --quiet: it then says what failed, and nothing else.

    Example:
      lsloop sync
      lsloop sync --send-samples
      lsloop sync --interval 5 --quiet
    """
    call = Call.of(ctx)
    with Stop.on(signal.SIGTERM) as stop, _services.opened_ledger(call.config) as ledger:
        before = syncs.last(ledger, 1)
        done = cycle(
            wanted(call, ledger, stop, push=push), every=None if interval is None else lately(interval)
        )
    answer(call.out, done, known=left_out(before[0]) if before else [])
    if done.exit_code:
        raise typer.Exit(done.exit_code)


def lately(minutes: float) -> float:
    """Seconds, a little less than the interval of a cron line."""
    return max(minutes * 60 - CRON_IS_LATE, minutes * 54)


def wanted(call: Call, ledger: Ledger, stop: Stop, *, push: bool = False, send_files: bool = False) -> Wanted:
    """A cycle as a command wants it: what came of each step is noted at once."""
    studio: Callable[[], AbstractContextManager[Any]] = partial(_services.label_studio, call.config)
    told = partial(_note, call.out)
    return Wanted(ledger, call.config, studio, push, send_files, lambda: stop.asked, told)


def _note(out: Output, step: Step) -> None:
    said = step.reason or in_words(step.counts) or "nothing new"
    state = "" if step.state == "done" else f"{step.state}: "
    out.note(f"{titled(vars(step))}: {state}{said} ({step.seconds:.1f} s)")


def titled(step: dict[str, Any]) -> str:
    """A step's name, with its task type if it has one."""
    return f"{step['name']} {step['task_type']}" if step["task_type"] else str(step["name"])


def in_words(counts: dict[str, int]) -> str:
    """The counts that are not zero."""
    return ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in counts.items() if count)


def answer(out: Output, done: Cycle, known: Collection[str] = ()) -> None:
    """Report what became of a cycle, and name every failure.

    With --quiet it names nothing that is `known` to be left out.
    """
    shown = () if out.quiet else _shown(done)  # cron sends a mail of whatever is printed
    out.result({"became": done.became, "due_in": done.due_in, "run": done.run}, *shown)
    if done.run and done.became == "ran":
        for said in troubles(done.run):
            if not (out.quiet and said in known):
                out.warn(said)
        if out.quiet and set(left_out(done.run)) - set(known):
            out.warn("What is left out is told once; `lsloop problems` lists it until it is mended.")


def _shown(done: Cycle) -> Sequence[str | Table]:
    if done.became == "not due":
        return [f"Nothing to do: the last cycle succeeded, and the next is due in {done.due_in:.0f} s."]
    if done.became == "busy" or done.run is None:
        by = f" by {done.run.started_by}" if done.run and done.run.ended_at is None else ""
        return [f"Nothing to do: another cycle is running{by}."]
    rows = [
        (titled(step), step["state"], step["reason"] or in_words(step["counts"]), step["seconds"])
        for step in done.run.steps
    ]
    became = (
        f"{done.run.outcome}"
        f"{', with problems' if done.run.outcome == 'succeeded' and troubles(done.run) else ''}"
    )
    return [Table(("step", "state", "what", "seconds"), rows, title=f"cycle {done.run.run_id} {became}")]


def troubles(run: Run) -> list[str]:
    """List every failure and every problem of a cycle, in a sentence each."""
    failed = [f"{titled(step)} failed: {step['reason']}" for step in run.steps if step["state"] == "failed"]
    return failed + left_out(run)


def left_out(run: Run) -> list[str]:
    """List every problem of a cycle whose steps went on without what it names."""
    return [f"{titled(step)}: {problem}" for step in run.steps for problem in step["problems"]]
