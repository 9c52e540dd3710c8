"""Several annotators: the most central of answers that agree, and somebody who decides where they do not."""

from dataclasses import replace
from typing import Any

import pytest

from annotating import Office, said, samples
from lsloop import task_types
from lsloop.config import TaskType
from lsloop.ledger import Ledger, annotations, quality, tasks
from lsloop.loop.push import choice_of
from lsloop.steps import consensus, task
from world import TRANSCRIPT, config


@pytest.fixture
def office(tmp_path, ledger: Ledger, database_url: str) -> Office:  # type: ignore[no-untyped-def]
    kinds = {TRANSCRIPT: TaskType(overlap=3, agreement=0.7)}
    made = Office(ledger, config(tmp_path, database_url, "http://ls.invalid", "token", task_types=kinds))
    samples(ledger, {"a": "crawled"})
    return made


def answered(office: Office, *texts: str, **remarks: Any) -> tuple[int, list[int]]:
    """One task, answered by as many people as there are texts."""
    (number,) = office.push(1)
    return number, [office.answer(number, f"p{i}", said(text, **remarks)) for i, text in enumerate(texts)]


def test_too_few_answers_wait(office: Office) -> None:
    answered(office, "one two", "one two")
    office.pull()
    assert office.states() == {"annotated": 1}
    assert office.current("a") == "crawled"


def test_two_answers_of_one_person_are_one_voice(office: Office) -> None:
    number, _ = answered(office, "one two", "one two")
    office.answer(number, "p1", said("one two"))
    office.pull()
    assert office.states() == {"annotated": 1}


def test_of_answers_that_agree_the_most_central_is_accepted(office: Office) -> None:
    answered(office, "a b c d e f", "a b c d e x", "a b c d y x")
    office.pull()
    assert office.states() == {"accepted": 1}
    assert office.current("a") == "a b c d e x"  # one word from each of the others, which are two apart
    assert office.value("SELECT actor FROM revisions WHERE origin = 'human'") == "p1"
    assert office.value("SELECT agreement FROM consensus") == pytest.approx(7 / 9)


def test_answers_that_do_not_agree_wait_for_somebody_to_decide_between_them(office: Office) -> None:
    number, _ = answered(office, "a b c", "a b x", "p q r")
    assert office.pull().outcomes == {"adjudication": 1}
    assert office.rows("SELECT state, waits_for FROM tasks") == [("annotated", "adjudication")]
    assert office.current("a") == "crawled"
    made = task.Making(task_types.load(TRANSCRIPT), "<View/>", None, task.UPSTREAM)
    choice = choice_of(office.config, TRANSCRIPT, None, "")
    planned = task.plan(office.ledger, choice, office.project, made, limit=10, batch=5)
    assert (planned.adjudications, planned.tasks) == (1, 1)
    (decider,) = office.push(10)
    assert office.push(10) == []
    shown = [value["transcript"] for value in office.claims[decider].candidates]
    assert sorted(shown) == ["a b c", "a b x", "p q r"]
    assert shown[0] in ("a b c", "a b x")  # the most central first
    office.answer(decider, "lead", said("a b z"))
    assert office.pull().outcomes == {"accepted": 1}
    assert office.current("a") == "a b z"
    states = {row.ls_task_id: row.state for row in office.rows("SELECT ls_task_id, state FROM tasks")}
    assert states == {number: "resolved", decider: "accepted"}
    assert office.value("SELECT count(*) FROM locks WHERE released_at IS NULL") == 0
    assert office.push(10) == []
    office.pull()
    assert office.value("SELECT count(*) FROM revisions WHERE origin = 'human'") == 1


def test_an_edit_that_makes_answers_agree_needs_no_adjudication_any_more(office: Office) -> None:
    number, made = answered(office, "a b c", "a b c", "p q r")
    office.pull()
    (decider,) = office.push(10)
    office.edit(number, made[2], value=said("a b c"))
    assert office.pull([number]).outcomes["accepted"] == 1
    assert office.current("a") == "a b c"
    states = {row.ls_task_id: row.state for row in office.rows("SELECT ls_task_id, state FROM tasks")}
    assert states == {number: "accepted", decider: "cancelled"}
    assert list(tasks.needless(office.ledger, office.project)) == [decider]
    office.pull()  # Label Studio still has it: that does not wake it
    assert office.value("SELECT state FROM tasks WHERE ls_task_id = :n", n=decider) == "cancelled"


def test_a_late_answer_to_an_adjudication_nobody_needs_is_kept_and_changes_nothing(office: Office) -> None:
    number, made = answered(office, "a b c", "a b c", "p q r")
    office.pull()
    (decider,) = office.push(10)
    office.edit(number, made[2], value=said("a b c"))
    office.pull([number])
    office.answer(decider, "lead", said("late"))
    office.pull()
    assert office.current("a") == "a b c"
    assert office.value("SELECT count(*) FROM annotations WHERE annotator = 'lead'") == 1
    assert list(tasks.needless(office.ledger, office.project)) == []  # never deleted


def test_an_edit_that_breaks_the_agreement_withdraws_the_value_and_is_adjudicated(office: Office) -> None:
    number, made = answered(office, "a b c", "a b c", "a b c")
    office.pull()
    office.edit(number, made[0], value=said("x y z"))
    assert office.pull().outcomes["withdrawn"] == 1
    assert office.current("a") == "crawled"
    assert office.rows("SELECT state, waits_for FROM tasks") == [("annotated", "adjudication")]


