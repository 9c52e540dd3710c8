"""Locks in words: an answer that is there but not understood is not called none."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from lsloop.ledger.locks import Lock
from lsloop.steps import lock

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def of_open_task(answers: int) -> Lock:
    return Lock(
        lock_id=1, external_id="clip-1", task_type="transcript_correction", locked_by="label_studio",
        locked_at=NOW, expires_at=None, expired=None, now=NOW, state="open", task_key=UUID(int=1),
        ls_task_id=8,
        ls_project_id=1, claimed_by=None, opened_at=NOW - timedelta(minutes=12), gone_at=None, skips=0,
        overlap=1,
        conflict_id=None, answers=answers,
    )  # fmt: skip


def test_an_open_task_says_whether_nobody_answered_or_no_answer_can_be_used() -> None:
    assert lock.why(of_open_task(0)) == "task 8 of project 1 is open in Label Studio, no answer for 12 min"
    assert (
        lock.why(of_open_task(1))
        == "task 8 of project 1 is open in Label Studio, no usable answer for 12 min"
    )
