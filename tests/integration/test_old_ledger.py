"""A ledger that commit 7cb9f64 made, in the middle of work: it is upgraded, and the work goes on.

`payloads/ledger_7cb9f64.sql.gz` is its dump: answers accepted, a conflict, gold with scores of two task
types, a task that was claimed by a push which was killed, and a model in use.
"""

import gzip
import itertools
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from annotating import Office, said
from lsloop.config import Gold
from lsloop.ledger import Ledger, conflicts, connect, migrations, quality, versions
from lsloop.loop.pull import court_of
from lsloop.stack import postgres as stack_postgres
from lsloop.steps import conflict
from lsloop.task_types import load
from services import Postgres
from world import TRANSCRIPT, config

DUMP = Path(__file__).parents[1] / "payloads" / "ledger_7cb9f64.sql.gz"
KEPT = (
    "samples",
    "annotations",
    "annotation_history",
    "revisions",
    "conflicts",
    "tasks",
    "model_versions",
    "gold_standards",
)


@pytest.fixture
def old(postgres: Postgres) -> Iterator[str]:
    """A database with the old ledger, which somebody may read a view and a table of."""
    postgres.execute("DROP DATABASE IF EXISTS old WITH (FORCE)", "CREATE DATABASE old")
    url = postgres.url("old")
    dump = gzip.decompress(DUMP.read_bytes())
    psql = [str(stack_postgres.binary("psql")), "-qX", "-v", "ON_ERROR_STOP=1", url]
    subprocess.run(psql, input=dump, check=True, capture_output=True)
    yield url
    postgres.execute("DROP DATABASE old WITH (FORCE)")


def all_rows(url: str) -> dict[str, list[Any]]:
    with psycopg.connect(url) as connection:
        return {
            name: connection.execute(
                f"SELECT to_jsonb(t) FROM {name} t ORDER BY to_jsonb(t)::text"
            ).fetchall()
            for name in KEPT
        }


def reopened(ledger: Ledger, folder: Path, url: str, task_type: str = TRANSCRIPT) -> Office:
    settings = config(folder, url, "http://ls.invalid", "token", gold=Gold(ratio=0.5, window=2))
    return Office(ledger, settings, task_type, itertools.count(1000))


def test_an_old_ledger_is_upgraded_with_all_that_was_in_it_and_goes_on(old: str, tmp_path: Path) -> None:
    before = all_rows(old)
    assert all(before.values())
    before_claimed = sum(row["state"] == "claimed" for (row,) in before["tasks"])
    views = "v_annotator_accuracy", "v_gold_standard_samples", "v_sync_status", "v_revisions", "v_problems"
    with psycopg.connect(old) as connection:
        connection.execute("DROP ROLE IF EXISTS looks_on")
        connection.execute("CREATE ROLE looks_on")
        for view in views:
            connection.execute(f"GRANT SELECT ON {view} TO looks_on")
    assert migrations.upgrade(old)[-1] == migrations.shipped()[-1]
    with psycopg.connect(old) as connection:
        for view in views:
            (may,) = (
                connection.execute("SELECT has_table_privilege('looks_on', %s, 'SELECT')", (view,)).fetchone()
                or ()
            )
            assert may, f"{view} was made anew: nobody may read it any more"
        connection.execute("DROP OWNED BY looks_on")
        connection.execute("DROP ROLE looks_on")
    after = all_rows(old)
    for name, rows in before.items():
        assert len(rows) == len(after[name]), name
        known = [{key: one.get(key) for key in row} for (row,), (one,) in zip(rows, after[name], strict=True)]
        assert known == [row for (row,) in rows], name
    ledger = connect(old)
    office, segments = reopened(ledger, tmp_path, old), reopened(ledger, tmp_path, old, "audio_segmentation")
    the_figures_are_recounted(office, segments)
    (open_conflict,) = conflicts.find(ledger, conflicts.Filter())
    conflict.resolve(ledger, load(TRANSCRIPT), open_conflict, "human_wins", actor="lead")
    assert office.value(
        "SELECT fields ->> 'transcript' FROM samples WHERE sample_id = :id", id=open_conflict.sample_id
    ) == ("heard two")
    assert office.states()["claimed"] == before_claimed
    in_use = versions.promoted(ledger, TRANSCRIPT)
    assert in_use is not None
    assert in_use.version == "first"
    sent = office.push(10)
    for number in sent:
        office.answer(number, "dung@example.com", said("right answer 0"))
    assert office.pull(sent).outcomes
    ledger.close()


