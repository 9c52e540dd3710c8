"""The schema: applied once, refused when it is not this program's."""

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from lsloop.errors import SchemaMismatch, Unreachable, UsageError
from lsloop.ledger import connect, migrations
from services import Postgres


@pytest.fixture
def bare(postgres: Postgres) -> str:
    """A database without a schema."""
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS bare WITH (FORCE)")
        connection.execute("CREATE DATABASE bare")
    return postgres.url("bare")


def test_upgrade_applies_what_is_missing_once(bare: str) -> None:
    assert migrations.upgrade(bare) == migrations.shipped()
    assert migrations.upgrade(bare) == []
    assert migrations.status(connect(bare)).is_current


def test_several_programs_may_upgrade_at_once(bare: str) -> None:
    with ThreadPoolExecutor(4) as programs:
        done = list(programs.map(migrations.upgrade, [bare] * 4))
    assert sorted(map(len, done)) == [0, 0, 0, len(migrations.shipped())]


def test_a_ledger_without_schema_names_the_command_to_run(bare: str) -> None:
    with pytest.raises(SchemaMismatch, match="has no schema yet") as error:
        connect(bare)
    assert "lsloop db upgrade" in error.value.fix


def test_a_newer_ledger_is_refused_by_name_and_not_touched(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "INSERT INTO _yoyo_migration (migration_hash, migration_id) VALUES ('x', '9999.future')"
        )
    for act in (lambda: connect(database_url), lambda: migrations.upgrade(database_url)):
        with pytest.raises(SchemaMismatch, match=r"newer than this lsloop: it has 9999\.future"):
            act()


def test_functions_of_another_version_are_refused_and_replaced_by_upgrade(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE schema_code SET digest = 'another'")
    with pytest.raises(SchemaMismatch, match="older schema"):
        connect(database_url)
    assert migrations.upgrade(database_url) == []
    connect(database_url)


def test_an_unreachable_postgres_is_told_without_the_password() -> None:
    with pytest.raises(Unreachable) as error:
        connect("postgresql://me:secret@127.0.0.1:1/ledger")
    assert "127.0.0.1:1" in error.value.problem
    assert "secret" not in error.value.problem + error.value.fix
    assert error.value.exit_code == 3


@pytest.mark.parametrize("url", ["nonsense", "mysql://x/y"])
def test_an_unusable_url_is_a_usage_error(url: str) -> None:
    with pytest.raises(UsageError, match="DATABASE_URL"):
        connect(url)


def test_revisions_can_neither_be_changed_nor_deleted(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("INSERT INTO samples (external_id) VALUES ('a')")
        connection.execute("SELECT append_revision(sample_id, 'f', NULL, '1', 'human', 'me') FROM samples")
        for statement in ("UPDATE revisions SET value = '2'", "DELETE FROM revisions", "TRUNCATE revisions"):
            with pytest.raises(psycopg.errors.RestrictViolation, match="append only"):
                connection.execute(statement)
