"""Gold: references, hidden probes, scores and quarantine, on a real ledger."""

import subprocess
from dataclasses import replace
from itertools import pairwise

import pytest

from annotating import Office, said, samples
from lsloop.config import Gold
from lsloop.errors import Refused
from lsloop.ledger import Ledger, gold, quality
from lsloop.loop.push import choice_of
from world import TRANSCRIPT, config


@pytest.fixture
def office(tmp_path, ledger: Ledger, database_url: str) -> Office:  # type: ignore[no-untyped-def]
    settings = config(tmp_path, database_url, "http://ls.invalid", "token", gold=Gold(ratio=0.5, window=2))
    return Office(ledger, settings)


def with_gold(office: Office, ordinary: int, golden: int) -> None:
    """So many ordinary samples and gold ones; of each the right transcript is its external id spelt right."""
    samples(office.ledger, {f"clip-{i:04}": f"crawled {i}" for i in range(ordinary)})
    samples(office.ledger, {f"gold-{i:04}": f"crawled g{i}" for i in range(golden)})
    for i in range(golden):
        gold.set_standard(
            office.ledger, office.sample(f"gold-{i:04}"), 1, "lead", {"transcript": f"right answer {i}"}
        )


def right(office: Office, number: int) -> str:
    """What is right in a probe."""
    at = int(office.claims[number].sample.external_id.removeprefix("gold-"))
    return f"right answer {at}"


def test_psql_sets_gold_by_what_was_accepted_and_refuses_where_nothing_was(
    office: Office, database_url: str
) -> None:
    samples(office.ledger, {"a": "crawled", "b": "crawled"})
    (number, _) = office.push(2)
    office.answer(number, "linh", said("heard"))
    office.pull([number])

    def psql(external_id: str, score: str = "0.95") -> subprocess.CompletedProcess[str]:
        statement = f"SELECT set_gold_standard('{office.sample(external_id)}', {score}, 'admin')"
        return subprocess.run(["psql", database_url, "-Atc", statement], capture_output=True, text=True)

    assert psql("a").stdout.strip() == "t"
    assert psql("a").stdout.strip() == "f"
    assert "Sample b has no accepted value that could be its reference." in psql("b").stderr
    assert "must lie between 0 and 1" in psql("a", "1.5").stderr
    (row,) = office.rows("SELECT * FROM v_gold_standard_samples")
    assert (row.external_id, row.reference, float(row.gold_score), row.set_by) == (
        "a",
        {"transcript": "heard"},
        0.95,
        "admin",
    )
    assert office.value("SELECT is_gold_standard FROM samples WHERE external_id = 'a'")


def test_a_missing_reference_is_refused_with_the_next_step(office: Office) -> None:
    samples(office.ledger, {"a": "crawled"})
    with pytest.raises(Refused, match="Sample a has no accepted value") as refused:
        gold.set_standard(office.ledger, office.sample("a"), 1, "lead")
    assert "Give the reference" in refused.value.fix
    assert not office.value("SELECT bool_or(is_gold_standard) FROM samples")


def test_a_new_reference_replaces_the_old_one_which_stays_on_record(office: Office) -> None:
    samples(office.ledger, {"a": "crawled"})
    for text, expected in (("one", True), ("one", False), ("two", True)):
        assert (
            gold.set_standard(office.ledger, office.sample("a"), 1, "lead", {"transcript": text}) is expected
        )
    assert [
        r.reference["transcript"]
        for r in office.rows("SELECT reference FROM gold_standards ORDER BY gold_id")
    ] == ["one", "two"]
    assert office.value("SELECT count(*) FROM gold_standards WHERE unset_at IS NULL") == 1
    assert gold.unset_standard(office.ledger, office.sample("a"), "lead")
    assert not gold.unset_standard(office.ledger, office.sample("a"), "lead")
    assert office.push(5)  # it is ordinary again
    assert office.probes() == set()


def test_probes_are_mixed_in_at_the_ratio_wherever_they_fall(office: Office) -> None:
    with_gold(office, 200, 100)
    sent = office.push(100)
    probes = office.probes()
    assert (len(sent), len(probes)) == (100, 50)
    ordinary = [office.claims[n].sample.external_id for n in sent if n not in probes]
    assert ordinary == sorted(ordinary)  # the order asked for holds for what is not gold
    turns = sum((a in probes) != (b in probes) for a, b in pairwise(sent))
    assert 30 < turns < 70  # of 99, by chance 50: neither in a block nor one after the other
    assert office.value("SELECT count(*) FROM locks WHERE released_at IS NULL") == 50


