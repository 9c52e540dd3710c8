"""Background work of `lsloop worker`, queued by procrastinate.

The queue is in the ledger's PostgreSQL.

To add a job, write a function that takes the settings and arguments that JSON can hold, and one row in JOBS:

    def _retrain(config: Config, task_type: str, base: str | None = None) -> object: ...

    JOBS = {..., "retrain": Job(_retrain, queue="train")}

and queue it with `add(config, "retrain", key=task_type, task_type=task_type)`. Of the jobs with one name and
one key, one runs at a time, on whatever machine, and one more waits; `add` answers None when one waits
already. A queue does one job after another per worker, and `lsloop worker --queue train` works on that one
only. A job that fails is tried again; one whose worker died is begun again by another. So a job must be fit
to be repeated.

Events of Label Studio have their own table (`ledger/events.py`); here they are a queue called `events`.
"""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from lsloop import ledger, loop
from lsloop.config import Config, address
from lsloop.config.following import Following, Now
from lsloop.errors import LsloopError, SchemaMismatch, Unreachable
from lsloop.labelstudio import client
from lsloop.ledger import queue as tables
from lsloop.ledger import versions
from lsloop.secrecy import without_secrets

EVENTS = "events"

AGAIN = 2.0  # seconds until what broke off is begun again
FINISHING = 8.0  # seconds that work may go on after a stop
HEARTBEAT = 10.0  # seconds between two signs of life
DEAD = 30.0  # seconds without one
CONNECTING = 5.0  # seconds


@dataclass(frozen=True)
class Job:
    """Function to run, its queue, and how often it is tried."""

    run: Callable[..., object]
    queue: str
    tries: int = 3


def _export(config: Config, task_type: str | None = None) -> object:
    with closing(ledger.connect(config.database_url)) as opened:
        return loop.export(opened, config, task_type=task_type)


def _retrain(config: Config, task_type: str, words: Sequence[str] = ()) -> object:
    """Export, then train in a process of its own.

    Its memory is free again afterwards.
    """
    try:
        _export(config, task_type)
        return _lsloop(config, "retrain", "--task-type", task_type, *words)
    except Exception as error:  # whatever ended it, the training must not read as one that still waits
        told = error.problem if isinstance(error, LsloopError) else f"{type(error).__name__}: {error}"
        with closing(ledger.connect(config.database_url)) as opened:
            versions.give_up(opened, task_type, without_secrets(told))
        raise


def _lsloop(config: Config, *words: str) -> str:
    """Run a command line of this lsloop and return what it printed.

    Raises LsloopError with its last words.
    """
    command = [sys.executable, "-m", "lsloop", "-C", str(config.project_dir), "--quiet", *words]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace")
    if done.returncode:
        said = [line.strip().removeprefix("Error: ") for line in done.stderr.splitlines() if line.strip()]
        raise LsloopError(" ".join(said[-2:]) or f"lsloop {words[0]} ended with {done.returncode}.")
    return done.stdout


def _predict(
    config: Config,
    task_type: str,
    limit: int | None = None,
    since: str | None = None,
    model: str | None = None,
) -> object:
    moment = datetime.fromisoformat(since) if since else None
    with closing(ledger.connect(config.database_url)) as opened:
        return loop.predict(opened, config, task_type, limit=limit, since=moment, model=model)


JOBS: dict[str, Job] = {
    "export": Job(_export, queue="export"),
    "retrain": Job(_retrain, queue="train", tries=1),  # the same data and settings would fail again
    "predict": Job(_predict, queue="predict"),
}


def retrain(
    config: Config, task_type: str, *, actor: str, reason: str | None, words: Sequence[str] = ()
) -> int:
    """Queue a training, with these options of `lsloop retrain`.

    Returns its number, or that of the one that waits already.
    """
    with closing(ledger.connect(config.database_url)) as opened:
        number = versions.request(opened, task_type, actor, reason)
        job = add(config, "retrain", key=task_type, task_type=task_type, words=list(words))
        if job is not None:
            versions.has_job(opened, number, job)
    return number


def queues() -> list[str]:
    """List every queue there is."""
    return [EVENTS, *sorted({job.queue for job in JOBS.values()})]


def add(config: Config, name: str, /, *, key: str = "", **arguments: Any) -> int | None:
    """Queue a job; return its number.

    None when one with this name and key waits already. Raises Unreachable.
    """
    import psycopg_pool
    from procrastinate import SyncPsycopgConnector, exceptions

    lock = f"{name} {key}".strip()
    pool = psycopg_pool.ConnectionPool(**_connection(config), min_size=1, max_size=1, open=False)
    with _translated(), closing(pool):
        pool.open(wait=True, timeout=CONNECTING)
        app = _app(lambda: config, SyncPsycopgConnector())
        with app.open(pool):
            try:
                job = app.configure_task(name, lock=lock, queueing_lock=lock)
                return int(job.defer(**arguments))
            except exceptions.AlreadyEnqueued:
                return None


