"""Conflicts as any program sees them: through SQL, here from psql, as a crawler in another language would."""

import subprocess
import uuid
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from lsloop.ledger import Ledger, conflicts
from lsloop.stack import postgres as stack_postgres
from office import Office


@pytest.fixture
def office(ledger: Ledger) -> Office:
    """One sample whose recording was replaced while the annotator was at it."""
    made = Office(ledger)
    made.crawl("a", transcript="one")
    made.send()
    made.crawl("a", media="2", transcript="one")
    return made


def psql(url: str, statement: str) -> subprocess.CompletedProcess[str]:
    command = [
        str(stack_postgres.binary("psql")),
        url,
        "-At",
        "-F",
        "|",
        "-v",
        "ON_ERROR_STOP=1",
        "-c",
        statement,
    ]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def answer(url: str, statement: str) -> list[str]:
    """One text per column of the first row."""
    done = psql(url, statement)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[0].split("|")


def sample_id(office: Office) -> str:
    return str(office.value("SELECT sample_id FROM samples WHERE external_id = 'a'"))


def test_a_crawler_sends_a_sample_round_again_and_decides_its_conflict_by_it(
    database_url: str, office: Office
) -> None:
    office.answer("a", "heard")
    original = sample_id(office)
    (child,) = answer(database_url, f"SELECT create_conflict_sample('{original}', 'new microphone')")
    row = office.rows("SELECT * FROM samples WHERE sample_id = :id", id=uuid.UUID(child))[0]
    assert (str(row.parent_sample_id), row.media_md5, row.priority > 0) == (original, "md5 2", True)
    (found,) = conflicts.find(office.ledger, conflicts.Filter(status="resolved"))
    assert (found.resolution, str(found.reflow_sample_id), found.decided_because) == (
        "pending_reflow",
        child,
        "new microphone",
    )
    assert office.send() == ["a#reflow-1"]
    shown = office.rows(
        "SELECT model_version, value FROM predictions WHERE sample_id = :id", id=uuid.UUID(child)
    )
    assert [(p.model_version, p.value) for p in shown] == [("human-reflow", {"transcript": "heard"})]


def test_a_crawler_may_send_a_sample_round_again_that_nobody_disputes(
    database_url: str, ledger: Ledger
) -> None:
    office = Office(ledger)
    office.crawl("a", transcript="one")
    office.send()
    office.answer("a", "heard")
    call = f"SELECT create_conflict_sample('{sample_id(office)}', 'hear it again')"
    child = answer(database_url, call)
    assert answer(database_url, call) == child, "asked twice, it is one child"
    assert office.send() == ["a#reflow-1"]
    assert answer(database_url, "SELECT value FROM predictions") == ['{"transcript": "heard"}']
    assert answer(database_url, "SELECT actor, action, reason FROM audit") == [
        "lsloop",
        "reflow",
        "hear it again",
    ]
    assert office.current("a") == "heard", "what people accepted stays"
    office.answer("a#reflow-1", "heard again")
    assert answer(database_url, call) != child


def test_many_crawlers_asking_at_once_get_one_child(database_url: str, office: Office) -> None:
    office.answer("a", "heard")
    original = sample_id(office)

    def ask(_: int) -> str:
        with psycopg.connect(database_url, autocommit=True) as connection:
            row = connection.execute("SELECT create_conflict_sample(%s, 'again')", (original,)).fetchone()
            return str(row[0])  # type: ignore[index]

    with ThreadPoolExecutor(8) as crawlers:
        assert len(set(crawlers.map(ask, range(16)))) == 1


def test_a_sample_that_does_not_exist_is_refused_by_name(database_url: str) -> None:
    missing = uuid.uuid4()
    done = psql(database_url, f"SELECT create_conflict_sample('{missing}', 'x')")
    assert done.returncode != 0
    assert f"There is no sample {missing}" in done.stderr


@pytest.mark.parametrize("call", ["resolve_human_wins", "resolve_crawler_wins", "resolve_pending_reflow"])
def test_each_way_to_decide_is_one_call(database_url: str, office: Office, call: str) -> None:
    office.answer("a", "heard")
    answer(database_url, f"SELECT {call}(1, 'crawler', 'because')")
    assert answer(database_url, "SELECT status, actor, decided_because FROM conflicts") == [
        "resolved",
        "crawler",
        "because",
    ]
    assert answer(database_url, "SELECT undo_resolution(1, 'lead')") == [call.removeprefix("resolve_")]
    done = psql(database_url, "SELECT undo_resolution(1, 'lead')")
    assert "there is no decision to undo" in done.stderr


def test_two_deciding_at_once_one_does_and_the_other_is_told(database_url: str, office: Office) -> None:
    office.answer("a", "heard")

    def decide(way: str) -> str:
        done = psql(database_url, f"SELECT resolve_{way}(1, '{way}')")
        return "decided" if done.returncode == 0 else done.stderr

    with ThreadPoolExecutor(2) as people:
        told = sorted(people.map(decide, ["human_wins", "crawler_wins"]))
    assert told[1] == "decided"
    assert "Conflict 1 is not open" in told[0]
    assert office.value("SELECT count(*) FROM audit") == 1


def test_deciding_and_an_edit_at_once_never_lose_the_edit(database_url: str, office: Office) -> None:
    office.answer("a", "heard")
    with psycopg.connect(database_url) as deciding, ThreadPoolExecutor(1) as other:
        deciding.execute("SELECT resolve_human_wins(1, 'lead')")
        edit = other.submit(office.answer, "a", "heard better")  # waits for the sample
        deciding.commit()
        assert edit.result(timeout=30) == {"accepted": 1}
    assert office.current("a") == "heard better"
