"""Locks as any program sees them: through SQL, here from psql, as a crawler in another language would."""

import subprocess
import uuid
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from lsloop.ledger import Ledger
from lsloop.stack import postgres as stack_postgres
from world import clips


@pytest.fixture
def sample(ledger: Ledger) -> str:
    with ledger.transaction() as transaction:
        return str(transaction.value("INSERT INTO samples (external_id) VALUES ('a') RETURNING sample_id"))


def psql(url: str, statement: str) -> list[str]:
    """The answer of PostgreSQL's own client, one text per column of the first row."""
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
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[0].split("|") if done.stdout.strip() else []


def test_a_locked_sample_is_refused_to_others_and_says_who_has_it(database_url: str, sample: str) -> None:
    success, version, message, token = psql(
        database_url, f"SELECT * FROM lock_sample_for_annotation('{sample}', 'crawler')"
    )
    assert (success, version, message) == ("t", "1", "locked")
    assert uuid.UUID(token)
    success, version, message, token = psql(
        database_url, f"SELECT * FROM lock_sample_for_annotation('{sample}', 'other')"
    )
    assert (success, version, token) == ("f", "1", "")
    assert "locked by crawler for every task type" in message


def test_locks_of_two_task_types_do_not_exclude_each_other_but_every_type_excludes_both(
    database_url: str, sample: str
) -> None:
    assert psql(
        database_url, f"SELECT success FROM lock_sample_for_annotation('{sample}', 'a', 'transcript')"
    ) == ["t"]
    assert psql(
        database_url, f"SELECT success FROM lock_sample_for_annotation('{sample}', 'b', 'translation')"
    ) == ["t"]
    assert psql(
        database_url, f"SELECT success FROM lock_sample_for_annotation('{sample}', 'c', 'transcript')"
    ) == ["f"]
    assert psql(database_url, f"SELECT success FROM lock_sample_for_annotation('{sample}', 'd')") == ["f"]


def test_unlock_refuses_a_wrong_token_and_raises_the_version_only_when_asked(
    database_url: str, sample: str
) -> None:
    token = psql(database_url, f"SELECT token FROM lock_sample_for_annotation('{sample}', 'crawler')")[0]
    assert psql(database_url, f"SELECT unlock_sample('{sample}', TRUE, '{uuid.uuid4()}')") == ["f"]
    assert psql(database_url, f"SELECT success FROM lock_sample_for_annotation('{sample}', 'other')") == ["f"]
    assert psql(database_url, f"SELECT unlock_sample('{sample}', TRUE, '{token}')") == ["t"]
    assert psql(database_url, f"SELECT sync_version FROM samples WHERE sample_id = '{sample}'") == ["2"]
    assert psql(database_url, f"SELECT unlock_sample('{sample}', TRUE, '{token}')") == ["f"]
    assert psql(database_url, f"SELECT sync_version FROM samples WHERE sample_id = '{sample}'") == ["2"]


def test_the_two_argument_unlock_of_the_crawler_releases_its_own_kind_of_lock_only(
    database_url: str, sample: str
) -> None:
    psql(database_url, f"SELECT lock_sample_for_annotation('{sample}', 'somebody', 'transcript')")
    assert psql(database_url, f"SELECT unlock_sample('{sample}', FALSE)") == ["f"]
    assert psql(
        database_url, f"SELECT success FROM lock_sample_for_annotation('{sample}', 'x', 'transcript')"
    ) == ["f"]


def test_a_lock_expires_when_it_is_not_renewed_and_then_its_token_is_worth_nothing(
    database_url: str, sample: str
) -> None:
    take = f"SELECT token FROM lock_sample_for_annotation('{sample}', 'crawler', NULL, '-1 second')"
    token = psql(database_url, take)[0]
    assert psql(database_url, f"SELECT renew_lock('{token}')") == ["f"]
    assert psql(database_url, f"SELECT success FROM lock_sample_for_annotation('{sample}', 'next')") == ["t"]