def test_a_small_push_has_probes_as_often_as_the_ratio_says(office: Office) -> None:
    office.config = replace(
        office.config, params=office.config.params.model_copy(update={"gold": Gold(ratio=0.05)})
    )
    with_gold(office, 400, 60)
    for _ in range(80):
        office.push(5)
    assert 5 <= len(office.probes()) <= 36  # 20 of 400 are due, 4 standard deviations


def test_a_push_without_ordinary_samples_sends_no_probes(office: Office) -> None:
    with_gold(office, 0, 20)
    for limit in (1, 1, 1, 1, 10):
        assert office.push(limit) == []


def test_of_a_push_cut_short_the_probes_are_cut_short_too(office: Office) -> None:
    with_gold(office, 4, 100)
    sent = office.push(100)
    assert len(sent) - len(office.probes()) == 4
    assert 4 <= len(office.probes()) <= 5


def test_too_few_gold_samples_are_told(office: Office) -> None:
    with_gold(office, 100, 3)
    from lsloop.ledger import tasks

    plan = choice_of(office.config, TRANSCRIPT, None, "")
    claimed = tasks.claim(office.ledger, office.project, plan, 20, claimed_by="test")
    assert (claimed.probes, claimed.missing, len(claimed.keys)) == (3, 7, 20)


def test_a_probe_shows_what_upstream_says_and_never_the_reference(office: Office) -> None:
    samples(office.ledger, {"a": "crawled"})
    (number,) = office.push(1)
    office.answer(number, "linh", said("what is right"))
    office.pull()
    assert office.current("a") == "what is right"
    gold.set_standard(office.ledger, office.sample("a"), 1, "lead")
    samples(office.ledger, {"b": "crawled b"})
    office.push(2)
    shown = [c.sample.fields for n, c in office.claims.items() if n in office.probes()]
    assert shown == [{"transcript": "crawled"}]


def test_a_probe_is_never_a_value_never_a_conflict_and_blocks_nothing(office: Office) -> None:
    with_gold(office, 10, 10)
    sent = office.push(20)
    probes = office.probes()
    assert len(probes) == 10
    for number in probes:
        office.answer(number, "linh", said("wrong"))
    with office.ledger.transaction() as transaction:  # upstream changes every sample meanwhile
        transaction.run(
            """SELECT change_upstream(sample_id, '{"transcript": "new"}', media_path, media_md5, 'x')
               FROM samples"""
        )
    office.pull()
    assert office.states() == {"probed": 10, "open": 10}
    assert office.rows("SELECT * FROM revisions WHERE origin = 'human'") == []
    assert office.rows("SELECT * FROM conflicts") == []
    assert office.value("SELECT count(*) FROM annotation_history") == 10
    made = office.rows("SELECT ls_annotation_id, ls_task_id FROM annotations")[0]
    office.delete(made.ls_task_id, made.ls_annotation_id)
    office.pull()
    assert office.states() == {"probed": 9, "open": 11}
    assert len(sent) == 20


def test_the_same_gold_comes_back_only_when_it_was_answered_and_others_first(office: Office) -> None:
    with_gold(office, 40, 6)
    first = office.push(6)
    seen = {office.claims[n].sample.external_id for n in office.probes()}
    assert len(seen) == 3
    for number in first:
        office.answer(number, "linh", said("x"))
    office.pull()
    before = office.probes()
    office.push(6)
    again = {office.claims[n].sample.external_id for n in office.probes() - before}
    assert len(again) == 3
    assert not again & seen  # whom nobody has met yet
    before = office.probes()
    office.push(6)  # the second three are at work: those that linh met come back
    assert {office.claims[n].sample.external_id for n in office.probes() - before} == seen


def test_an_answer_is_scored_by_version_and_an_edit_anew(office: Office) -> None:
    with_gold(office, 1, 1)
    office.push(2)
    (number,) = office.probes()
    made = office.answer(number, "linh", said("right answer 1"))
    office.pull()
    assert [(r.version, round(r.score, 3), r.errors, r.words) for r in scores(office)] == [(1, 0.667, 1, 3)]
    office.edit(number, made, value=said("right answer 0"))
    office.pull()
    assert [(r.version, round(r.score, 3), r.errors, r.words) for r in scores(office)] == [
        (1, 0.667, 1, 3),
        (2, 1, 0, 3),
    ]
    assert [(r["n"], r["mean"]) for r in quality.annotators(office.ledger)] == [(1, 1)]
    office.pull()
    assert len(scores(office)) == 2
    office.delete(number, made)
    office.pull()
    assert quality.annotators(office.ledger) == []


def scores(office: Office) -> list:  # type: ignore[type-arg]
    return office.rows("SELECT * FROM gold_scores ORDER BY annotation_id, version, gold_id")
