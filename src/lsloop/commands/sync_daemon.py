"""`lsloop sync-daemon`: cycle after cycle, until SIGTERM."""

import signal
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

import typer
from tenacity import RetryCallState, Retrying, retry_if_exception, retry_if_result, wait_random_exponential

from lsloop import dvc
from lsloop.commands import _services
from lsloop.commands._call import Call
from lsloop.commands._output import Output, Table
from lsloop.commands._stop import Stop
from lsloop.commands.sync import answer, in_words, titled, troubles, wanted
from lsloop.config.following import Following
from lsloop.errors import LsloopError, UsageError
from lsloop.ledger import syncs
from lsloop.ledger.syncs import Run
from lsloop.running.sync import Cycle, cycle
from lsloop.values.text import counted

FIRST_WAIT = 10.0  # seconds at most before the second try; each later one may take twice as long
BUSY_WAIT = 15.0  # seconds at most until it looks again whether another's cycle has ended well
SHOWN = 10  # runs


def daemon(
    ctx: typer.Context,
    interval: Annotated[
        float | None,
        typer.Option(
            "--interval", metavar="MIN", min=0.01, help="Minutes between cycles; SYNC_INTERVAL_MINUTES, or 5."
        ),
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Run one cycle and stop.")] = False,
    push: Annotated[
        bool,
        typer.Option("--push", help="Send files: end each cycle with an export and `dvc push`. No samples."),
    ] = False,
    status: Annotated[
        bool, typer.Option("--status", help="Show the last cycles and what DVC says; run none.")
    ] = False,
) -> None:
    """Run a cycle of `lsloop sync` every few minutes, until Ctrl-C or SIGTERM, which end it after the current
    step.

    Any number of daemons and cron lines may share a ledger: a cycle is due when the last one that succeeded,
    anywhere, began so many minutes ago. After a failure it tries again soon, then less and less often, up to
    the interval. It asks nobody to annotate unless params.yaml says `sync_push: true`; --push sends files to
    the DVC remote, and pulls all the same. -v shows each command of DVC, and what it said.

    Example:
      lsloop sync-daemon --interval 5
      lsloop sync-daemon --once --push
      lsloop sync-daemon --status
    """
    call = Call.of(ctx)
    if status:
        return _status(call)
    with Stop.on(signal.SIGTERM) as stop:
        if not once:
            minutes = interval or call.config.environment.sync_interval_minutes
            return _for_ever(call, stop, minutes * 60, push)
        done = _cycle(call, stop, None, push)
    answer(call.out, done)
    raise typer.Exit(done.exit_code)


def _cycle(call: Call, stop: Stop, every: float | None, push: bool) -> Cycle:
    with _services.opened_ledger(call.config) as ledger:
        return cycle(wanted(call, ledger, stop, send_files=push), every=every)


def _for_ever(call: Call, stop: Stop, every: float, push: bool) -> None:
    sums = {"cycles": 0, "failed": 0}

    now = Following(call.config, call.out.warn)

    def one() -> Cycle:
        call.config = now()
        done = _cycle(call, stop, every, push)
        _count(call.out, done, sums)
        return done

    def trouble(state: RetryCallState) -> None:
        _warn_of(call.out, state)

    # UsageError is for people: whoever starts the daemon again, systemd or they, does so with new settings.
    retrying = Retrying(
        retry=retry_if_result(_has_failed)
        | retry_if_exception(lambda e: isinstance(e, LsloopError) and not isinstance(e, UsageError)),
        wait=wait_random_exponential(multiplier=min(FIRST_WAIT, every), max=every),
        stop=lambda _: stop.asked,
        sleep=stop.sleep,
        before_sleep=trouble,
        retry_error_callback=lambda _: None,
    )
    while not stop.asked:
        done = retrying(one)
        if done is not None:
            stop.sleep(min(every / 4, BUSY_WAIT) if done.became == "busy" else done.due_in)
    said = f"Stopped after {counted(sums['cycles'], 'cycle')}, of which {sums['failed']:,} failed."
    call.out.result(sums, said)


def _has_failed(done: Cycle) -> bool:
    return done.became == "ran" and done.run is not None and done.run.outcome == "failed"


def _count(out: Output, done: Cycle, sums: dict[str, int]) -> None:
    if done.became != "ran" or done.run is None:
        return
    sums["cycles"] += 1
    sums["failed"] += done.run.outcome == "failed"
    out.note(f"Cycle {done.run.run_id} {done.run.outcome} in {done.run.seconds or 0:.1f} s.")
    for said in troubles(done.run):
        out.warn(said)


def _warn_of(out: Output, state: RetryCallState) -> None:
    assert state.outcome is not None
    error = state.outcome.exception()
    if isinstance(error, LsloopError):
        out.warn(f"{error.problem} {error.fix}".strip())
    out.note(f"Trying again in {state.upcoming_sleep:.0f} s.")


def _status(call: Call) -> None:
    with _services.opened_ledger(call.config) as ledger:
        runs = syncs.last(ledger, SHOWN)
    unpushed = _dvc(call)
    call.out.result({"runs": runs, "dvc": unpushed}, *_shown(runs), f"DVC: {unpushed}")


def _dvc(call: Call) -> str:
    try:
        return dvc.status(call.config.project_dir)
    except dvc.Skipped as why:
        return f"{why}."
    except LsloopError as error:
        return f"{error.problem} {error.fix}".strip()


def _shown(runs: Sequence[Run]) -> list[str | Table]:
    if not runs:
        return ["No cycle has run yet: `lsloop sync` runs one."]
    rows = [
        (
            run.run_id,
            when(run.started_at),
            run.outcome or "at work",
            run.seconds,
            run.started_by,
            what(run.steps),
        )
        for run in runs
    ]
    return [Table(("cycle", "began", "outcome", "seconds", "by", "what"), rows)]


def when(moment: datetime) -> str:
    """A time as people here tell it."""
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def what(steps: Sequence[dict[str, Any]]) -> str:
    """The steps that failed or brought something."""
    told = (
        (titled(step), step["reason"] if step["state"] == "failed" else in_words(step["counts"]))
        for step in steps
    )
    return "; ".join(f"{title}: {said}" for title, said in told if said)