def work(
    config: Config, names: Collection[str], stopped: Callable[[], object], say: Callable[[str], None]
) -> bool:
    """Work on these queues until `stopped` returns; whether all of it ended in time.

    What breaks off, because a service went away or is not there yet, is begun again; `say` is told why.
    """
    stop, now = threading.Event(), Following(config, say)
    parts: list[Callable[[], None]] = []
    if EVENTS in names:
        parts.append(partial(_attend, now, stop))
    if own := sorted(set(names) - {EVENTS}):
        parts.append(lambda: asyncio.run(_work(now, own, stop)))
    threads = [threading.Thread(target=_lasting, args=(part, stop, say), daemon=True) for part in parts]
    for thread in threads:
        thread.start()
    stopped()
    stop.set()
    for thread in threads:
        thread.join(FINISHING + 2)
    return not any(thread.is_alive() for thread in threads)


def _lasting(part: Callable[[], None], stop: threading.Event, say: Callable[[str], None]) -> None:
    said = ""
    while not stop.is_set():
        try:
            part()
        except Exception as error:  # whatever it is: a worker that is gone helps nobody
            told = f"{error.problem} {error.fix}" if isinstance(error, LsloopError) else repr(error)
            if told != said:
                say(f"{without_secrets(told)} Trying again until it works.")
            said = told
            stop.wait(AGAIN)


def _attend(now: Now, stop: threading.Event) -> None:
    config = now()
    with (
        closing(ledger.connect(config.database_url)) as opened,
        client.connect(config.label_studio_url, config.label_studio_api_key) as studio,
    ):
        loop.attend(opened, studio, now, stop.is_set)


async def _work(now: Now, names: Collection[str], stop: threading.Event) -> None:
    """Run one worker per queue.

    This way a training of hours does not keep an export waiting.
    """
    from procrastinate import PsycopgConnector

    config = now()
    _check(config)
    app = _app(now, PsycopgConnector(**_connection(config), min_size=1, timeout=CONNECTING))
    async with app.open_async():
        workers = [asyncio.create_task(_worker(app, name)) for name in names]
        workers.append(asyncio.create_task(_begin_again(app)))
        if JOBS["retrain"].queue in names:
            workers.append(asyncio.create_task(_take_up(config)))
        while not stop.is_set() and not any(one.done() for one in workers):
            await asyncio.sleep(0.2)
        for one in workers:
            one.cancel()
        ended = await asyncio.gather(*workers, return_exceptions=True)
    if not stop.is_set():
        why = next((one for one in ended if isinstance(one, Exception)), None)
        raise Unreachable(
            f"The job queue broke off: {why or 'PostgreSQL went away'}.", "Is PostgreSQL there?"
        )


async def _worker(app: Any, name: str) -> None:
    await app.run_worker_async(
        queues=[name],
        name=name,
        install_signal_handlers=False,
        delete_jobs="successful",
        update_heartbeat_interval=HEARTBEAT,
        stalled_worker_timeout=DEAD,
        shutdown_graceful_timeout=FINISHING,
    )


async def _begin_again(app: Any) -> None:
    """Begin anew the jobs of workers that died.

    Without it they would run without end, and hold their lock.
    """
    while True:
        for job in await app.job_manager.get_stalled_jobs(seconds_since_heartbeat=DEAD):
            await app.job_manager.retry_job(job)
        await asyncio.sleep(HEARTBEAT)


async def _take_up(config: Config) -> None:
    """Turn trainings that the ledger asks for into jobs.

    It asks because a milestone was reached.
    """
    while True:
        await asyncio.to_thread(_queue_trainings, config)
        await asyncio.sleep(HEARTBEAT)


def _queue_trainings(config: Config) -> None:
    with closing(ledger.connect(config.database_url, check_schema=False)) as opened:
        for number, task_type in versions.waiting(opened):
            job = add(config, "retrain", key=task_type, task_type=task_type)
            if job is not None:
                versions.has_job(opened, number, job)


def _check(config: Config) -> None:
    with closing(ledger.connect(config.database_url)) as opened:
        if not tables.is_current(opened):
            raise SchemaMismatch("The job queue has no tables, or older ones.", "Run `lsloop db upgrade`.")


def _app(now: Now, connector: Any) -> Any:
    import procrastinate

    app = procrastinate.App(connector=connector)
    for name, job in JOBS.items():
        again = procrastinate.RetryStrategy(max_attempts=job.tries - 1, exponential_wait=4)
        app.task(name=name, queue=job.queue, retry=again if job.tries > 1 else False)(_task(now, job))
    return app


def _task(now: Now, job: Job) -> Callable[..., None]:
    def run(**arguments: Any) -> None:
        job.run(now(), **arguments)

    return run


def _connection(config: Config) -> dict[str, Any]:
    there, session = address.read(config.database_url), f"-c search_path={tables.SCHEMA} -c timezone=UTC"
    return {"conninfo": "", "kwargs": ledger.keywords(there, "lsloop jobs", session, int(CONNECTING))}


@contextmanager
def _translated() -> Iterator[None]:
    import psycopg_pool
    from procrastinate import exceptions

    try:
        yield
    except (exceptions.ConnectorException, psycopg_pool.PoolTimeout) as error:
        raise Unreachable(
            f"The job queue in PostgreSQL cannot be used: {without_secrets(str(error.__cause__ or error))}.",
            "Start it with `lsloop up`, or check DATABASE_URL and run `lsloop db upgrade`.",
        ) from error
