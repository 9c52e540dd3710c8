"""Locks in words: why each one is held, and what ends it."""

from datetime import timedelta
from itertools import pairwise

from lsloop.ledger.locks import Lock
from lsloop.values.text import counted


def why(lock: Lock) -> str:
    """Say why this lock is held, and until when."""
    if lock.task_key is None:
        return _of_another_owner(lock)
    return _OF_TASK.get(lock.state or "", _left_over)(lock)


def _of_another_owner(lock: Lock) -> str:
    assert lock.expires_at is not None
    ago = span(abs(lock.expires_at - lock.now))
    if lock.expired:
        return f"expired {ago} ago without being renewed; whoever asks next gets the sample"
    return f"held outside Label Studio; expires in {ago} unless it is renewed"


def _claimed(lock: Lock) -> str:
    return f"being sent by {lock.claimed_by}; if that was cut off, the next push finishes it"


def _open(lock: Lock) -> str:
    assert lock.opened_at is not None
    skipped = f", skipped {counted(lock.skips, 'time')}" if lock.skips else ""
    answers = "no usable answer" if lock.answers else "no answer"
    waiting = f"open in Label Studio, {answers} for " + span(lock.now - lock.opened_at)
    return f"{_task(lock)} is {waiting}{skipped}"


def _annotated(lock: Lock) -> str:
    if lock.answers < (lock.overlap or 1):
        return f"{_task(lock)} has {lock.answers} of {counted(lock.overlap or 1, 'answer')}"
    return f"{_task(lock)} has answers, but no valid answer yet"


def _conflicted(lock: Lock) -> str:
    gone = " and the task is gone from Label Studio" if lock.gone_at else ""
    return f"conflict {lock.conflict_id} about {_task(lock)} waits for a decision{gone}"


def _left_over(lock: Lock) -> str:
    return f"{_task(lock)} has ended ({lock.state}); the lock was left behind and can be released"


_OF_TASK = {"claimed": _claimed, "open": _open, "annotated": _annotated, "conflicted": _conflicted}


def _task(lock: Lock) -> str:
    return f"task {lock.ls_task_id} of project {lock.ls_project_id}"


def span(length: timedelta) -> str:
    """A length of time in its one or two largest units: `3 d 4 h`, `12 min`."""
    seconds = int(length.total_seconds())
    units = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))
    for (size, name), (smaller, smaller_name) in pairwise(units):
        if seconds >= size:
            rest = seconds % size // smaller
            small = f" {rest} {smaller_name}" if rest and name in ("d", "h") else ""
            return f"{seconds // size} {name}{small}"
    return f"{seconds} s"