def the_figures_are_recounted(office: Office, segments: Office) -> None:
    """Words as they were; what no words could be counted of, by its own unit with the next look."""
    scored = {one["annotator"]: one for one in quality.annotators(office.ledger)}
    assert (scored["an@example.com"]["unit"], scored["an@example.com"]["words"]) == ("words", 6)
    assert (scored["chi@example.com"]["unit"], scored["chi@example.com"]["mean"]) == (
        None,
        pytest.approx(6 / 7),
    )
    for one in (office, segments):
        court_of(one.config, one.project).examine_all(one.ledger, one.project)
    again = {one["annotator"]: one for one in quality.annotators(office.ledger)}
    assert again["an@example.com"] == scored["an@example.com"]
    chi = again["chi@example.com"]
    assert (chi["unit"], chi["errors"], chi["total"], chi["words"], chi["n"]) == (
        "milliseconds",
        500,
        2000,
        None,
        1,
    )
    assert chi["error_low"] < 0.25 < chi["error_high"]


def test_it_moves_into_a_schema_of_its_own_and_nothing_of_the_users_moves(old: str) -> None:
    theirs = """
        CREATE TABLE notes (sample_id uuid REFERENCES samples, said text);
        CREATE VIEW unanswered AS SELECT task_key, external_id, speaker(a) AS who
          FROM tasks JOIN samples USING (sample_id) LEFT JOIN annotations a USING (task_key);
        CREATE FUNCTION refuse(integer) RETURNS integer LANGUAGE sql AS 'SELECT $1';
        CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS
            'BEGIN INSERT INTO notes VALUES (NEW.sample_id, refuse(7)::text); RETURN NULL; END';
        CREATE TRIGGER noted AFTER UPDATE ON samples FOR EACH ROW EXECUTE FUNCTION noted();
        CREATE ROLE crawls;
        GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA public TO crawls;
        REVOKE EXECUTE ON FUNCTION release_lock(bigint, text, text) FROM PUBLIC"""
    said: list[str] = []
    with psycopg.connect(old, autocommit=True) as connection, psycopg.connect(old) as before:
        connection.execute(theirs)
        before.execute("SET application_name = 'lsloop'")
        before.commit()
        migrations.upgrade(old, say=said.append)
    assert [line.split(":")[0] for line in said] == [
        "The ledger moved from the schema public to lsloop; everything else stayed.",
        "1 session of an lsloop that was started before",
    ]
    assert migrations.upgrade(old, say=said.append) == []
    assert len(said) == 2
    left = """SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace
              UNION ALL SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace ORDER BY 1"""
    with psycopg.connect(old, autocommit=True) as crawler:
        assert [name for (name,) in crawler.execute(left)] == [
            "_yoyo_migration", "noted", "notes", "refuse", "unanswered"
        ]  # fmt: skip
        assert crawler.execute("SELECT count(*) FROM unanswered").fetchone() != (0,)
        (name,) = (
            crawler.execute("SELECT sample_id FROM samples WHERE media_path > '' LIMIT 1").fetchone() or ()
        )
        crawler.execute("SET ROLE crawls")
        answer = crawler.execute("SELECT success FROM lock_sample_for_annotation(%s, 'me', 'any')", [name])
        assert answer.fetchone() == (True,)
        crawler.execute("UPDATE samples SET fields = fields || '{\"more\": 1}' WHERE sample_id = %s", [name])
        changed = crawler.execute("SELECT field_versions ? 'more' FROM samples WHERE sample_id = %s", [name])
        assert changed.fetchone() == (True,), "our trigger"
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="function release_lock"):
            crawler.execute("SELECT release_lock(1, 'me')")
        crawler.execute("RESET ROLE")
        assert crawler.execute("SELECT DISTINCT said FROM notes").fetchall() == [("7",)], "and theirs"
        # An lsloop from before finds no ledger to make anew, but one that is newer.
        found = crawler.execute("SELECT max(migration_id) FROM public._yoyo_migration").fetchone()
        assert found == (migrations.shipped()[-1],)
        crawler.execute("DROP OWNED BY crawls; DROP ROLE crawls")
