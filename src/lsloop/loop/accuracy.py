"""How right the answers of models are, of one task type."""

from pathlib import Path
from uuid import UUID

from lsloop.config import Config
from lsloop.ledger import Ledger
from lsloop.ledger.accuracy import Against
from lsloop.loop.job import resolved
from lsloop.loop.predict import asking
from lsloop.records import Value
from lsloop.steps import accuracy as step
from lsloop.steps import imported

GIVEN = "given"
"""The model version of a line of a file that names none."""


def accuracy(
    ledger: Ledger,
    config: Config,
    task_type: str,
    *,
    against: Against = "accepted",
    version: str | None = None,
    path: Path | None = None,
) -> tuple[step.Measured, imported.Imported]:
    """Measure how right each model version is.

    It is measured by the ledger's predictions, or by those of the file at `path`, which are not written
    down. What could not be taken of the file is returned, too.
    """
    name, _, kind = resolved(config, task_type)
    left_out, given = imported.Imported(), None
    if path is not None:
        given = dict[str, dict[UUID, Value]]()
        for _, said in imported.answers(ledger, asking(ledger, config, name), path, GIVEN, left_out.refuse):
            for sample, made in said:
                given.setdefault(made.model_version, {})[sample.sample_id] = made.value
    return step.of_versions(ledger, name, kind, against, version=version, given=given), left_out
