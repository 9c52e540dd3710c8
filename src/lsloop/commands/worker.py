"""`lsloop worker`: what is done in the background."""

import os
import signal
from typing import Annotated

import typer

from lsloop.commands._call import Call
from lsloop.commands._stop import Stop
from lsloop.errors import UsageError
from lsloop.running import jobs

QueueOpt = Annotated[
    list[str] | None,
    typer.Option("--queue", metavar="Q", help="Only this queue; may be given several times."),
]


def worker(ctx: typer.Context, queue: QueueOpt = None) -> None:
    """Look at what Label Studio tells, and do the jobs that others queued, until Ctrl-C or SIGTERM.

    `lsloop up` runs one. More of them, on other machines, share the work: each event and each job is done
    once. A service that goes away is waited for. What is stopped in the middle is begun again by the next
    worker.

    Example:
      lsloop worker
      lsloop worker --queue export
    """
    call = Call.of(ctx)
    names = queue or jobs.queues()
    if unknown := sorted(set(names) - set(jobs.queues())):
        raise UsageError(f"There is no queue {unknown[0]!r}.", f"Use one of: {', '.join(jobs.queues())}.")
    with Stop.on(signal.SIGTERM, signal.SIGINT) as stop:
        config = call.config
        if hasattr(os, "nice"):
            os.nice(5)  # people wait for the server's answers, and nobody for these
        call.out.result({"queues": names}, f"Working on {', '.join(names)} (Ctrl-C stops)")
        in_time = jobs.work(config, names, stop.wait, call.out.warn)
        if not in_time:  # its threads would keep the process, for as long as a training takes
            call.out.note("Stopped in the middle of a job, which another worker begins again.")
            os._exit(130 if stop.by == signal.SIGINT else 0)
    if stop.by == signal.SIGINT:
        raise KeyboardInterrupt
