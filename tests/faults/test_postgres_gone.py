"""PostgreSQL dies in the middle of a push or a pull: a clear error, and the next run is right."""

import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from faults import processes, promises, proxy
from faults.conftest import BATCH, SAMPLES, through, write_settings
from faults.processes import Point
from faults.proxy import Proxy, nth
from lsloop import config
from lsloop.errors import LsloopError, Unreachable
from lsloop.labelstudio import client
from lsloop.ledger import Ledger, Transaction, annotations, connect, migrations, projects
from lsloop.records import Task
from lsloop.stack import children, ports
from lsloop.stack import postgres as stack_postgres
from lsloop.stack.children import Child
from services import Postgres, Studio
from world import TRANSCRIPT, World, clips, wait_until

PUSH = ("push", "--task-type", TRANSCRIPT)
PULL = ("pull", "--task-type", TRANSCRIPT)
IMPORT = ("POST", r"/import\b")
TEMPLATE = "migrated"


@dataclass
class Mortal:
    """A PostgreSQL that may be killed."""

    folder: Path
    port: int
    child: Child | None = None

    @property
    def pid(self) -> int:
        assert self.child is not None
        return self.child.process.pid

    def start(self) -> None:
        """Start it, or start it again."""
        self.child = stack_postgres.start(self.folder / "data", self.port, self.folder / "postgres.log")
        stack_postgres.wait_until_ready(self.child, self.folder / "data")

    def kill(self) -> None:
        assert self.child is not None
        processes.kill_all([self.pid])
        self.child.process.wait()

    def url(self, database: str) -> str:
        return stack_postgres.url(self.folder / "data", self.port, database)


@pytest.fixture(scope="module")
def mortal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mortal]:
    server = Mortal(tmp_path_factory.mktemp("mortal"), ports.choose([]))
    server.start()
    Postgres(server.folder / "data", server.port).execute(f"CREATE DATABASE {TEMPLATE}")
    migrations.upgrade(server.url(TEMPLATE))
    yield server
    if server.child:
        children.stop([server.child])


@pytest.fixture
def scene(tmp_path: Path, mortal: Mortal, studio: Studio) -> Iterator[World]:
    """The scene of the other tests, its ledger in the mortal PostgreSQL."""
    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(mortal.url("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
    url = mortal.url(name)
    write_settings(tmp_path, database_url=url, label_studio_url=studio.url, label_studio_api_key=studio.token)
    ledger, settings = connect(url), config.load(tmp_path)
    settings.raw_dir.mkdir(parents=True)
    with client.connect(studio.url, studio.token) as opened:
        world = World(settings, ledger, opened)
        world.ingest(clips(SAMPLES))
        yield world
    ledger.close()


@pytest.mark.parametrize(
    "point",
    [
        Point("lsloop.ledger.tasks:claim", "after", 2),
        Point("lsloop.ledger.tasks:about_to_send", "after", 2),
        Point("lsloop.labelstudio.tasks:import_batch", "after", 2),
    ],
    ids=str,
)
def test_a_push_that_loses_postgresql_says_so_and_the_next_one_finishes(
    scene: World, mortal: Mortal, point: Point
) -> None:
    failed = processes.run(scene.config.project_dir, *PUSH, at=point, kill=[mortal.pid])
    check_told(failed)
    mortal.start()
    scene.push()
    promises.check_sent_once(scene)


@pytest.mark.parametrize(
    "point",
    [
        Point("lsloop.ledger.annotations:receive", "before", 2),
        Point("lsloop.ledger.annotations:_received", "before", 2),
        Point("lsloop.ledger.annotations:settle", "after", 2),
        Point("lsloop.ledger.projects:advance", "before"),
    ],
    ids=str,
)
def test_a_pull_that_loses_postgresql_says_so_and_the_next_one_finishes(
    scene: World, mortal: Mortal, point: Point
) -> None:
    scene.push()
    answers = promises.answer_all(scene)
    failed = processes.run(scene.config.project_dir, *PULL, at=point, kill=[mortal.pid])
    check_told(failed)
    mortal.start()
    scene.pull()
    promises.check_received_once(scene, answers)
    promises.check_accepted(scene, answers)


def check_told(failed: processes.Command) -> None:
    assert failed.wait() == 3, failed.said
    assert "Error: PostgreSQL at" in failed.said
    assert "does not answer" in failed.said
    assert "→ Start it" in failed.said


def test_a_page_whose_connection_breaks_before_it_is_written_is_told_and_not_kept(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = projects.bind(ledger, projects.reserve(ledger, TRANSCRIPT, "http://studio"), 1, "<View/>")
    one_by_one = annotations.gold.one_by_one

    def broken(transaction: Transaction, task_type: str) -> None:
        with ledger.transaction() as other:
            other.value("SELECT pg_terminate_backend(:pid)", pid=transaction.driver.info.backend_pid)
        one_by_one(transaction, task_type)

    monkeypatch.setattr(annotations.gold, "one_by_one", broken)
    with pytest.raises(Unreachable, match=r"PostgreSQL at .* does not answer"):
        annotations.receive(ledger, project, [])


def test_a_page_that_postgresql_cannot_take_is_told_and_not_kept(ledger: Ledger) -> None:
    project = projects.bind(ledger, projects.reserve(ledger, TRANSCRIPT, "http://studio"), 1, "<View/>")
    too_large = Task(2**63, uuid.uuid4(), datetime.now(UTC), ())
    with pytest.raises(LsloopError, match=r"The ledger cannot hold it: .*out of range"):
        annotations.receive(ledger, project, [too_large])


def test_a_machine_that_lost_power_does_not_keep_its_turn_for_hours(ledger: Ledger) -> None:
    with ledger.transaction() as transaction:
        idle, interval, count = (
            int(transaction.value(f"SELECT setting FROM pg_settings WHERE name = 'tcp_keepalives_{name}'"))
            for name in ("idle", "interval", "count")
        )
    assert 0 < idle + interval * count <= 120  # seconds


def test_a_push_whose_turn_ended_with_postgresql_sends_nothing_more(
    scene: World, mortal: Mortal, between: Proxy
) -> None:
    """The lock that keeps pushers apart is gone when PostgreSQL starts again; the pusher that had it is
    not."""
    first, second = threading.Event(), threading.Event()
    one = between.on(*IMPORT, proxy.then_hold(first), nth(2))
    other = between.on(*IMPORT, proxy.hold(second), nth(3))
    with processes.start(scene.config.project_dir, *PUSH) as old, ThreadPoolExecutor() as pool:
        one.wait(forwarded=1)
        waiting = "SELECT count(*) FROM tasks WHERE state = 'claimed' AND sent_at IS NULL"
        wait_until(lambda: scene.value(waiting) == BATCH)
        mortal.kill()
        mortal.start()
        new = pool.submit(through(scene, between).push)
        other.wait(fired=1)
        first.set()
        check_told(old)
        second.set()
        new.result()
    assert between.count(*IMPORT) == SAMPLES // BATCH
    promises.check_sent_once(scene)