def test_an_edit_within_the_agreement_is_a_new_revision(office: Office) -> None:
    number, made = answered(office, "a b c d", "a b c d", "a b c d")
    office.pull()
    office.edit(number, made[0], value=said("a b c e"))
    office.pull()
    assert office.states() == {"accepted": 1}
    assert office.current("a") == "a b c d"
    assert office.value("SELECT count(*) FROM revisions WHERE origin = 'upstream'") == 1  # never withdrawn


def test_until_one_more_answer_is_compared_what_was_accepted_stands(office: Office) -> None:
    number, _ = answered(office, "a b c", "a b c", "a b c")
    office.pull()
    office.answer(number, "late", said("p q r"))
    annotations.receive(office.ledger, office.project, list(office._tasks.values()))  # nobody compares
    assert (office.current("a"), office.states()) == ("a b c", {"accepted": 1})


def test_an_answer_marked_as_ground_truth_wins_at_once(office: Office) -> None:
    number, made = answered(office, "a b c", "p q r")
    office.edit(number, made[1], ground_truth=True)
    office.pull()
    assert (office.current("a"), office.states()) == ("p q r", {"accepted": 1})


def test_ground_truth_ends_a_pending_adjudication(office: Office) -> None:
    number, made = answered(office, "a b c", "a b x", "p q r")
    office.pull()
    (decider,) = office.push(10)
    office.edit(number, made[2], ground_truth=True)
    office.pull()
    assert office.current("a") == "p q r"
    assert office.value("SELECT state FROM tasks WHERE ls_task_id = :n", n=decider) == "cancelled"


def test_an_adjudication_that_was_deleted_in_label_studio_is_sent_again(office: Office) -> None:
    answered(office, "a b c", "a b x", "p q r")
    office.pull()
    (decider,) = office.push(10)
    office.value("SELECT tasks_gone(array_agg(task_key)) FROM tasks WHERE ls_task_id = :n", n=decider)
    (again,) = office.push(10)
    assert again != decider
    assert office.push(10) == []


def test_an_adjudicated_value_that_is_deleted_is_withdrawn_and_decided_again(office: Office) -> None:
    answered(office, "a b c", "a b x", "p q r")
    office.pull()
    (decider,) = office.push(10)
    made = office.answer(decider, "lead", said("z"))
    office.pull()
    office.delete(decider, made)
    assert office.pull().outcomes["withdrawn"] == 1
    assert office.current("a") == "crawled"
    assert office.value("SELECT state FROM tasks WHERE ls_task_id = :n", n=decider) == "open"
    office.answer(decider, "lead", said("y"))
    office.pull()
    assert office.current("a") == "y"


def test_a_change_upstream_during_an_adjudication_is_a_conflict_of_what_was_decided(office: Office) -> None:
    answered(office, "a b c", "a b x", "p q r")
    office.pull()
    (decider,) = office.push(10)
    with office.ledger.transaction() as transaction:
        transaction.run(
            """SELECT change_upstream(sample_id, '{"transcript": "new"}', media_path, media_md5, 'x')
               FROM samples"""
        )
    office.answer(decider, "lead", said("decided"))
    office.pull()
    assert office.value("SELECT count(*) FROM conflicts WHERE ours ->> 'transcript' = 'decided'") == 1


def test_the_answers_are_compared_by_the_threshold_of_the_settings(office: Office) -> None:
    office.config = replace(office.config, params=office.config.params.model_copy(update={
        "task_types": {TRANSCRIPT: TaskType(overlap=3, agreement=0.95)}}))  # fmt: skip
    answered(office, "a b c d e f", "a b c d e x", "a b c d y x")
    assert office.pull().outcomes == {"adjudication": 1}


def test_agreement_between_annotators_is_mean_pairwise_and_alpha_of_remarks(office: Office) -> None:
    samples(office.ledger, {"b": "crawled", "c": "crawled"})
    flags = [(["noise"], ["noise"], ["noise"]), ([], [], []), (["noise"], [], ["noise", "cut"])]
    stars = [(5, 5, 4), (1, 1, 1), (3, 3, 2)]
    for number, ticked, given in zip(office.push(3), flags, stars, strict=True):
        for i in range(3):
            office.answer(number, f"p{i}", said("a b", quality_flags=ticked[i], confidence=given[i]))
    office.pull()
    (row,) = quality.agreement(office.ledger)
    assert (row["tasks"], row["agreement"], row["below"]) == (3, 1, 0)
    import krippendorff

    noise = [[0, 3], [3, 0], [1, 2]]
    cut = [[3, 0], [3, 0], [2, 1]]
    rated = [[0, 0, 0, 1, 2], [3, 0, 0, 0, 0], [0, 1, 2, 0, 0]]
    by_hand = {
        "confidence": krippendorff.alpha(
            value_counts=rated, value_domain=range(5), level_of_measurement="ordinal"
        ),
        "quality_flags: cut": krippendorff.alpha(value_counts=cut, level_of_measurement="nominal"),
        "quality_flags: noise": krippendorff.alpha(value_counts=noise, level_of_measurement="nominal"),
    }
    found = {remark.remark: remark for remark in consensus.remarks(office.ledger)}
    assert {name: remark.alpha for name, remark in found.items()} == pytest.approx(by_hand)
    assert {remark.tasks for remark in found.values()} == {3}
    # By the definition: of 5 differing pairs that chance would give, 2 are seen.
    assert found["quality_flags: noise"].alpha == pytest.approx(1 - 2 / 5)
