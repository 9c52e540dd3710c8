"""Of tasks about one sample that Label Studio has, one waits for annotators."""

from dataclasses import replace

import pytest

from lsloop.ledger import Ledger, tasks
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


def test_what_was_decided_and_lost_its_answer_makes_way_for_the_task_that_was_sent_anew(office: Office) -> None:
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


def test_what_was_parked_and_is_skipped_no_more_makes_way_for_the_task_that_was_sent_anew(office: Office) -> None:
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
