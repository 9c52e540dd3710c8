"""Annotators: their work, accuracy, quarantines and agreement with each other."""

from typing import Any

from lsloop.errors import UsageError
from lsloop.ledger import Ledger, queries


def annotators(ledger: Ledger, task_type: str | None = None) -> list[dict[str, Any]]:
    """A row per annotator and task type; the best annotators come first.

    It holds tasks and gold probes answered, accuracy and quarantine.
    """
    return _named(ledger, "annotators", task_type)


def agreement(ledger: Ledger, task_type: str | None = None) -> list[dict[str, Any]]:
    """The agreement of answers per task type.

    It tells the tasks with several answers, the mean of how far these agree, and how many did not.
    """
    return _named(ledger, "agreement", task_type)


def remarks(ledger: Ledger, task_type: str | None = None) -> list[dict[str, Any]]:
    """The ticks and ratings of tasks with several answers, counted.

    `remarks` are one per answer, `times` is how many tasks were given them.
    """
    return _named(ledger, "remarks", task_type)


def held(ledger: Ledger, annotator: str, task_type: str | None = None) -> list[dict[str, Any]]:
    """The held answers of an annotator, oldest first.

    They wait for somebody to look at them.
    """
    with ledger.transaction() as transaction:
        rows = transaction.rows(queries.named("quality")["held"], annotator=annotator, task_type=task_type)
    return [dict(row._mapping) for row in rows]


def find(ledger: Ledger, name: str) -> str:
    """The annotator with this e-mail address, or one that begins so.

    Raises UsageError naming who there is.
    """
    with ledger.transaction() as transaction:
        rows = transaction.rows(
            "SELECT DISTINCT annotator FROM annotations"
            " WHERE starts_with(lower(annotator), lower(:name)) ORDER BY 1",
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
