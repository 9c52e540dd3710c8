"""A schema upgrade that is killed anywhere leaves the ledger as it was, and the next one goes on."""

import itertools
import os
import random
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from faults import processes
from lsloop import resources
from lsloop.ledger import connect, migrations
from lsloop.stack import postgres as stack_postgres
from services import Postgres

OLD = "0018.sent_again"
KILLS = 6


@pytest.fixture
def bare(postgres: Postgres) -> str:
    """A database with nothing in it."""
    postgres.execute("DROP DATABASE IF EXISTS killed WITH (FORCE)", "CREATE DATABASE killed")
    return postgres.url("killed")


@pytest.fixture(scope="session")
def fresh(postgres: Postgres, migrated_template: str) -> str:
    """The schema that an upgrade makes which nobody kills."""
    postgres.execute(f"CREATE DATABASE fresh TEMPLATE {migrated_template}")
    return schema(postgres.url("fresh"))


def schema(url: str) -> str:
    """All that is in a database but its rows.

    yoyo's own lock is no part of a ledger any more, nor is the view that a ledger leaves where it stood.
    """
    without = ["--exclude-table=*.yoyo_lock", "--exclude-table=public._yoyo_migration"]
    dump = [str(stack_postgres.binary("pg_dump")), "--schema-only", *without, url]
    told = subprocess.run(dump, capture_output=True, text=True, check=True).stdout
    return "".join(line for line in told.splitlines(keepends=True) if not line.startswith("\\"))


def upgrade(url: str, kill_at: int | None = None) -> int | None:
    """Upgrade in a process of its own, killed before its n-th statement; its exit code."""
    child = processes._server().Process(target=_upgrade, args=(url, kill_at))
    child.start()
    child.join(processes.LONGEST)
    return child.exitcode


def _upgrade(url: str, kill_at: int | None) -> None:
    _before_each_statement(lambda n: os.kill(os.getpid(), signal.SIGKILL) if n == kill_at else None)
    migrations.upgrade(url)


def _before_each_statement(act: Callable[[int], object]) -> None:
    counted = itertools.count(1)
    original = psycopg.Cursor.execute

    def execute(self: Any, *args: Any, **options: Any) -> Any:
        act(next(counted))
        return original(self, *args, **options)

    psycopg.Cursor.execute = execute  # type: ignore[method-assign]


def statements(url: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """How many statements an upgrade has."""
    seen = []
    monkeypatch.setattr(psycopg.Cursor, "execute", psycopg.Cursor.execute)  # so that it is put back
    _before_each_statement(seen.append)
    migrations.upgrade(url)
    monkeypatch.undo()
    return len(seen)


def empty(url: str) -> bool:
    with psycopg.connect(url) as connection:
        found = connection.execute(
            """SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace
                UNION ALL SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'lsloop%'
                UNION ALL SELECT count(*) FROM pg_db_role_setting s
    JOIN pg_database d ON d.oid = s.setdatabase
                           WHERE datname = current_database()"""
        )
        return found.fetchall() == [(0,)] * 3


def old_ledger(url: str, folder: Path, up_to: str = OLD) -> Any:
    """A ledger that an older lsloop made, as it did: by yoyo alone, a transaction per migration."""
    from yoyo import get_backend, read_migrations

    for path in resources.path("sql", "migrations").glob("*.sql"):
        if path.stem <= up_to:
            shutil.copy(path, folder)
    backend = get_backend(url.replace("postgresql://", "postgresql+psycopg://"))
    with backend.lock():
        backend.apply_migrations(backend.to_apply(read_migrations(str(folder))))
    return backend


def test_killed_at_any_statement_there_is_nothing_of_it_and_the_next_goes_on(
    bare: str, postgres: Postgres, fresh: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    total = statements(bare, monkeypatch)
    assert schema(bare) == fresh
    postgres.execute("DROP DATABASE killed", "CREATE DATABASE killed")
    for number in sorted({1, total // 2, total - 1, *random.sample(range(1, total), KILLS)}):
        assert upgrade(bare, kill_at=number) == -signal.SIGKILL, f"there is no statement {number}"
        assert empty(bare), f"killed before statement {number} of {total}"
    assert upgrade(bare, kill_at=total) == -signal.SIGKILL, "it lets its turn go"
    assert schema(bare) == fresh
    assert upgrade(bare) == 0
    assert migrations.status(connect(bare)).is_current


def test_an_old_ledger_stays_as_it_was_until_an_upgrade_comes_to_its_end(
    bare: str, fresh: str, tmp_path: Path
) -> None:
    old_ledger(bare, tmp_path)
    with psycopg.connect(bare) as connection:
        connection.execute("INSERT INTO samples (external_id) VALUES ('kept')")
    before = schema(bare)
    for number in (3, 20, 40, 90, 150):
        assert upgrade(bare, kill_at=number) == -signal.SIGKILL
        assert schema(bare) == before
    assert upgrade(bare) == 0
    assert schema(bare) == fresh
    with psycopg.connect(bare) as connection:
        assert connection.execute("SELECT external_id FROM samples").fetchall() == [("kept",)]


@pytest.mark.parametrize("last", ["0001.ledger", "0003.people", OLD])
def test_what_an_older_lsloop_left_when_it_was_killed_is_gone_on_with(
    bare: str, fresh: str, tmp_path: Path, last: str
) -> None:
    """It left its lock in a row; at the worst moment it had committed a migration, and not yet marked it."""
    backend = old_ledger(bare, tmp_path, up_to=last)
    backend._insert_lock_row(99999, timeout=1)
    backend.execute("DELETE FROM _yoyo_migration WHERE migration_id = :id", {"id": last})
    backend.connection.close()
    assert upgrade(bare) == 0
    assert schema(bare) == fresh
    assert migrations.upgrade(bare) == []


def test_a_lock_alone_holds_nobody_up(bare: str) -> None:
    migrations.upgrade(bare)
    with psycopg.connect(bare) as connection:
        connection.execute(
            "CREATE TABLE lsloop.yoyo_lock (locked int PRIMARY KEY, ctime timestamp, pid int NOT NULL)"
        )
        connection.execute("INSERT INTO lsloop.yoyo_lock (locked, ctime, pid) VALUES (1, now(), 99999)")
    assert migrations.upgrade(bare) == []
