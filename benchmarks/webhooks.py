"""Events: 100 a second from a Label Studio that waits for each answer, and PostgreSQL is restarted among
them.

What counts is how fast an event is acknowledged while PostgreSQL is up, and that nothing is lost once a pull
has looked. The ledger is one of its own, with a PostgreSQL that may be stopped, a server and a worker as
`lsloop up` runs them.
"""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import orjson
from pydantic import SecretStr

from benchmarks import bare
from benchmarks.place import KIND, Place
from benchmarks.rows import Row, at_most, told
from lsloop import config, ledger, loop
from lsloop.labelstudio.webhooks import HEADER
from lsloop.ledger import events, migrations
from lsloop.stack import children, ports, postgres
from lsloop.steps import sample

RATE = 100.0  # events a second
WAITS = 1.0  # seconds that Label Studio waits for an answer
DRAINED = 120.0  # seconds
SECRET = "a secret of the benchmark"


@dataclass(frozen=True)
class Answer:
    """What became of one delivery: its HTTP status, 0 for none, after so many seconds."""

    status: int
    seconds: float


def deliver(
    url: str, secret: str, payloads: Sequence[dict[str, Any]], rate: float = RATE, waits: float = WAITS
) -> list[Answer]:
    """Send events at a steady rate, whatever the answers take, each over a connection of its own as Label
    Studio does."""

    place = httpx.URL(url)
    head = f"POST {place.path} HTTP/1.1\r\nHost: {place.host}\r\nConnection: close\r\n{HEADER}: {secret}\r\n"

    async def answered(body: bytes) -> int:
        # Bare: a client library would take more of the machine than the server does.
        reading, writing = await asyncio.open_connection(place.host, place.port)
        writing.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        line = await reading.readline()
        writing.close()
        return int(line.split()[1])

    async def one(at: float, body: bytes) -> Answer:
        await asyncio.sleep(max(0.0, at - time.monotonic()))
        began = time.monotonic()
        try:
            status = await asyncio.wait_for(answered(body), waits)
        except (TimeoutError, OSError, IndexError):
            status = 0
        return Answer(status, time.monotonic() - began)

    async def all_of_them() -> list[Answer]:
        began = time.monotonic() + 0.1
        bodies = [orjson.dumps(payload) for payload in payloads]
        return await asyncio.gather(*(one(began + n / rate, body) for n, body in enumerate(bodies)))

    return asyncio.run(all_of_them())


def delivered_while(work: Callable[[], None], *given: Any, **more: Any) -> list[Answer]:
    """Deliver while something is done in this thread: PostgreSQL ends with the thread that started it."""
    found: list[Answer] = []
    delivering = Thread(target=lambda: found.extend(deliver(*given, **more)))
    delivering.start()
    work()
    delivering.join()
    return found


def percentile(answers: Sequence[Answer], share: float) -> float:
    """Milliseconds within which this share of the events that were stored was acknowledged."""
    taken = sorted(one.seconds for one in answers if one.status == 200)
    return 1000 * taken[min(len(taken) - 1, int(share * len(taken)))]


def intake(place: Place) -> Iterator[Row]:
    """2,000 events, PostgreSQL restarted in the middle."""
    count = place.sizes.events
    with tempfile.TemporaryDirectory() as folder, _aside(place, Path(folder)) as aside:
        payloads = aside.answered(count)
        middle = count / RATE / 2

        def restart() -> None:
            time.sleep(middle)
            aside.restart()

        answers = delivered_while(restart, f"{aside.url}/webhook", aside.config.webhook_secret, payloads)
        began = time.monotonic()
        aside.wait_until_looked_at()
        looked, by_events = time.monotonic() - began, aside.accepted()
        loop.pull(aside.ledger, place.studio, aside.config, KIND)
        lost = count - aside.accepted()
    refused = [one for one in answers if one.status != 200]
    what = f"{count:,} events at {RATE:.0f}/s, PostgreSQL restarted among them"
    yield at_most(f"{what}: acknowledged within, 99 %", percentile(answers, 0.99), 100, "ms")
    yield told(f"{what}: acknowledged within, 50 %", percentile(answers, 0.5), "ms")
    yield told(f"{what}: refused while PostgreSQL was away", len(refused), "events")
    yield told(f"{what}: accepted without a pull", by_events, "annotations")
    yield told(f"{what}: all looked at, after the last", looked, "s")
    yield at_most(f"{what}: lost once pulled", lost, 0, "annotations")


