"""A crawler that writes by SQL: what it changes is what an ingest of the same would have changed."""

import unicodedata
from typing import Any

import psycopg
import pytest

from lsloop.ledger import Ledger
from office import Office

WAYS = {
    "the call": (
        """SELECT upsert_sample('crawler', 'a', '{"transcript": "two", "translation": "eins"}', 'a.wav',
           'md5 1')"""
    ),
    "the field": """UPDATE samples SET fields = fields || '{"transcript": "two"}' WHERE external_id = 'a'""",
    "the row": (
        """UPDATE samples SET fields = '{"transcript": "two", "translation": "eins"}'
           WHERE external_id = 'a'"""
    ),
    "with its own count": (
        """UPDATE samples SET fields = jsonb_set(fields, '{transcript}', '"two"'),
                                    sync_version = sync_version + 1 WHERE external_id = 'a'"""
    ),
    "INSERT … ON CONFLICT": (
        """INSERT INTO samples AS s (source, external_id, fields, media_path, media_md5)
                               VALUES ('crawler', 'a', '{"transcript": "two", "translation": "eins"}',
                               'a.wav', 'md5 1')
                               ON CONFLICT (source, external_id) DO UPDATE SET fields = excluded.fields"""
    ),
    "a whole row, as it was read long ago": (
        """
        UPDATE samples SET fields = fields || '{"transcript": "two"}', held = '{}', upstream = NULL,
        field_versions = '{}',
               sync_version = 1 WHERE external_id = 'a'"""
    ),
    "under a lock": (
        """DO $$ DECLARE v uuid := (SELECT sample_id FROM samples WHERE external_id = 'a'); BEGIN
                           PERFORM lock_sample_for_annotation(v, 'crawler', 'nothing that is sent');
                           UPDATE samples SET fields = fields || '{"transcript": "two"}' WHERE sample_id = v;
                           PERFORM unlock_sample(v, TRUE, (SELECT token FROM locks
                           WHERE task_type ~ 'nothing'));
                       END $$"""
    ),
}


class Crawler:
    """A program with a connection of its own; each statement is a transaction."""

    def __init__(self, url: str) -> None:
        self.url = url

    def __call__(self, statement: str, *values: Any) -> list[Any]:
        with psycopg.connect(self.url) as connection:
            done = connection.execute(statement.encode(), values or None)
            return done.fetchall() if done.description else []


@pytest.fixture
def crawler(database_url: str) -> Crawler:
    return Crawler(database_url)


@pytest.fixture
def office(ledger: Ledger) -> Office:
    made = Office(ledger)
    made.crawl("a", transcript="one", translation="eins")
    return made


def content(office: Office, external_id: str = "a") -> dict[str, Any]:
    row = office.rows(
        """SELECT fields, upstream, held, sync_version, field_versions, media_path, media_md5,
           audio_file_md5, media_bytes
             FROM samples WHERE external_id = :id""",
        id=external_id,
    )[0]
    return dict(row._mapping)


@pytest.mark.parametrize("way", WAYS)
def test_a_change_by_sql_is_a_change(office: Office, crawler: Crawler, way: str) -> None:
    office.send()
    crawler(WAYS[way])
    now = content(office)
    assert (now["fields"]["transcript"], now["sync_version"], now["field_versions"]) == (
        "two",
        2,
        {"transcript": 2},
    )
    assert office.history("a") == [("one", "upstream"), ("two", "upstream")], "the old text is the original"
    assert office.answer("a", "heard") == {"conflicted": 1}
    assert office.conflict().moved == {"transcript": "upstream"}
    assert (office.conflict().base["fields"], office.conflict().theirs["fields"]) == (
        {"transcript": "one"}, {"transcript": "two"},
    )  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_what_people_hold_stays_and_upstreams_word_stands_beside_it(
    office: Office, crawler: Crawler, way: str
) -> None:
    office.send()
    office.answer("a", "heard")
    crawler(WAYS[way])
    now = content(office)
    assert (now["fields"]["transcript"], now["upstream"]["transcript"], now["sync_version"]) == (
        "heard",
        "two",
        2,
    )
    assert office.history("a") == [("one", "upstream"), ("heard", "human"), ("two", "upstream")]


def test_a_whole_row_that_says_what_upstream_said_before_says_nothing_new(
    office: Office, crawler: Crawler
) -> None:
    office.send()
    office.answer("a", "heard")
    crawler("""UPDATE samples SET fields = '{"transcript": "one", "translation": "zwei"}'""")
    now = content(office)
    assert now["fields"] == {"transcript": "heard", "translation": "zwei"}
    assert (now["upstream"], now["field_versions"]) == (
        {"transcript": "one", "translation": "zwei"},
        {"translation": 2},
    )


def test_a_row_that_was_read_before_somebody_answered_takes_nothing_from_them(
    office: Office, crawler: Crawler
) -> None:
    columns = "fields, held, upstream, field_versions, sync_version"
    ((read,),) = crawler("SELECT to_jsonb(s)::text FROM samples s")
    crawler(
        """SELECT upsert_sample('crawler', 'a', '{"transcript": "one", "translation": "zwei"}', 'a.wav')"""
    )
    office.send()
    office.answer("a", "heard")
    before = content(office)
    stale = (
        f"UPDATE samples SET ({columns}) = (SELECT {columns} FROM jsonb_populate_record(NULL::samples, %s))"
    )
    crawler(stale, read)
    now = content(office)
    assert (now["fields"]["transcript"], now["held"]) == ("heard", before["held"])
    assert (now["upstream"]["transcript"], now["sync_version"]) == ("one", 3), (
        "the old translation is what it says now"
    )
    crawler("UPDATE samples SET held = '{}', sync_version = 1")
    assert content(office) == now


