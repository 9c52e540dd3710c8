"""Answers that come in together end as they do one by one."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier
from typing import Any

import pytest

from lsloop.ledger import Ledger, annotations
from office import Office

CASES = (
    "plain", "moved upstream", "skipped", "edited", "answered again", "emptied", "nulled",
    "without its field",
)  # fmt: skip
VALUES = {"nulled": {"transcript": None, "notes": "?"}, "without its field": {"notes": "nothing to hear"}}


@pytest.fixture
def office(ledger: Ledger) -> Office:
    return Office(ledger)


def prepare(office: Office, group: str) -> list[str]:
    """One sample of each case, its task open and what the annotator says about to come in."""
    names = [f"{group} {case}" for case in CASES]
    for name in names:
        office.crawl(name, transcript=f"upstream's {name.removeprefix(group)}")
    office.send()
    office.answer(f"{group} edited", "heard")
    office.crawl(f"{group} moved upstream", transcript="upstream's newer one")
    office.answer(f"{group} answered again", "heard by one", annotator="one")
    for name in names:
        said: dict[str, Any] = {"was_cancelled": True} if name.endswith("skipped") else {}
        for case, value in VALUES.items():
            said |= {"value": value} if name.endswith(case) else {}
        who = "two" if name.endswith("again") else "an"
        given = office._annotation(
            "" if name.endswith("emptied") else f"heard in {name.removeprefix(group)}",
            who,
            [a for a in office.there[name].annotations if a.annotator == who],
            said,
        )
        others = [a for a in office.there[name].annotations if a.annotator != who]
        office.there[name] = replace(
            office.there[name], updated_at=office.tick(), annotations=(*others, given)
        )
    return names


def ended(office: Office, group: str) -> dict[str, Any]:
    return {
        case: (
            office.current(f"{group} {case}"),
            office.state(f"{group} {case}"),
            office.history(f"{group} {case}"),
            office.rows(
                """SELECT accepted_hash, settled_version, waits_for, skips, finished_at IS NULL AS unfinished,
                          (SELECT count(*) FROM locks l WHERE l.task_key = t.task_key
                          AND l.released_at IS NULL) AS locks,
                          (SELECT array_agg(reason) FROM revisions r WHERE r.task_key = t.task_key) AS reasons
                     FROM tasks t WHERE task_key = :key""",
                key=office.there[f"{group} {case}"].task_key,
            ),
        )
        for case in CASES
    }


NOBODY_IS_PLAIN = """
    CREATE OR REPLACE FUNCTION alone_and_undecided(p_task_keys uuid[]) RETURNS SETOF tasks LANGUAGE sql STABLE
    AS 'SELECT * FROM tasks WHERE false'"""


def test_together_is_as_one_by_one(office: Office) -> None:
    together, single = prepare(office, "T"), prepare(office, "S")
    outcomes = office.receive(*together)
    with office.ledger.transaction() as transaction:
        transaction.run(NOBODY_IS_PLAIN)
    one_by_one = [office.receive(name) for name in single]
    assert outcomes == {
        kind: sum(done.get(kind, 0) for done in one_by_one)
        for kind in {kind for d in one_by_one for kind in d}
    }
    assert ended(office, "T") == ended(office, "S")
    assert [office.state(name) for name in together] == [
        "accepted", "conflicted", "open", "accepted", "accepted", "accepted", "accepted", "accepted",
    ]  # fmt: skip


def test_two_that_wait_for_each_other_both_come_to_their_end(ledger: Ledger) -> None:
    """Scores of one task may have others settled anew: what one is at, the other wants, and the other way
    round."""
    offices = Office(ledger), Office(ledger, task_type="translation_review")
    for name in ("a", "b"):
        offices[0].crawl(name, transcript="upstream", translation="upstream's")
    for office in offices:
        office.send()
    meeting = Barrier(2)

    def receive(office: Office, own: str, others: str) -> None:
        met: list[bool] = []

        def judge(transaction: Any, keys: Any) -> list[Any]:
            if not met:
                met.append(True)
                meeting.wait(10)
            return [office.there[others].task_key]

        annotations.receive(ledger, office.project, [office.there[own]], judge=judge)

    with ThreadPoolExecutor() as pool:
        one, other = pool.submit(receive, offices[0], "a", "b"), pool.submit(receive, offices[1], "b", "a")
        one.result()
        other.result()


def test_of_two_answers_about_one_sample_the_second_never_overwrites_the_first(ledger: Ledger) -> None:
    one, other = Office(ledger), Office(ledger, task_type="translation_review")
    one.crawl("a", transcript="one", translation="eins")
    one.send()
    other.send()
    ledger_says = "UPDATE tasks SET writes = '{transcript}' WHERE task_type = 'translation_review'"
    with ledger.transaction() as transaction:
        transaction.run(ledger_says)  # as a task type of somebody's own would
    keys = []
    for office, said in ((one, "heard"), (other, "heard otherwise")):
        with ledger.transaction() as transaction:
            transaction.run(
                "UPDATE tasks SET overlap = 2 WHERE task_key = :key", key=office.there["a"].task_key
            )
        office.answer("a", said, value={"transcript": said})
        keys.append(office.there["a"].task_key)
    with ledger.transaction() as transaction:
        transaction.run("UPDATE tasks SET overlap = 1")
        outcomes = annotations.settle(transaction, keys, lambda *_: ())
    assert outcomes == {"accepted": 1, "conflicted": 1}
    assert len(one.history("a")) == 2


def test_a_conflict_whose_answer_was_taken_back_says_what_it_was_until_it_is_settled(office: Office) -> None:
    """Of two tasks that come in together, the first to be settled may move the sample under the other's
    conflict."""
    office.crawl("a", transcript="one")
    office.send()
    office.crawl("a", transcript="two")
    office.answer("a", "heard")
    office.value("UPDATE annotations SET was_cancelled = true, value = NULL RETURNING 1")
    office.crawl("a", transcript="three")
    assert office.conflict().ours == {"transcript": "heard"}
