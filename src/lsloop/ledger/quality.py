"""Annotators: what they did, how right they were, who is held back, and how far they agree with each
other."""

from typing import Any

from lsloop.errors import UsageError
from lsloop.ledger import Ledger, queries


def annotators(ledger: Ledger, task_type: str | None = None) -> list[dict[str, Any]]:
    """A row per annotator and task type: tasks and gold probes answered, accuracy, quarantine; the best
    first."""
    return _named(ledger, "annotators", task_type)


def agreement(ledger: Ledger, task_type: str | None = None) -> list[dict[str, Any]]:
    """Per task type: tasks with several answers, the mean of how far these agree, how many did not."""
    return _named(ledger, "agreement", task_type)


def remarks(ledger: Ledger, task_type: str | None = None) -> list[dict[str, Any]]:
    """Of tasks with several answers, how many (`times`) were given which ticks and ratings (`remarks`, one
    per answer)."""
    return _named(ledger, "remarks", task_type)


def held(ledger: Ledger, annotator: str, task_type: str | None = None) -> list[dict[str, Any]]:
    """The answers of an annotator that wait for somebody to look at them, the oldest first."""
    with ledger.transaction() as transaction:
        rows = transaction.rows(queries.named("quality")["held"], annotator=annotator, task_type=task_type)
    return [dict(row._mapping) for row in rows]


def find(ledger: Ledger, name: str) -> str:
    """The annotator called so: an e-mail address, or the beginning of one. Raises UsageError naming who
    there is."""
    with ledger.transaction() as transaction:
        rows = transaction.rows(
            """SELECT DISTINCT annotator FROM annotations WHERE starts_with(lower(annotator), lower(:name)) ORDER BY 1""",
            name=name,
        )
    found: list[str] = [row.annotator for row in rows]
    if len(found) == 1 or name in found:
        return name if name in found else found[0]
    if found:
        raise UsageError(f"Several annotators begin with {name!r}.", f"Say which: {', '.join(found[:10])}.")
    raise UsageError(f"There is no annotator {name!r}.", "`lsloop annotators` lists them.")


def _named(ledger: Ledger, name: str, task_type: str | None) -> list[dict[str, Any]]:
    with ledger.transaction() as transaction:
        rows = transaction.rows(queries.named("quality")[name], task_type=task_type)
    return [dict(row._mapping) for row in rows]
