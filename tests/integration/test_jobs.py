"""The worker: jobs once each, one at a time per key, tried again; it waits for services, and ends when
told."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from lsloop.config import Config
from lsloop.errors import Unreachable
from lsloop.ledger import Ledger, migrations, queue
from lsloop.running import jobs
from lsloop.running.jobs import Job
from services import Postgres
from world import config as settings_of
from world import wait_until


@pytest.fixture
def config(tmp_path: Path, database_url: str) -> Config:
    return settings_of(tmp_path, database_url, "http://127.0.0.1:1", "0" * 40)


@contextmanager
def working(config: Config, *names: str) -> Iterator[list[str]]:
    """A worker in threads of this process; what it said."""
    stop, said = threading.Event(), list[str]()
    thread = threading.Thread(target=jobs.work, args=(config, names, stop.wait, said.append))
    thread.start()
    try:
        yield said
    finally:
        stop.set()
        thread.join(20)
        assert not thread.is_alive()


def test_jobs_are_done_once_in_turn_per_key_and_one_more_waits(
    config: Config, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, go_on, done = threading.Event(), threading.Event(), list[Any]()

    def slow(config: Config, number: int) -> None:
        began.set()
        go_on.wait(20)
        done.append(number)

    monkeypatch.setitem(jobs.JOBS, "slow", Job(slow, queue="slow"))
    assert jobs.add(config, "slow", key="a", number=1)
    assert jobs.add(config, "slow", key="a", number=2) is None, "one waits already"
    with working(config, "slow"):
        assert began.wait(20)
        assert jobs.add(config, "slow", key="a", number=3), "one runs, one may wait"
        assert jobs.add(config, "slow", key="a", number=4) is None
        assert jobs.add(config, "slow", key="b", number=5), "another key"
        assert queue.counts(ledger) == {"waiting": 2, "running": 1, "failed": 0}
        go_on.set()
        wait_until(lambda: sorted(done) == [1, 3, 5], 20)
        wait_until(lambda: queue.counts(ledger) == {"waiting": 0, "running": 0, "failed": 0}, 20)


def test_a_job_has_the_params_that_are_there_when_it_begins(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, path = list[int](), config.project_dir / "params.yaml"
    monkeypatch.setitem(
        jobs.JOBS, "look", Job(lambda config: seen.append(config.params.push.limit), queue="look")
    )
    with working(config, "look") as said:
        for text, limit in (("push: {limit: 3}", 3), ("push: {limit: many}", 3), ("push: {limit: 4}", 4)):
            path.write_text(text)
            os.utime(path, (1_000_000_000 + len(seen), 1_000_000_000 + len(seen)))
            jobs.add(config, "look")
            wait_until(lambda limit=limit, done=len(seen): seen[done:] == [limit], 20)
    assert [line.partition(":")[0] for line in said] == ["params.yaml, line 1"]


def test_a_job_that_fails_is_tried_again_and_then_kept_as_failed(
    config: Config, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []

    def fail(config: Config, name: str) -> None:
        tried.append(name)
        raise ValueError("no")

    monkeypatch.setitem(jobs.JOBS, "once", Job(fail, queue="failing", tries=1))
    monkeypatch.setitem(jobs.JOBS, "twice", Job(fail, queue="failing", tries=2))
    for name in ("once", "twice"):
        jobs.add(config, name, name=name)
    with working(config, "failing"):
        wait_until(lambda: len(tried) == 2, 20)
        wait_until(lambda: queue.counts(ledger) == {"waiting": 1, "running": 0, "failed": 1}, 20)
        with ledger.transaction() as transaction:  # it need not be waited for
            transaction.run(f"SET LOCAL search_path = {queue.SCHEMA}")
            transaction.run("UPDATE procrastinate_jobs SET scheduled_at = now() WHERE status = 'todo'")
            told = '{"type": "job_inserted", "job_id": 2}'
            transaction.run("SELECT pg_notify('procrastinate_queue_v1#failing', :told)", told=told)
        wait_until(lambda: queue.counts(ledger) == {"waiting": 0, "running": 0, "failed": 2}, 20)
    assert sorted(tried) == ["once", "twice", "twice"]


def test_a_job_whose_worker_died_is_begun_again(
    config: Config, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = threading.Event()
    monkeypatch.setitem(jobs.JOBS, "job", Job(lambda config: done.set(), queue="q"))
    jobs.add(config, "job")
    with ledger.transaction() as transaction:  # as a killed worker leaves it
        transaction.run(f"SET LOCAL search_path = {queue.SCHEMA}")
        transaction.run("UPDATE procrastinate_jobs SET status = 'doing'")
    with working(config, "q"):
        assert done.wait(20)


def test_postgresql_that_goes_away_is_waited_for(
    config: Config, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = threading.Event()
    monkeypatch.setitem(jobs.JOBS, "job", Job(lambda config: done.set(), queue="q"))
    monkeypatch.setattr(jobs, "AGAIN", 0.1)
    with working(config, "q", jobs.EVENTS) as said:
        wait_until(lambda: _connections(postgres, config) >= 3)
        # Again until it is noticed: a connection that was not in use yet is quietly replaced.
        wait_until(lambda: _disconnect(postgres, config) or said, 20)
        jobs.add(config, "job")
        assert done.wait(20)
    assert any("Trying again" in words for words in said)


def _admin(postgres: Postgres, statement: str, config: Config) -> Any:
    name = config.database_url.rpartition("/")[2]
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
        return connection.execute(statement, (name,)).fetchall()


def _connections(postgres: Postgres, config: Config) -> int:
    return len(_admin(postgres, "SELECT pid FROM pg_stat_activity WHERE datname = %s", config))


def _disconnect(postgres: Postgres, config: Config) -> None:
    _admin(postgres, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", config)


def test_without_postgresql_adding_a_job_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "CONNECTING", 1.0)
    nowhere = settings_of(tmp_path, "postgresql://me:hunter2@127.0.0.1:1/x", "http://127.0.0.1:1", "0" * 40)
    with pytest.raises(Unreachable) as caught:
        jobs.add(nowhere, "export")
    assert "hunter2" not in str(caught.value)


def test_the_queue_s_tables_are_made_by_an_upgrade_and_kept_by_the_next(
    database_url: str, ledger: Ledger
) -> None:
    with ledger.transaction() as transaction:
        transaction.run(f"DROP SCHEMA {queue.SCHEMA} CASCADE")
    assert not queue.is_current(ledger)
    assert queue.counts(ledger)["waiting"] == 0
    for _ in range(2):
        migrations.upgrade(database_url)
        assert queue.is_current(ledger)


def lsloop(folder: Path, *arguments: str, database_url: str) -> subprocess.Popen[str]:
    more = {
        "DATABASE_URL": database_url,
        "LABEL_STUDIO_URL": "http://127.0.0.1:1",
        "LABEL_STUDIO_API_KEY": "0" * 40,
    }
    command = [sys.executable, "-m", "lsloop", "-C", str(folder), *arguments]
    return subprocess.Popen(
        command, env=os.environ | more, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_the_command_says_what_it_works_on_does_queued_exports_and_ends_when_told(
    tmp_path: Path, database_url: str, config: Config, number: signal.Signals, code: int
) -> None:
    (tmp_path / "data" / "raw").mkdir(parents=True)
    jobs.add(config, "export")
    process = lsloop(tmp_path, "worker", database_url=database_url)
    assert process.stdout
    assert process.stdout.readline().startswith("Working on events, export")
    wait_until((tmp_path / "data" / "reviewed" / "manifest.json").is_file)
    process.send_signal(number)
    _, told = process.communicate(timeout=30)
    assert process.returncode == code, told
    assert "Traceback" not in told


def test_a_queue_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    process = lsloop(tmp_path, "worker", "--queue", "nonsense", database_url="postgresql://x/x")
    _, told = process.communicate(timeout=30)
    assert process.returncode == 2
    assert "events" in told
