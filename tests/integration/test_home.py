"""The ledger's own schema: beside tables of the same names, for other roles, and where another was chosen."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from annotating import Office, said, samples
from lsloop.config import Gold
from lsloop.errors import SchemaMismatch, Skipped
from lsloop.ledger import connect, migrations
from lsloop.steps import checkup
from services import Postgres
from world import config

THEIRS = ("tasks", "samples", "projects", "locks", "annotations", "conflicts", "revisions", "gold_standards",
          "gold_scores", "problems", "audit", "schema_code", "_yoyo_migration", "yoyo_lock")  # fmt: skip
"""Tables that users have, too."""

FUNCTIONS = (
    "speaker(integer)", "refuse(text, text)", "t_quantile(double precision)", "plain_path(text)",
    "changed_since(jsonb, text[], integer)", "append_revision(integer)",
)  # fmt: skip


@pytest.fixture
def shared(postgres: Postgres) -> Iterator[str]:
    """A database of an owner who has tables and functions of these names; its name."""
    postgres.execute(
        "CREATE ROLE owner LOGIN PASSWORD 'x'",
        "CREATE ROLE guest LOGIN PASSWORD 'x'",
        "CREATE DATABASE shared OWNER owner",
    )
    with psycopg.connect(as_role(postgres, "owner")) as connection:
        for table in THEIRS:
            connection.execute(f"CREATE TABLE {table} (mine text)")
        for function in FUNCTIONS:
            words = f"CREATE FUNCTION {function} RETURNS text LANGUAGE plpgsql"
            connection.execute(f"{words} AS $$ BEGIN RAISE 'not ours'; END $$")
    yield "shared"
    postgres.execute("DROP DATABASE shared WITH (FORCE)", "DROP ROLE owner", "DROP ROLE guest")


def as_role(postgres: Postgres, role: str, options: str = "") -> str:
    return f"postgresql://{role}:x@127.0.0.1:{postgres.port}/shared{options}"


def test_a_ledger_stands_beside_tables_and_functions_of_the_same_names(
    postgres: Postgres, shared: str, tmp_path: Path
) -> None:
    url = as_role(postgres, "owner")
    assert migrations.upgrade(url) == migrations.shipped()
    assert migrations.upgrade(url) == []
    with closing(connect(url)) as ledger:
        people_work(
            Office(
                ledger, config(tmp_path, url, "http://ls.invalid", "token", gold=Gold(ratio=0.5, window=2))
            )
        )
    with psycopg.connect(url, autocommit=True) as crawler:
        for table in THEIRS:
            assert crawler.execute(f"TABLE {table}").fetchall() == [], "theirs is found by its name"
        crawler.execute("CREATE TEMPORARY TABLE locks (mine text)")
        a_crawler_works(crawler)
        for (view,) in crawler.execute("SELECT oid::regclass::text FROM pg_class WHERE relkind = 'v' "
                                       "AND relnamespace = 'lsloop'::regnamespace").fetchall():  # fmt: skip
            crawler.execute(f"SELECT count(t) FROM (TABLE {view}) t")
        assert crawler.execute("SELECT n, low < mean FROM v_annotator_accuracy").fetchall() == [(2, True)]
        for table in THEIRS:
            assert crawler.execute(f"TABLE {table}").fetchall() == []


def people_work(office: Office) -> None:
    samples(office.ledger, {"a": "một", "b": "hai", "c": "ba", "d": "bốn"})
    for name in ("a", "b"):
        office.value(
            "SELECT set_gold_standard(:id, 1.0, 'lead', CAST(:right AS jsonb))",
            id=office.sample(name), right=f'{{"transcript": "{name} is right"}}',
        )  # fmt: skip
    sent = office.push(4)
    for number in sent:
        office.answer(number, "an", said("a is right"))
    office.pull(sent)


def a_crawler_works(crawler: psycopg.Connection[tuple[object, ...]]) -> None:
    """All that README tells a crawler to call, and statements of its own on the tables."""

    def one(statement: str, *values: object) -> tuple[object, ...]:
        return crawler.execute(statement, values).fetchone() or ()

    name, _, became = one(
        "SELECT * FROM upsert_sample('web', 'clip', '{\"transcript\": \"x\"}', './a/clip.wav', 'm')"
    )
    assert became == "added"
    assert one(
        "SELECT became FROM upsert_sample('web', 'clip', '{\"transcript\": \"y\"}', 'a/clip.wav')"
    ) == ("changed",)
    success, version, _, token = one("SELECT * FROM lock_sample_for_annotation(%s, 'crawler')", name)
    assert (success, version) == (True, 2)
    assert one("SELECT renew_lock(%s)", token) == (True,)
    assert one("SELECT unlock_sample(%s, TRUE, %s)", name, token) == (True,)
    assert one("SELECT * FROM check_annotation_conflict(%s, 2)", name) == (True, 3, 2)
    crawler.execute(
        """UPDATE lsloop.samples SET fields = '{"transcript": "z"}', media_path = 'b//clip.wav'
            WHERE sample_id = %s""",
        [name],
    )
    now = """SELECT sync_version, media_path
               FROM v_sync_status JOIN lsloop.samples USING (sample_id, sync_version) WHERE sample_id = %s"""
    assert one(now, name) == (4, "b/clip.wav")
    assert one("SELECT count(*) FROM v_revisions WHERE field = 'transcript' AND sample_id = %s", name) == (3,)
    assert set(crawler.execute("SELECT a.status, a.task_type FROM lsloop.annotations a")) == {
        ("completed", "transcript_correction")
    }
    with pytest.raises(psycopg.errors.RaiseException, match="Sample clip is not deleted"):
        crawler.execute("DELETE FROM lsloop.samples WHERE sample_id = %s", [name])


def test_who_does_not_own_the_database_is_told_the_line_for_its_owner(
    postgres: Postgres, shared: str
) -> None:
    owner = psycopg.connect(as_role(postgres, "owner"), autocommit=True)
    owner.execute("CREATE SCHEMA app; ALTER DATABASE shared SET search_path TO app, public")
    owner.execute("GRANT CREATE ON DATABASE shared TO guest")
    url, said = as_role(postgres, "guest"), list[str]()
    assert migrations.upgrade(url, say=said.append)
    line = "ALTER DATABASE shared SET search_path TO app, public, lsloop;"
    assert said == [f"{migrations.ADVICE} {line}"]
    with closing(connect(url)) as ledger:
        with pytest.raises(Skipped, match="ALTER DATABASE shared"):
            checkup.search_path(ledger)
        owner.execute(said[0].removeprefix(migrations.ADVICE))
        assert checkup.search_path(ledger) == "plain SQL finds the ledger"
    assert migrations.upgrade(url, say=said.append) == []
    assert len(said) == 1
    with psycopg.connect(url) as crawler:
        assert crawler.execute("SELECT count(*) FROM v_sync_status").fetchone() == (0,)
    owner.close()


def test_a_path_in_the_url_is_where_the_ledger_stands_until_it_is_taken_out(
    postgres: Postgres, shared: str
) -> None:
    with psycopg.connect(as_role(postgres, "owner"), autocommit=True) as owner:
        owner.execute(f"DROP TABLE {', '.join(THEIRS)}; DROP FUNCTION {', '.join(FUNCTIONS)}")
        owner.execute("CREATE FUNCTION mine() RETURNS void LANGUAGE plpgsql AS 'BEGIN END'")
        chosen = as_role(postgres, "owner", "?options=-csearch_path=public")
        assert migrations.upgrade(chosen) == migrations.shipped()
        assert owner.execute("SELECT to_regnamespace('lsloop')").fetchone() == (None,)
        count = (
            "SELECT proname, count(*), count(proconfig) FROM pg_proc WHERE pronamespace = %s::regnamespace"
        )
        count += " AND proname IN ('settle_task', 'mine') GROUP BY 1 ORDER BY 1"
        assert owner.execute(count, ["public"]).fetchall() == [("mine", 1, 0), ("settle_task", 1, 1)]
        with closing(connect(as_role(postgres, "owner"))) as ledger:
            ledger.ping()
        assert migrations.upgrade(as_role(postgres, "owner")) == []
        assert owner.execute(count, ["public"]).fetchall() == [("mine", 1, 0)]
        assert owner.execute(count, ["lsloop"]).fetchall() == [("settle_task", 1, 1)]
        for act in (lambda: connect(chosen), lambda: migrations.upgrade(chosen)):
            with pytest.raises(SchemaMismatch, match="moved to the schema lsloop") as refused:
                act()
            assert refused.value.fix == "Take search_path out of DATABASE_URL."
