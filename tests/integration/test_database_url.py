"""One DATABASE_URL for all parts: ledger, schema, job queue, listener; and what PostgreSQL must be like."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from threading import Event
from urllib.parse import quote

import psycopg
import pytest
from psycopg import sql

from lsloop.errors import LsloopError, UsageError
from lsloop.ledger import connect, migrations, queue
from lsloop.ledger.listening import Watch
from lsloop.running import jobs
from services import Postgres
from world import config as settings_of

PASSWORDS = ["a%b", "100%25", "p/w@x:y", "mật khẩu", "a?b#c&d=e", 'it\'s "q"\\']


@pytest.fixture
def strange(postgres: Postgres) -> Iterator[str]:
    """A role of its own whose database is its own; the database's name. Both are gone afterwards."""
    postgres.execute("CREATE ROLE strange LOGIN PASSWORD 'x'", "CREATE DATABASE strange OWNER strange")
    yield "strange"
    postgres.execute("DROP DATABASE strange WITH (FORCE)", "DROP ROLE strange")


def _set_password(postgres: Postgres, password: str) -> None:
    words = sql.SQL("ALTER ROLE strange PASSWORD {}").format(sql.Literal(password))
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
        connection.execute(words)


def test_any_password_encoded_or_not_opens_every_part(
    postgres: Postgres, strange: str, tmp_path: Path
) -> None:
    for password in PASSWORDS:
        _set_password(postgres, password)
        plain = "%25" not in password  # which reads as encoded
        for written in [quote(password, safe=""), *[password] * plain]:
            url = f"postgresql://strange:{written}@127.0.0.1:{postgres.port}/strange"
            migrations.upgrade(url)
            with closing(connect(url)) as ledger:
                assert password not in ledger.place
                assert ledger.place == f"postgresql://strange:***@127.0.0.1:{postgres.port}/strange"
                heard = Event()
                watch = Watch(ledger, "any", heard.set)
                watch.start()
                assert heard.wait(10)
                watch.stop()
                settings = settings_of(tmp_path, url, "http://127.0.0.1:1", "0" * 40)
                assert jobs.add(settings, "export", key=written)
                assert queue.counts(ledger)["waiting"] >= 1


def test_options_of_the_url_hold_for_schema_ledger_and_queue(
    postgres: Postgres, strange: str, tmp_path: Path
) -> None:
    for options in ("-csearch_path=app", "-c%20search_path%3Dapp%20-c%20work_mem=9MB"):
        url = f"{postgres.url(strange)}?options={options}"
        with pytest.raises(UsageError, match="None of the schemas in the search_path"):
            migrations.upgrade(url)
        postgres_in = psycopg.connect(postgres.url(strange), autocommit=True)
        assert postgres_in.execute(
            "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
        ).fetchone() == (0,)
        postgres_in.execute("CREATE SCHEMA app")
        assert migrations.upgrade(url) == migrations.shipped()
        assert migrations.upgrade(url) == []
        with closing(connect(url)) as ledger, ledger.transaction() as transaction:
            assert transaction.value("SHOW timezone") == "UTC", "ours hold, too"
            assert transaction.value("SELECT to_regclass('app.samples')::text") == "samples"
        assert jobs.add(settings_of(tmp_path, url, "http://127.0.0.1:1", "0" * 40), "export")
        assert postgres_in.execute(
            "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
        ).fetchone() == (0,)
        postgres_in.execute("DROP SCHEMA app, lsloop_jobs CASCADE")
        postgres_in.close()


def test_several_hosts_of_which_one_answers(postgres: Postgres, database_url: str) -> None:
    with closing(connect(database_url.replace("@127.0.0.1:", "@127.0.0.1:1,127.0.0.1:"))) as ledger:
        ledger.ping()
    name = database_url.rpartition("/")[2]
    user = database_url.split("//")[1].split("@")[0]
    with closing(
        connect(f"postgresql://{user}@/{name}?host=127.0.0.1:1&host=127.0.0.1:{postgres.port}")
    ) as ledger:
        ledger.ping()


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
def test_a_database_that_is_not_utf8_is_refused_and_nothing_is_made(
    postgres: Postgres, encoding: str
) -> None:
    name = f"in_{encoding.lower()}"
    postgres.execute(
        f"CREATE DATABASE {name} ENCODING '{encoding}' LOCALE 'C' LOCALE_PROVIDER libc TEMPLATE template0"
    )
    for act in (migrations.upgrade, connect):
        with pytest.raises(UsageError, match=f"is in {encoding}.* must be UTF8") as refused:
            act(postgres.url(name))
        assert "CREATE DATABASE name ENCODING 'UTF8' TEMPLATE template0" in refused.value.fix
    with psycopg.connect(postgres.url(name)) as connection:
        assert connection.execute("SELECT count(*) FROM pg_class WHERE relnamespace = 2200").fetchone() == (
            0,
        )
    postgres.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_without_the_rights_nothing_is_made_and_the_words_to_get_them_are_right(
    postgres: Postgres, strange: str
) -> None:
    postgres.execute("CREATE ROLE guest LOGIN PASSWORD 'x'")
    url = f"postgresql://guest:x@127.0.0.1:{postgres.port}/strange"
    owner = psycopg.connect(postgres.url(strange), autocommit=True)
    words = "The user guest may not make anything in DATABASE strange"
    with pytest.raises(UsageError, match=words) as refused:
        migrations.upgrade(url)
    assert owner.execute("SELECT count(*) FROM pg_tables WHERE tableowner = 'guest'").fetchone() == (0,)
    owner.execute(refused.value.fix.removeprefix("As its owner: "))
    assert migrations.upgrade(url) == migrations.shipped()
    owner.execute("REVOKE CREATE ON DATABASE strange FROM guest")
    assert migrations.upgrade(url) == [], "nothing is to be made"
    owner.execute("DROP OWNED BY guest; DROP ROLE guest")
    owner.close()


def test_a_ledger_that_cannot_be_written_is_refused(database_url: str) -> None:
    for act in (migrations.upgrade, connect):
        with pytest.raises(UsageError, match="default_transaction_read_only is on"):
            act(f"{database_url}?options=-cdefault_transaction_read_only=on")


@pytest.mark.parametrize(
    ("change", "problem", "fix"),
    [
        (("/test_", "/nowhere_"), "has no such database", "CREATE DATABASE"),
        (("://lsloop:", "://lsloop:hunter2"), "does not accept the user or the password", "%40"),
        (("://lsloop:", "://stranger:"), "does not accept the user or the password", "%40"),
        (("/test_", "/test_?sslmode=require&dbname=test_"), "cannot be reached in the way", "behind the ?"),
    ],
)
def test_what_stands_in_the_way_of_a_connection_is_told_in_two_sentences(
    database_url: str, change: tuple[str, str], problem: str, fix: str
) -> None:
    for act in (migrations.upgrade, connect):
        with pytest.raises(LsloopError, match=problem) as refused:
            act(database_url.replace(*change))
        assert (refused.value.exit_code, fix in refused.value.fix) == (2, True)
