"""Predictions that were made elsewhere, read line by line.

They are checked as a model's answers are, and written down.
"""

import gzip
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import IO, Any

import orjson

from lsloop.asking import Asking
from lsloop.ledger import Ledger, predictions
from lsloop.models import Guess
from lsloop.records import Prediction, Sample
from lsloop.values.text import nfc

PIECE = 500  # lines that are checked and written at a time
NAMED = 1000
"""So many problems are named; all are counted."""


@dataclass
class Imported:
    """What became of the lines of a file.

    `same` were known already; `problems` names those that could not be taken.
    """

    lines: int = 0
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


@dataclass(frozen=True)
class _Line:
    number: int
    name: tuple[str, str | None]  # the sample's external id or id, and its source
    version: str
    value: dict[str, Any] | None
    result: list[Any] | None
    score: float | None
    uncertainty: float | None


def read_in(
    ledger: Ledger,
    task_type: str,
    asking: Asking,
    path: Path,
    version: str | None,
    advance: Callable[[int], None],
) -> Imported:
    """Write down the predictions of a file of JSON lines (also gzip).

    It takes constant memory; the same again changes nothing. A line is {"external_id" (and "source") or
    "sample_id", "model_version", "value" or "result", "score", "uncertainty"}; `version` is that of lines
    without one. A line that cannot be taken is named, and the others go on.
    """
    done = Imported()
    with _opened(path) as file:
        lines = enumerate(file, 1)
        while piece := list(islice(lines, PIECE)):
            _take(ledger, task_type, asking, list(_read(piece, version, done)), done)
            advance(len(piece))
    return done


def _opened(path: Path) -> IO[bytes]:
    with path.open("rb") as file:
        is_packed = file.read(2) == b"\x1f\x8b"
    return gzip.open(path, "rb") if is_packed else path.open("rb")  # type: ignore[return-value]


def _read(piece: Iterable[tuple[int, bytes]], version: str | None, done: Imported) -> Iterator[_Line]:
    for number, text in piece:
        if not text.strip():
            continue
        done.lines += 1
        try:
            yield _line(number, text, version)
        except ValueError as error:
            done.refuse(number, str(error))


def _line(number: int, text: bytes, version: str | None) -> _Line:
    """One line as a prediction.

    Raises ValueError with what is wrong.
    """
    try:
        one = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise ValueError(f"it is not JSON ({error})") from error
    if not isinstance(one, dict):
        raise ValueError("it is not an object")
    name, version = one.get("sample_id") or one.get("external_id"), one.get("model_version") or version
    if not isinstance(name, str) or not name:
        raise ValueError("it has no external_id and no sample_id")
    if not isinstance(version, str) or not version.strip():
        raise ValueError("it has no model_version; give one with --version")
    value, result = one.get("value"), one.get("result")
    if (value is None) == (result is None):
        raise ValueError("it needs a value (an object of fields) or a result (Label Studio's)")
    if not isinstance(value if result is None else result, dict if result is None else list):
        raise ValueError(
            "its value is not an object of fields" if result is None else "its result is not a list"
        )
    source = one.get("source")
    numbers = [_number(one, key) for key in ("score", "uncertainty")]
    return _Line(
        number, (nfc(name), source if isinstance(source, str) else None), version, value, result, *numbers
    )


def _number(one: dict[str, Any], key: str) -> float | None:
    found = one.get(key)
    if found is None:
        return None
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise ValueError(f"its {key} is not a number")
    return float(found)


def _take(ledger: Ledger, task_type: str, asking: Asking, lines: list[_Line], done: Imported) -> None:
    found = predictions.named(ledger, sorted({line.name for line in lines}, key=str)) if lines else {}
    known: list[tuple[_Line, Sample]] = []
    for line in lines:
        samples = found.get(line.name, [])
        if len(samples) == 1:
            known.append((line, samples[0]))
        else:
            many = "several samples are called" if samples else "there is no sample"
            done.refuse(
                line.number, f"{many} {line.name[0]!r}{'; give its source or sample_id' if samples else ''}"
            )
    answers = asking.checked(
        [sample for _, sample in known], [(line.version, _guess(line, asking)) for line, _ in known]
    )
    said: list[tuple[Sample, Prediction]] = []
    for (line, sample), answer in zip(known, answers, strict=True):
        if answer.value is None:
            done.refuse(line.number, (answer.problem or "nothing is said").rstrip("."))
        else:
            said.append((sample, Prediction(answer.value, line.version, answer.score, answer.uncertainty)))
    new, changed = predictions.bring_in(ledger, task_type, said) if said else (0, 0)
    done.new, done.changed, done.same = (
        done.new + new,
        done.changed + changed,
        done.same + len(said) - new - changed,
    )


def _guess(line: _Line, asking: Asking) -> Guess:
    """What a line says, as a model would; a result is read as an annotator's is."""
    if line.result is None:
        return Guess(line.value, line.score, line.uncertainty)
    try:
        value = asking.kind.from_result(line.result, asking.job.label_config)
    except Exception as error:  # a result may hold anything
        return Guess(None, problem=str(error) or type(error).__name__)
    return Guess(value, line.score, line.uncertainty)
