"""A translation belongs to the text that it was made of: when people correct that text, nobody pairs the
two silently."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from lsloop import resources
from lsloop.config import Conflicts
from lsloop.ledger import Ledger, exports
from lsloop.media.paths import RawData
from lsloop.steps.export.sample import Making
from office import Office

TRANSLATION = "translation_review"


@pytest.fixture
def offices(ledger: Ledger) -> tuple[Office, Office]:
    """Those who correct a transcript, and those who translate it; both have it."""
    hearing, translating = Office(ledger), Office(ledger, TRANSLATION)
    hearing.crawl("a", transcript="anh", translation="you")
    hearing.send()
    translating.send()
    return hearing, translating


def reviewed(office: Office, raw: Path | None = None) -> list[Any]:
    """What would be exported: the ledger's documents, or with a folder of recordings the rows to train on."""
    with office.ledger.transaction() as transaction:
        found = list(exports.straight(transaction, TRANSLATION, "tree/1"))
        documents = [json.loads(entry.document) for entry in found]
    if raw is None:
        return documents
    (raw / "a.wav").write_bytes(b"1")
    os.utime(raw / "a.wav", ns=(1, 1))
    making = Making(office.kind, str(raw), RawData(raw), resources.template(office.task_type))
    return [
        making.reviewed(entry, document).rows[0] for entry, document in zip(found, documents, strict=True)
    ]


def assign(office: Office) -> None:
    office.value("SELECT assign_splits(0.1, 0.1)")


def test_a_source_corrected_meanwhile_is_translated_again(
    offices: tuple[Office, Office], tmp_path: Path
) -> None:
    hearing, translating = offices
    hearing.answer("a", "em")
    assert translating.answer("a", "YOU") == {"accepted": 1}, "what somebody said is never lost"
    assign(hearing)
    assert reviewed(translating) == [], "the translation of another text is not paired with this one"
    assert translating.send() == ["a"], "somebody looks again"
    shown = translating.rows("SELECT base -> 'fields' AS fields FROM tasks ORDER BY claimed_at DESC")[
        0
    ].fields
    assert shown == {"transcript": "em", "translation": "YOU"}, "beginning from what was said before"
    translating.answer("a", "me")
    (document,) = reviewed(translating)
    assert (document["reads"], document["answers"]["translation"]["value"]) == ({"transcript": "em"}, "me")
    assert document["judged_from"] == {"revisions": {"transcript": 2}, "sync_version": 1}
    assert [(row["transcript"], row["translation"]) for row in reviewed(translating, tmp_path)] == [
        ("em", "me")
    ]
    assert translating.send() == [], "and then it is done"


def test_a_source_corrected_afterwards_is_translated_again(offices: tuple[Office, Office]) -> None:
    hearing, translating = offices
    translating.answer("a", "YOU")
    assign(hearing)
    assert [d["reads"] for d in reviewed(translating)] == [{"transcript": "anh"}]
    assert translating.send() == []
    hearing.answer("a", "anh")
    assert translating.send() == [], "confirmed as it was: nothing has changed"
    hearing.answer("a", "em")
    assert reviewed(translating) == []
    assert translating.send() == ["a"]
    hearing.answer("a", "anh")
    assert [d["reads"] for d in reviewed(translating)] == [{"transcript": "anh"}], (
        "corrected back: it holds again"
    )


def test_a_correction_that_is_taken_back_counts_as_one(offices: tuple[Office, Office]) -> None:
    hearing, translating = offices
    translating.answer("a", None)
    hearing.answer("a", "em")
    translating.send()
    translating.rows(
        """SELECT refresh_task(task_key, s.sync_version, snapshot(s, reads || writes), NULL, NULL,
           '-infinity', '-infinity')
             FROM tasks t JOIN samples s USING (sample_id) WHERE task_type = :t""",
        t=TRANSLATION,
    )
    translating.answer("a", "me")
    assign(hearing)
    assert [d["reads"] for d in reviewed(translating)] == [{"transcript": "em"}]
    hearing.answer("a", None)
    assert reviewed(translating) == []
    assert translating.send() == ["a"]


def test_a_page_that_was_open_while_its_task_was_refreshed_is_judged_by_what_it_showed(
    offices: tuple[Office, Office],
) -> None:
    hearing, translating = offices
    translating.clock = translating.tick(10)
    hearing.answer("a", "em")
    refreshed = translating.tick(60)
    translating.rows(
        """SELECT refresh_task(task_key, s.sync_version, snapshot(s, reads || writes), NULL, NULL, :at, :at)
             FROM tasks t JOIN samples s USING (sample_id) WHERE task_type = :t""",
        t=TRANSLATION, at=refreshed,
    )  # fmt: skip
    translating.answer("a", "YOU", lead_time=3000.0)  # begun before
    assign(hearing)
    (row,) = translating.rows(
        "SELECT judged_from -> 'fields' AS seen FROM tasks WHERE task_type = :t", t=TRANSLATION
    )
    assert row.seen["transcript"] == "anh"
    assert reviewed(translating) == []
    assert translating.send() == ["a"]


def test_a_source_that_upstream_changed_goes_round_again_by_itself_whatever_counts_for_text(
    offices: tuple[Office, Office],
) -> None:
    hearing, translating = offices
    hearing.crawl("a", transcript="chị", translation="you")
    translating.answer("a", "YOU")
    assert translating.by_rule(Conflicts()) == {"pending_reflow": 1}
    assert translating.send() == ["a#reflow-1"]


def test_who_decides_that_a_translation_stands_has_it_exported_with_the_text_it_was_made_of(
    offices: tuple[Office, Office], tmp_path: Path
) -> None:
    hearing, translating = offices
    hearing.crawl("a", transcript="chị", translation="you")
    translating.answer("a", "YOU")
    translating.decide("human_wins")
    assign(hearing)
    assert [(row["transcript"], row["translation"]) for row in reviewed(translating, tmp_path)] == [
        ("anh", "YOU")
    ]


def test_what_a_model_made_of_the_older_text_is_not_shown_and_it_is_asked_again(
    offices: tuple[Office, Office],
) -> None:
    hearing, translating = offices
    translating.answer("a", "YOU")
    translating.rows(
        """INSERT INTO predictions (sample_id, task_type, model_version, value, sync_version)
           SELECT sample_id, :t, 'v1', '{"translation": "of the older text"}', 1 FROM samples RETURNING 1""",
        t=TRANSLATION,
    )
    waiting = f"SELECT count_waiting_for_prediction('{TRANSLATION}', '{{transcript}}', 'v1', NULL)"
    assert translating.value(waiting) == 0
    hearing.answer("a", "em")
    assert translating.value(waiting) == 1
    translating.send()
    assert translating.value("SELECT count(prediction_id) FROM tasks") == 0