@dataclass
class _Aside:
    """A ledger, a server and a worker beside those of the place, on the same Label Studio."""

    place: Place
    config: config.Config
    ledger: ledger.Ledger
    url: str
    start: Callable[[], children.Child]
    child: children.Child

    def answered(self, count: int) -> list[dict[str, Any]]:
        """So many tasks in Label Studio with an answer each; what Label Studio would tell of them."""
        raw = self.config.raw_dir
        sample.ingest(self.ledger, raw / "metadata.jsonl", raw_dir=raw)
        sent = loop.push(self.ledger, self.place.studio, self.config, KIND, limit=count)
        project = loop.setup(self.ledger, self.place.studio, self.config, KIND).project.ls_project_id
        assert project is not None
        with bare.connect(self.place) as client:
            bare.annotate_all(client, project)
            answered = bare.first(client, project, sent.sent)
        return [
            {"action": "ANNOTATION_CREATED", "annotation": one["annotations"][0], "project": {"id": project}}
            for one in answered
        ]

    def restart(self) -> None:
        children.stop([self.child])
        self.child = self.start()

    def wait_until_looked_at(self) -> None:
        ends = time.monotonic() + DRAINED
        while events.counts(self.ledger)["waiting"]:
            if time.monotonic() > ends:
                raise RuntimeError(f"events wait after {DRAINED:.0f} s: {events.recent(self.ledger, 3)}")
            time.sleep(0.1)

    def accepted(self) -> int:
        with self.ledger.transaction() as transaction:
            return int(transaction.value("SELECT count(*) FROM tasks WHERE state = 'accepted'"))


@contextmanager
def _aside(place: Place, folder: Path) -> Iterator[_Aside]:
    data, port, log = folder / "postgres", ports.choose([]), folder / "postgres.log"

    def start() -> children.Child:
        child = postgres.start(data, port, log)
        postgres.wait_until_ready(child, data)
        return child

    project = _project(place, folder)
    child = start()
    url = postgres.url(data, port)
    migrations.upgrade(url)
    settings = replace(
        place.config,
        project_dir=project,
        params=config.Params(task_types={KIND: config.TaskType()}),
        environment=place.config.environment.model_copy(
            update={
                "database_url": SecretStr(url),
                "label_studio_url": place.config.label_studio_url,
                "label_studio_api_key": SecretStr(place.config.label_studio_api_key),
                "lsloop_secret": SecretStr(SECRET),
            }
        ),
    )
    opened = ledger.connect(url)
    with _processes(settings, url) as server:
        aside = _Aside(place, settings, opened, server, start, child)
        try:
            yield aside
        finally:
            opened.close()
            stopping = aside.child
    children.stop([stopping])


def _project(place: Place, folder: Path) -> Path:
    """A project folder with the samples of the place."""
    project = folder / "project"
    (project / "data").mkdir(parents=True)
    (project / "data" / "raw").symlink_to(place.config.raw_dir)
    return project


@contextmanager
def _processes(settings: config.Config, url: str) -> Iterator[str]:
    """`lsloop serve` and `lsloop worker`; yields the server's address."""
    more = {
        "DATABASE_URL": url,
        "LABEL_STUDIO_URL": settings.label_studio_url,
        "LABEL_STUDIO_API_KEY": settings.label_studio_api_key,
        "LSLOOP_SECRET": SECRET,
    }
    lsloop = [sys.executable, "-m", "lsloop", "-C", str(settings.project_dir)]
    running = [
        subprocess.Popen([*lsloop, *words], env=os.environ | more, stdout=subprocess.PIPE, text=True)
        for words in (["serve", "--port", "0"], ["worker"])
    ]
    try:
        said = [process.stdout.readline() for process in running if process.stdout]
        yield said[0].split()[2]
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait(30)