def test_the_same_again_is_no_change(office: Office, crawler: Crawler) -> None:
    before = content(office)
    ((_, version, became),) = crawler(
        """SELECT * FROM upsert_sample('crawler', 'a', '{"transcript": "one", "translation": "eins"}',
           'a.wav')"""
    )
    crawler("UPDATE samples SET fields = fields, media_path = './a.wav'")
    assert (version, became, content(office)) == (1, "unchanged", before)
    crawler("UPDATE samples SET priority = 7")
    assert content(office) == before


def test_a_new_recording_by_sql_goes_round_again(office: Office, crawler: Crawler) -> None:
    office.send()
    crawler("UPDATE samples SET media_path = 'b.wav'")
    now = content(office)
    assert (now["media_md5"], now["media_bytes"], now["field_versions"]) == (None, None, {"media": 2}), (
        "not known yet"
    )
    office.answer("a", "heard in the old one")
    assert office.by_rule() == {"pending_reflow": 1}
    crawler("UPDATE samples SET media_md5 = 'md5 of b' WHERE external_id = 'a'")
    child = content(office, "a#reflow-1")
    assert (child["media_path"], child["media_md5"], child["audio_file_md5"]) == (
        "b.wav",
        "md5 of b",
        "md5 of b",
    )


def test_another_recording_is_one_also_where_nothing_is_known_of_either(
    office: Office, crawler: Crawler
) -> None:
    crawler("INSERT INTO samples (external_id, fields, media_path) VALUES ('new', '{}', 'first.wav')")
    asked = "SELECT sync_version, field_versions ->> 'media' AS media FROM samples WHERE external_id = 'new'"
    crawler("UPDATE samples SET media_path = './first.wav' WHERE external_id = 'new'")
    assert tuple(office.rows(asked)[0]) == (1, None)
    crawler("UPDATE samples SET media_path = 'second.wav' WHERE external_id = 'new'")
    assert tuple(office.rows(asked)[0]) == (2, "2")


def test_a_new_sample_by_sql_is_as_an_ingest_would_have_it(office: Office, crawler: Crawler) -> None:
    decomposed = unicodedata.normalize("NFD", "mẫu")
    crawler("INSERT INTO samples (external_id, fields, media_path) VALUES (%s, %s, './x//y.wav')",
            decomposed, f'{{"transcript": "{decomposed}"}}')  # fmt: skip
    row = office.rows("SELECT * FROM samples WHERE external_id = 'mẫu'")[0]
    assert (row.fields, row.media_path, row.sync_version) == ({"transcript": "mẫu"}, "x/y.wav", 1)
    ((_, _, became),) = crawler("SELECT * FROM upsert_sample(NULL, 'new', '{}', NULL)")
    assert became == "added"


@pytest.mark.parametrize("path", ["/etc/passwd", "../x.wav", "a/../../x", "a\\b.wav", "a\nb.wav", "a/"])
def test_a_path_that_no_ingest_takes_is_refused_by_sql_too(
    office: Office, crawler: Crawler, path: str
) -> None:
    for call in ("UPDATE samples SET media_path = %s", "SELECT upsert_sample('x', 'y', '{}', %s)",
                 "INSERT INTO samples (external_id, media_path) VALUES ('z', %s)"):  # fmt: skip
        with pytest.raises(psycopg.errors.RaiseException, match="is no path of a file inside data/raw"):
            crawler(call, path)
    assert content(office)["media_path"] == "a.wav"


def test_a_sample_is_marked_and_never_deleted(office: Office, crawler: Crawler) -> None:
    with pytest.raises(psycopg.errors.RaiseException, match="Sample a is not deleted"):
        crawler("DELETE FROM samples")
    crawler("UPDATE samples SET deleted_at = now()")
    assert office.send() == []
    ((_, version, became),) = crawler("SELECT * FROM upsert_sample('crawler', 'a', '{}', 'a.wav', 'md5 1')")
    assert (version, became) == (2, "restored")
    assert office.send() == ["a"]


def test_unlocking_counts_a_change_that_the_ledger_cannot_see_once(office: Office, crawler: Crawler) -> None:
    take = "SELECT lock_sample_for_annotation(sample_id, 'crawler') FROM samples"
    crawler(take)
    crawler("SELECT unlock_sample(sample_id, TRUE) FROM samples")
    assert content(office)["sync_version"] == 2
    assert office.value("SELECT media_mtime_ns FROM samples") is None, (
        "the next ingest reads the recording again"
    )
    crawler(take)
    crawler("""SELECT upsert_sample('crawler', 'a', '{"transcript": "two"}', 'a.wav')""")
    office.rows("UPDATE samples SET media_mtime_ns = 7 RETURNING 1")
    crawler("SELECT unlock_sample(sample_id, TRUE) FROM samples")
    assert content(office)["sync_version"] == 3
    assert office.value("SELECT media_mtime_ns FROM samples") is None


def test_our_own_writing_in_the_same_transaction_does_not_hide_somebody_elses(
    office: Office, database_url: str
) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("""SELECT upsert_sample('crawler', 'a', '{"transcript": "two"}', 'a.wav')""")
        connection.execute("""UPDATE samples SET fields = '{"transcript": "three"}'""")
    assert office.history("a") == [("one", "upstream"), ("two", "upstream"), ("three", "upstream")]
    assert content(office)["sync_version"] == 3
