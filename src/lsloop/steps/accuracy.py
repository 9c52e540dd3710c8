"""Measure what models said against what is right, in the job's own measures.

An answer that is missing is wrong.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

import orjson

from lsloop.ledger import Ledger
from lsloop.ledger import accuracy as rows
from lsloop.ledger.accuracy import Against, Reference
from lsloop.records import Value
from lsloop.task_types import Kind, measures
from lsloop.values import evaluation
from lsloop.values.text import nfc

T = TypeVar("T")

SAME = 1 - 1e-9
"""From this agreement on, two answers are the same."""

MOST = 30
"""A field with more different values than this has no confusion: it is not a choice among a few."""

RESAMPLES = 2000


@dataclass(frozen=True)
class Share:
    """A mean in [0, 1] and the bounds of its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Accuracy:
    """The accuracy of one model version.

    `overall` is the mean agreement, `exact` the share of answers that are the same in all fields; `errors`
    counts `unit`s, wrong ones and those of the references. `fields` is the share of equal values per field,
    `confusion` (field → right value → what was said → how often) and `kappa` (Cohen's) are of fields with few
    values. `groups` has what was measured per group.
    """

    version: str
    samples: int
    missing: int
    overall: Share
    exact: Share
    unit: str
    errors: tuple[int, int]
    measures: dict[str, float]
    fields: dict[str, float]
    confusion: dict[str, dict[str, dict[str, int]]] = field(default_factory=dict)
    kappa: dict[str, float | None] = field(default_factory=dict)
    groups: dict[str, dict[str, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Measured:
    """The accuracy of each model version, the best first.

    `references`: how many right values there are; `problems` names the lines of a file that could not be
    taken.
    """

    references: int
    versions: list[Accuracy]
    problems: list[str] = field(default_factory=list)


def of_versions(
    ledger: Ledger,
    task_type: str,
    kind: Kind,
    against: Against,
    *,
    version: str | None = None,
    lines: Iterable[bytes] | None = None,
) -> Measured:
    """Measure how right each model version is.

    The `lines` of a file (see `read`) stand for what the ledger has.
    """
    right, problems = rows.references(ledger, task_type, kind.WRITES, against), list[str]()
    if lines is None:
        said: Mapping[str, Mapping[UUID, Value]] = rows.predicted(ledger, task_type, kind.READS, version)
    else:
        said = read(lines, right, problems)
    found = [measured(name, kind, right, answers) for name, answers in said.items()] if right else []
    return Measured(len(right), sorted(found, key=lambda one: (-one.overall.value, one.version)), problems)


def read(
    lines: Iterable[bytes], right: Sequence[Reference], problems: list[str]
) -> dict[str, dict[UUID, Value]]:
    """Read answers from JSON lines, by model version.

    A line is {"external_id" or "sample_id": …, "value": {field: …}, "model_version": …}. `given` is the
    version of a line that has none; what is said last of a sample counts. A line that cannot be taken goes
    into `problems`; one of a sample that has no reference does not count.
    """
    names: dict[str, list[UUID]] = {}
    for one in right:
        names.setdefault(nfc(one.external_id), []).append(one.sample_id)
        names.setdefault(str(one.sample_id), []).append(one.sample_id)
    found: dict[str, dict[UUID, Value]] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            about, value, version = _line(line)
        except ValueError as error:
            problems.append(f"line {number}: {error}")
            continue
        if len(ids := names.get(about, [])) > 1:
            problems.append(f"line {number}: several samples are called {about!r}; give their sample_id")
        elif ids:
            found.setdefault(version, {})[ids[0]] = value
    return found


def _line(line: bytes) -> tuple[str, Value, str]:
    """The sample, the value and the version of a line.

    Raises ValueError with what is wrong.
    """
    try:
        one = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise ValueError(f"it is not JSON ({error})") from error
    if not isinstance(one, dict):
        raise ValueError("it is not an object")
    about, value = one.get("sample_id") or one.get("external_id"), one.get("value", one.get("prediction"))
    if not isinstance(about, str):
        raise ValueError("it has no external_id")
    if not isinstance(value, dict):
        raise ValueError("its value is not an object of fields")
    return nfc(about), value, str(one.get("model_version") or "given")


def measured(version: str, kind: Kind, right: Sequence[Reference], answers: Mapping[UUID, Value]) -> Accuracy:
    """Measure how right these answers are.

    Those of samples that have no reference do not count.
    """
    said: list[Value] = [answers.get(one.sample_id) or {} for one in right]
    true = [one.reference for one in right]
    agreed = [_safely(partial(kind.agree, a, r), 0.0) if a else 0.0 for a, r in zip(said, true, strict=True)]
    counted = [_errors(kind, a, r) for a, r in zip(said, true, strict=True)]
    few = {name: _categories(name, said, true) for name in kind.WRITES}
    return Accuracy(
        version,
        len(right),
        sum(not answer for answer in said),
        _mean(agreed),
        _mean([float(one >= SAME) for one in agreed]),
        kind.UNIT,
        (sum(wrong for wrong, _ in counted), sum(total for _, total in counted)),
        _safely(lambda: evaluation.report(measures(kind), said, true), {}),
        {name: _equal(name, said, true) for name in kind.WRITES},
        {name: _confusion(pairs) for name, pairs in few.items() if pairs},
        {name: kappa(pairs) for name, pairs in few.items() if pairs},
        _safely(
            lambda: evaluation.by_group(measures(kind), said, true, [one.group_key for one in right]), {}
        ),
    )


def _safely(make: Callable[[], T], otherwise: T) -> T:
    """What is made; `otherwise` where a kind cannot do it with what a model said."""
    try:
        return make()
    except (ValueError, TypeError, KeyError, AttributeError):
        return otherwise


def _errors(kind: Kind, answer: Value, reference: Value) -> tuple[int, int]:
    """Count wrong and all units.

    Of an answer that is missing, or makes no sense, all are wrong.
    """
    total = _safely(lambda: kind.errors(reference, reference)[1], 1)
    return _safely(lambda: kind.errors(answer, reference), (total, total)) if answer else (total, total)


def _mean(values: Sequence[float]) -> Share:
    """The mean with the 95 % interval of a bootstrap over samples.

    Its bounds are percentiles (Efron 1979).
    """
    import numpy

    numbers = numpy.asarray(values, dtype=float)
    chance, at_once = numpy.random.default_rng(0), max(1, 2_000_000 // len(numbers))
    means = [
        numbers[chance.integers(len(numbers), size=(min(at_once, RESAMPLES - start), len(numbers)))].mean(
            axis=1
        )
        for start in range(0, RESAMPLES, at_once)
    ]
    low, high = numpy.quantile(numpy.concatenate(means), [0.025, 0.975])
    return Share(*(round(float(one), 6) for one in (numbers.mean(), low, high)))


def _equal(name: str, said: Sequence[Value], true: Sequence[Value]) -> float:
    same = sum(int(bool(a) and a.get(name) == r.get(name)) for a, r in zip(said, true, strict=True))
    return round(same / len(true), 6)


def _categories(name: str, said: Sequence[Value], true: Sequence[Value]) -> list[tuple[str, str]]:
    """The right value and what was said, as texts.

    Nothing for a field that is no choice among a few.
    """
    pairs = [
        (_text(r.get(name)), _text(a.get(name)) if a else "(missing)")
        for a, r in zip(said, true, strict=True)
    ]
    values = {value for value, _ in pairs}
    is_few = (
        len(values) <= MOST and all(len(value) <= 60 for value in values) and len(values) < max(len(pairs), 3)
    )
    return pairs if is_few else []


def _text(value: Any) -> str:
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return ", ".join(value)
    return value if isinstance(value, str) else "(nothing)" if value is None else str(value)


def _confusion(pairs: Sequence[tuple[str, str]]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for (right, said), count in sorted(Counter(pairs).items()):
        found.setdefault(right, {})[said] = count
    return found


def kappa(pairs: Sequence[tuple[str, str]]) -> float | None:
    """Cohen's kappa; None where chance alone would agree.

    Cohen, Educ. Psychol. Meas. 20 (1960).
    """
    of_right, of_said = Counter(right for right, _ in pairs), Counter(said for _, said in pairs)
    by_chance: float = sum(of_right[value] * of_said[value] for value in of_right) / len(pairs) ** 2
    seen = sum(right == said for right, said in pairs) / len(pairs)
    return None if by_chance == 1 else round(float(seen - by_chance) / float(1 - by_chance), 6)
