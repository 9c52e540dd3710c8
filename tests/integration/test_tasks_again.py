"""A task that was deleted in Label Studio is there again after its sample was sent anew."""

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
