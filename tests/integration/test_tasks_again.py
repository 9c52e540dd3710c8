"""Of tasks about one sample that Label Studio has, one waits for annotators."""

from dataclasses import replace

import pytest

from lsloop.ledger import Ledger, annotations, refreshing, tasks
from lsloop.records import Task
from office import Office


@pytest.fixture
def office(ledger: Ledger) -> Office:
    return Office(ledger)


def replaced(office: Office) -> Task:
    """The task that was deleted; another one of its sample was answered, and is known as `a`."""
    office.crawl("a", transcript="upstream")
    office.send()
    deleted = office.there["a"]
    tasks.gone(office.ledger, [deleted.task_key])
    assert office.send() == ["a"]
    office.answer("a", "heard")
    return replace(deleted, ls_task_id=999, updated_at=office.tick())


def test_what_is_settled_is_not_asked_again(office: Office) -> None:
    office.there["again"] = replaced(office)
    office.receive("again")
    assert office.state("again") == "cancelled"
    tasks.keep(office.ledger, office.project, office.there["again"].task_key, 999)
    assert office.state("again") == "cancelled"
    assert list(tasks.needless(office.ledger, office.project)) == [999]


def test_another_answer_to_what_is_settled_is_for_people(office: Office) -> None:
    office.there["again"] = replaced(office)
    assert office.answer("again", "heard otherwise", annotator="two") == {"conflicted": 1}
    assert office.current("a") == "heard"
    assert list(tasks.needless(office.ledger, office.project)) == []


def test_what_was_decided_and_lost_its_answer_makes_way_for_the_task_that_was_sent_anew(
    office: Office,
) -> None:
    office.crawl("a", transcript="upstream")
    office.send()
    office.crawl("a", transcript="upstream's newer one")
    office.answer("a", "heard")
    office.decide("crawler_wins")
    office.answer("a", None)
    first = office.there["a"].ls_task_id
    assert list(tasks.needless(office.ledger, office.project)) == []  # decided, and nothing takes its place
    office.crawl("a", media="2", transcript="upstream's newer one")
    assert office.send() == ["a"]
    assert list(tasks.needless(office.ledger, office.project)) == [first]


def test_what_was_parked_and_is_skipped_no_more_makes_way_for_the_task_that_was_sent_anew(
    office: Office,
) -> None:
    office.crawl("a", transcript="upstream")
    office.send()
    office.answer("a", "", was_cancelled=True)
    assert tasks.park(office.ledger, office.project, 1) == 1
    first = office.there["a"].ls_task_id
    office.crawl("a", media="2", transcript="upstream")
    assert office.send() == ["a"]
    assert list(tasks.needless(office.ledger, office.project)) == []  # a skip is an answer, too
    office.value("UPDATE annotations SET deleted_at = now() RETURNING 1")
    assert list(tasks.needless(office.ledger, office.project)) == [first]


def copied(office: Office, external_id: str) -> Task:
    """The second copy of a task: a request that was given up for lost brought it late."""
    return replace(
        office.there[external_id], ls_task_id=next(office.numbers), annotations=(), updated_at=office.tick()
    )


def test_two_people_who_answered_two_copies_of_a_task_are_both_heard(office: Office) -> None:
    office.crawl("same", transcript="upstream")
    office.crawl("other", transcript="upstream")
    office.send()
    for name in ("same", "other"):
        office.there[f"{name} again"] = copied(office, name)
        assert office.answer(name, "xin chào cả nhà", annotator="an") == {"accepted": 1}
    office.answer("same again", "xin chào cả nhà", annotator="linh")
    assert office.state("same") == "accepted"
    assert office.answer("other again", "tạm biệt", annotator="linh") == {"withdrawn": 1}
    waits = "SELECT waits_for FROM tasks WHERE task_key = :key"
    assert office.value(waits, key=office.there["other"].task_key) == "adjudication"
    assert office.current("other") == "upstream"
    assert tasks.due_adjudications(office.ledger, office.project) == 1


def test_who_answered_two_copies_is_held_to_what_they_said_last(office: Office) -> None:
    office.crawl("a", transcript="upstream")
    office.send()
    office.there["a again"] = copied(office, "a")
    office.answer("a", "heard", annotator="an")
    office.answer("a again", "heard better", annotator="an")
    assert (office.current("a"), office.state("a")) == ("heard better", "accepted")


def test_an_answer_to_a_copy_of_older_content_is_judged_by_what_that_copy_shows(office: Office) -> None:
    office.crawl("a", media="1", transcript="upstream")
    (name,) = office.send()
    office.there["copy"] = copied(office, name)
    office.crawl("a", media="2", transcript="upstream")
    (stale,) = refreshing.stale(office.ledger, office.project, 9)
    now = office.tick()
    assert refreshing.refreshed(office.ledger, stale, None, since=now, until=now)
    office.tick(60)
    assert office.answer("copy", "heard in the old recording", annotator="an") == {"conflicted": 1}
    tasks.keep(office.ledger, office.project, office.there["a"].task_key, office.there["copy"].ls_task_id)
    office.receive("copy")
    assert office.state("a") == "conflicted"


def test_what_was_cut_off_and_sent_again_with_newer_content_is_judged_by_both(office: Office) -> None:
    office.crawl("a", media="1", transcript="upstream")
    plan = tasks.Plan(office.task_type, office.kind.READS, office.kind.WRITES)
    (key,) = tasks.claim(office.ledger, office.project, plan, 1, claimed_by="killed").keys
    for media in ("1", "2"):
        office.crawl("a", media=media, transcript="upstream")
        tasks.content(office.ledger, [key])
        with office.ledger.in_turn("office") as turn:
            tasks.about_to_send(turn, {key: None})
    tasks.opened(office.ledger, office.project, {key: 1001})
    office.there["late"] = Task(1002, key, office.tick(), ())
    assert office.answer("late", "heard in the old recording") == {"conflicted": 1}


def test_an_adjudication_that_was_cut_off_and_is_needed_no_more_is_found_and_its_answer_is_for_people(
    office: Office,
) -> None:
    office.crawl("a", transcript="upstream")
    office.send(overlap=2)
    office.answer("a", "one thing", annotator="an")
    office.answer("a", "quite another", annotator="linh")
    (decider,) = tasks.claim_adjudications(office.ledger, office.project, 1, claimed_by="killed")
    tasks.content(office.ledger, [decider])
    with office.ledger.in_turn("office") as turn:
        tasks.about_to_send(turn, {decider: None})
    office.answer("a", "one thing", annotator="an", ground_truth=True)
    assert (office.state("a"), office.current("a")) == ("accepted", "one thing")
    assert [task.task_key for task in tasks.doubtful(office.ledger, office.project)] == [decider]
    office.there["decider"] = Task(2001, decider, office.tick(), ())
    office.receive("decider")
    assert tasks.needless(office.ledger, office.project) == {2001: decider}
    office.answer("decider", "a third thing", annotator="minh")
    with office.ledger.transaction() as transaction:
        assert tasks.hear_ended(transaction, office.project) == [decider]
        assert annotations.settle(transaction, [decider], lambda *_: ()) == {"conflicted": 1}
    assert office.conflict().task_key == decider
    assert office.current("a") == "one thing"
