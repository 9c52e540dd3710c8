"""Accuracy of the answers of models, of one task type."""

from collections.abc import Iterable

from lsloop.config import Config
from lsloop.ledger import Ledger
from lsloop.ledger.accuracy import Against
from lsloop.loop.job import resolved
from lsloop.steps import accuracy as step


def accuracy(
    ledger: Ledger,
    config: Config,
    task_type: str,
    *,
    against: Against = "accepted",
    version: str | None = None,
    lines: Iterable[bytes] | None = None,
) -> step.Measured:
    """Measure how right each model version is, the best first.

    See `steps.accuracy.of_versions`.
    """
    name, _, kind = resolved(config, task_type)
    return step.of_versions(ledger, name, kind, against, version=version, lines=lines)