def test_a_renewed_lock_lives_on(database_url: str, sample: str) -> None:
    token = psql(
        database_url, f"SELECT token FROM lock_sample_for_annotation('{sample}', 'crawler', NULL, '1 minute')"
    )[0]
    assert psql(database_url, f"SELECT renew_lock('{token}')") == ["t"]
    left = psql(
        database_url, "SELECT expires_at - now() > interval '29 minutes' FROM locks WHERE released_at IS NULL"
    )
    assert left == ["t"]


def test_many_takers_at_once_only_one_gets_the_lock(database_url: str, sample: str) -> None:
    def take(number: int) -> bool:
        with psycopg.connect(database_url, autocommit=True) as connection:
            row = connection.execute(
                "SELECT success FROM lock_sample_for_annotation(%s, %s)", (sample, f"taker {number}")
            )
            return bool(row.fetchone()[0])  # type: ignore[index]

    with ThreadPoolExecutor(8) as takers:
        assert sum(takers.map(take, range(24))) == 1


def test_a_lock_on_a_sample_that_does_not_exist_is_refused(database_url: str) -> None:
    missing = uuid.uuid4()
    answer = psql(
        database_url, f"SELECT success, message FROM lock_sample_for_annotation('{missing}', 'crawler')"
    )
    assert answer == ["f", f"there is no sample {missing}"]


def test_a_missing_expected_version_is_a_conflict(database_url: str, sample: str) -> None:
    assert psql(database_url, f"SELECT * FROM check_annotation_conflict('{sample}', 1)") == ["f", "1", "1"]
    assert psql(database_url, f"SELECT * FROM check_annotation_conflict('{sample}', 7)") == ["t", "1", "7"]
    assert psql(database_url, f"SELECT * FROM check_annotation_conflict('{sample}', NULL)") == ["t", "1", ""]


def test_the_database_refuses_a_second_live_lock_whoever_writes_it(ledger: Ledger, sample: str) -> None:
    from lsloop.errors import Refused

    insert = (
        "INSERT INTO locks (sample_id, locked_by, expires_at) VALUES (:id, 'x', now() + interval '1 hour')"
    )
    with ledger.transaction() as transaction:
        transaction.run(insert, id=sample)
    with pytest.raises(Refused, match="one_live_lock"), ledger.transaction() as transaction:
        transaction.run(insert, id=sample)


def test_v_sync_status_tells_who_holds_what(database_url: str, sample: str) -> None:
    look = "SELECT lock_status, locked_by FROM v_sync_status"
    assert psql(database_url, look) == ["unlocked", ""]
    psql(database_url, f"SELECT lock_sample_for_annotation('{sample}', 'crawler')")
    assert psql(database_url, f"{look} WHERE lock_status != 'unlocked'") == ["locked", "crawler"]
    psql(database_url, "UPDATE locks SET expires_at = now() - interval '1 second'")
    assert psql(database_url, look) == ["expired", "crawler"]


def test_a_push_passes_over_what_a_crawler_holds(world) -> None:  # type: ignore[no-untyped-def]
    world.ingest(clips(3))
    world.rows(
        "SELECT l.* FROM samples s, lock_sample_for_annotation(s.sample_id, 'me') l WHERE external_id ="
        " 'clip-002'"
    )
    assert world.push().sent == 2
    assert set(world.tasks()) == {"clip-001", "clip-003"}
    held = world.rows("SELECT external_id, lock_status FROM v_sync_status ORDER BY 1")
    assert [row.lock_status for row in held] == ["in_label_studio", "locked", "in_label_studio"]
    refused = world.rows(
        """SELECT l.* FROM samples s, lock_sample_for_annotation(s.sample_id, 'me', 'transcript_correction') l
            WHERE external_id = 'clip-001'"""
    )[0]
    assert not refused.success
    assert "until its task ends" in refused.message
