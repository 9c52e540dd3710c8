"""Predictions that were made elsewhere.

They are checked as a model's answers are, and written down.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from lsloop.asking import Asking
from lsloop.dataset import prediction_lines
from lsloop.dataset.prediction_lines import PredictionLine, Refuse
from lsloop.ledger import Ledger, predictions
from lsloop.models import Guess
from lsloop.records import Prediction, Sample

PIECE = 500  # lines that are checked and written at a time
NAMED = 1000
"""So many problems are named; all are counted."""


@dataclass
class Imported:
    """What became of the lines of a file.

    `same` were known already; `problems` names those that could not be taken.
    """

    new: int = 0
    changed: int = 0
    same: int = 0
    failed: int = 0
    problems: list[str] = field(default_factory=list)

    def refuse(self, number: int, why: str) -> None:
        """Count a line that cannot be taken."""
        self.failed += 1
        if len(self.problems) < NAMED:
            self.problems.append(f"line {number}: {why}")


def read_in(
    ledger: Ledger,
    task_type: str,
    asking: Asking,
    path: Path,
    version: str | None,
    advance: Callable[[int], None],
) -> Imported:
    """Write down the predictions of a file (see `prediction_lines.read`).

    It takes constant memory; the same again changes nothing. A line that cannot be taken is named, and the
    others go on.
    """
    done = Imported()
    for lines, said in answers(ledger, asking, path, version, done.refuse):
        new, changed = predictions.bring_in(ledger, task_type, said)
        done.new, done.changed = done.new + new, done.changed + changed
        done.same += len(said) - new - changed
        advance(lines)
    return done


def answers(
    ledger: Ledger, asking: Asking, path: Path, version: str | None, refuse: Refuse
) -> Iterator[tuple[int, list[tuple[Sample, Prediction]]]]:
    """Read a file piece by piece.

    Each piece is its number of lines, and what was said of which sample, after it was checked.
    """
    lines = prediction_lines.read(path, version, refuse)
    while piece := list(islice(lines, PIECE)):
        known = _with_samples(ledger, piece, refuse)
        guesses = [(line.version, _guess(line, asking)) for line, _ in known]
        said: list[tuple[Sample, Prediction]] = []
        checked = asking.checked([sample for _, sample in known], guesses)
        for (line, sample), answer in zip(known, checked, strict=True):
            if answer.value is None:
                refuse(line.number, (answer.problem or "nothing is said").rstrip("."))
            else:
                made = Prediction(answer.value, line.version, answer.score, answer.uncertainty)
                said.append((sample, made))
        yield len(piece), said


def _with_samples(
    ledger: Ledger, lines: list[PredictionLine], refuse: Refuse
) -> list[tuple[PredictionLine, Sample]]:
    """The lines with their samples; those of no sample, or of several, are refused."""
    found = predictions.named(ledger, list({(line.name, line.source) for line in lines}))
    known: list[tuple[PredictionLine, Sample]] = []
    for line in lines:
        samples = found.get((line.name, line.source), [])
        if len(samples) == 1:
            known.append((line, samples[0]))
        elif samples:
            refuse(line.number, f"several samples are called {line.name!r}; give its source or sample_id")
        else:
            refuse(line.number, f"there is no sample {line.name!r}")
    return known


def _guess(line: PredictionLine, asking: Asking) -> Guess:
    """What a line says, as a model would; a result is read as an annotator's is."""
    if line.result is None:
        return Guess(line.value, line.score, line.uncertainty)
    try:
        value = asking.kind.from_result(line.result, asking.job.label_config)
    except Exception as error:  # a result may hold anything
        return Guess(None, problem=str(error) or type(error).__name__)
    return Guess(value, line.score, line.uncertainty)
