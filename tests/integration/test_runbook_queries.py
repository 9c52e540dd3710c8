"""The queries of the field's runbook, word for word: a DBA who follows it finds what it promises."""

from typing import Any

from annotating import Office as GoldOffice
from annotating import said, samples
from lsloop.config import Gold
from lsloop.ledger import Ledger, gold
from office import Office
from world import config

HELD = "SELECT * FROM v_sync_status WHERE lock_status != 'unlocked';"
PENDING = """SELECT s.sample_id, a.status, a.task_type
FROM samples s
JOIN annotations a ON s.sample_id = a.sample_id
WHERE a.status IN ('pending', 'in_progress');"""
IN_CONFLICT = "SELECT * FROM annotations WHERE conflict_detected = TRUE;"
VERSIONS = "SELECT dvc_commit_hash, audio_file_md5, sync_version FROM samples"


def test_what_is_out_what_waits_and_what_is_in_conflict(ledger: Ledger) -> None:
    office = Office(ledger)
    for name in ("a", "b"):
        office.crawl(name, transcript="one")
    office.send(overlap=2)
    assert [row.lock_status for row in office.rows(HELD)] == ["in_label_studio"] * 2
    assert office.rows(PENDING) == []
    office.answer("a", "heard")
    office.answer("b", "skipped", was_cancelled=True)
    found = {(office.value("SELECT external_id FROM samples WHERE sample_id = :id", id=row.sample_id),
    *row[1:])
             for row in office.rows(PENDING)}  # fmt: skip
    assert found == {("a", "pending", "transcript_correction"), ("b", "in_progress", "transcript_correction")}
    assert {tuple(row) for row in office.rows(VERSIONS)} == {(None, "md5 1", 1)}


def test_conflict_detected_is_true_as_long_as_the_conflict_is_open(ledger: Ledger) -> None:
    office = Office(ledger)
    office.crawl("a", transcript="one")
    office.send()
    office.crawl("a", transcript="two")
    office.answer("a", "heard")
    seen: list[Any] = [[row.annotator for row in office.rows(IN_CONFLICT)]]
    office.decide("human_wins")
    seen.append(office.rows(IN_CONFLICT))
    office.value("SELECT undo_resolution(1, 'lead')")
    seen.append([row.annotator for row in office.rows(IN_CONFLICT)])
    assert seen == [["an"], [], ["an"]]


def test_accuracy_comes_with_what_was_expected_and_completed(
    tmp_path, ledger: Ledger, database_url: str
) -> None:  # type: ignore[no-untyped-def]
    settings = config(tmp_path, database_url, "http://ls.invalid", "token", gold=Gold(ratio=0.99, window=5))
    office = GoldOffice(ledger, settings)
    samples(ledger, {"g1": "x", "g2": "x", "a": "x", "b": "x"})
    for name, sure in (("g1", 0.9), ("g2", 0.7)):
        gold.set_standard(ledger, office.sample(name), sure, "lead", {"transcript": "right"})
    probes = [n for n in office.push(4) if office.claims[n].sample.external_id.startswith("g")]
    office.answer(probes[0], "linh", said("right"))
    office.answer(probes[0], "an", said("right"))
    office.answer(probes[1], "linh", said("right"))
    office.answer(probes[1], "an", said(""), was_cancelled=True)
    office.pull(probes)
    rows = {row.annotator: row for row in office.rows("SELECT * FROM v_annotator_accuracy;")}
    linh, an = rows["linh"], rows["an"]
    assert (linh.total_gold_annotations, float(linh.avg_expected_score), float(linh.completion_rate)) == (
        2,
        0.8,
        100.0,
    )
    assert (an.total_gold_annotations, float(an.completion_rate), an.mean) == (1, 50.0, 1.0)
    assert len(office.rows("SELECT * FROM v_gold_standard_samples;")) == 2
