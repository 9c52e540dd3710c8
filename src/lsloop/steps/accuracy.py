"""Measure what models said against what is right, in the job's own measures.

An answer that is missing is wrong.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from lsloop.ledger import Ledger
from lsloop.ledger import accuracy as rows
from lsloop.ledger.accuracy import Against, Reference
from lsloop.records import Value
from lsloop.task_types import Kind, measures
from lsloop.values import agreement, evaluation

Said = Mapping[str, Mapping[UUID, Value]]
"""Model version → sample → value."""

SAME = 1 - 1e-9
"""From this agreement on, two answers are the same."""

MOST = 30
"""A field with more different values than this has no confusion: it is not a choice among a few."""


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

    `references` is how many right values there are.
    """

    references: int
    versions: list[Accuracy]


def of_versions(
    ledger: Ledger,
    task_type: str,
    kind: Kind,
    against: Against,
    *,
    version: str | None = None,
    given: Said | None = None,
) -> Measured:
    """Measure how right each model version is.

    `given` answers are measured instead of those of the ledger.
    """
    right = rows.references(ledger, task_type, kind.WRITES, against)
    said = rows.predicted(ledger, task_type, kind.READS, version) if given is None else given
    found = [measured(name, kind, right, answers) for name, answers in said.items()] if right else []
    return Measured(len(right), sorted(found, key=lambda one: (-one.overall.value, one.version)))


def measured(version: str, kind: Kind, right: Sequence[Reference], answers: Mapping[UUID, Value]) -> Accuracy:
    """Measure how right these answers are.

    Those of samples that have no reference do not count.
    """
    true = [one.reference for one in right]
    said = [_usable(kind, answers.get(one.sample_id) or {}, one.reference) for one in right]
    agreed = [kind.agree(a, r) if a else 0.0 for a, r in zip(said, true, strict=True)]
    counted = [_errors(kind, a, r) for a, r in zip(said, true, strict=True)]
    few = {name: pairs for name in kind.WRITES if (pairs := _categories(name, said, true))}
    return Accuracy(
        version,
        len(right),
        sum(not answer for answer in said),
        _share(agreed),
        _share([float(one >= SAME) for one in agreed]),
        kind.UNIT,
        (sum(wrong for wrong, _ in counted), sum(total for _, total in counted)),
        evaluation.report(measures(kind), said, true),
        {name: _equal(name, said, true) for name in kind.WRITES},
        {name: _confusion(pairs) for name, pairs in few.items()},
        {name: agreement.cohen_kappa(pairs) for name, pairs in few.items()},
        evaluation.by_group(measures(kind), said, true, [one.group_key for one in right]),
    )


def _usable(kind: Kind, answer: Value, reference: Value) -> Value:
    """The answer, or an empty one where the kind cannot measure it.

    So one odd answer stops no other.
    """
    try:
        kind.agree(answer, reference)
        kind.errors(answer, reference)
        evaluation.report(measures(kind), [answer], [reference])
    except Exception:  # a model may have said anything
        return {}
    return answer


def _errors(kind: Kind, answer: Value, reference: Value) -> tuple[int, int]:
    """Count wrong and all units; of an answer that is missing, all are wrong."""
    total = kind.errors(reference, reference)[1]
    return kind.errors(answer, reference) if answer else (total, total)


def _share(values: Sequence[float]) -> Share:
    low, high = agreement.mean_interval(values)
    return Share(*(round(one, 6) for one in (sum(values) / len(values), low, high)))


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
