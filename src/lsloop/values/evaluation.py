"""The quality of a model's answers, and its comparison with another model's.

The comparison says whether one model's are better beyond chance. Pure.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lsloop.records import Value
from lsloop.values import agreement
from lsloop.values.text import clean

if TYPE_CHECKING:
    import numpy

Parts = tuple[float, float]
"""What one answer adds to a measure's numerator and denominator."""


@dataclass(frozen=True)
class Measure:
    """The sum of the first parts ÷ the sum of the second, over all samples."""

    name: str
    parts: Callable[[Value, Value], Parts]  # of an answer ({} where there is none) and its reference
    lower_is_better: bool = False


@dataclass(frozen=True)
class Corpus:
    """A measure of all answers at once, the higher the better.

    It does not decide: no interval is taken of it.
    """

    name: str
    score: Callable[[Sequence[Value], Sequence[Value]], float]


Measures = tuple[Measure | Corpus, ...]
"""How a kind of task is measured. The first decides, and is a Measure."""


def word_error_rate(field: str) -> Measure:
    """The word error rate of a field: wrong, missing and extra words ÷ words.

    The words are of the references, in normal form C; see agreement.word_errors.
    """
    return Measure("wer", lambda a, r: agreement.word_errors(clean(a.get(field)), clean(r.get(field))), True)


def character_error_rate(field: str) -> Measure:
    """The character error rate of a field, in normal form C.

    Wrong, missing and extra characters ÷ characters of the references.
    """
    return Measure(
        "cer", lambda a, r: agreement.character_errors(clean(a.get(field)), clean(r.get(field))), True
    )


def sentence_chrf(field: str) -> Measure:
    """The mean of the sentences' chrF, in [0, 1].

    It can decide, because an interval can be taken of a mean. chrF: Popović, "chrF: character n-gram F-score
    for automatic MT evaluation", WMT 2015.
    """
    return Measure(
        "sentence_chrf", lambda a, r: (_sentence_chrf(clean(a.get(field)), clean(r.get(field))), 1.0)
    )


def corpus_chrf(field: str) -> Corpus:
    """chrF of all sentences together, as sacrebleu reports it: in [0, 100]."""
    return Corpus(
        "chrf",
        lambda answers, references: _of_corpus("CHRF", _texts(field, answers), _texts(field, references)),
    )


def bleu(field: str) -> Corpus:
    """BLEU of all sentences together, as sacrebleu reports it: in [0, 100].

    Post, WMT 2018.
    """
    return Corpus(
        "bleu",
        lambda answers, references: _of_corpus("BLEU", _texts(field, answers), _texts(field, references)),
    )


def _sentence_chrf(answer: str, reference: str) -> float:
    if not answer or not reference:
        return float(answer == reference)
    from sacrebleu.metrics.chrf import CHRF

    return float(CHRF().sentence_score(answer, [reference]).score) / 100


def _of_corpus(name: str, answers: list[str], references: list[str]) -> float:
    from sacrebleu import metrics

    return float(getattr(metrics, name)().corpus_score(answers, [references]).score)


def _texts(field: str, values: Sequence[Value]) -> list[str]:
    return [clean(value.get(field)) for value in values]


def report(measures: Measures, answers: Sequence[Value], references: Sequence[Value]) -> dict[str, float]:
    """Each measure by its name, rounded to six digits.

    One that nothing was measured by is left out.
    """
    found: dict[str, float] = {}
    for measure in measures:
        if isinstance(measure, Corpus):
            found[measure.name] = round(measure.score(answers, references), 6)
        else:
            above, below = map(sum, zip(*_parts(measure, answers, references), strict=True))
            found |= {measure.name: round(above / below, 6)} if below else {}
    return found


def by_group(
    measures: Measures,
    answers: Sequence[Value],
    references: Sequence[Value],
    groups: Sequence[str | None],
    most: int = 20,
) -> dict[str, dict[str, float]]:
    """A report per group, with how many samples it has.

    Nothing when there is one group, or more than `most`.
    """
    members: dict[str, list[int]] = {}
    for place, group in enumerate(groups):
        members.setdefault(group or "other", []).append(place)
    if not 1 < len(members) <= most:
        return {}
    return {
        group: {"samples": len(places)}
        | report(measures, [answers[at] for at in places], [references[at] for at in places])
        for group, places in sorted(members.items())
    }


@dataclass(frozen=True)
class Verdict:
    """The gain of the new model over the old one, with bounds of its 95 % interval.

    All are in the measure's own unit, turned so that above 0 is better.
    """

    measure: str
    old: float
    new: float
    gain: float
    low: float
    high: float
    samples: int

    @property
    def is_better(self) -> bool:
        """Say whether the new model is better beyond chance."""
        return self.low > 0


def compare(
    measure: Measure,
    old: Sequence[Value],
    new: Sequence[Value],
    references: Sequence[Value],
    *,
    seed: int = 0,
    resamples: int = 2000,
) -> Verdict:
    """The gain of `new` over `old` on the same samples, with its 95 % interval.

    The interval is that of a paired bootstrap over samples. Raises ValueError when there are no samples, or
    nothing that can be measured. Paired bootstrap: Koehn, "Statistical significance tests for machine
    translation evaluation", EMNLP 2004; Bisani and Ney, ICASSP 2004, for error rates.
    """
    import numpy

    parts = numpy.array([_parts(measure, answers, references) for answers in (old, new)], dtype=float)
    if not len(references) or not parts[:, :, 1].any():
        raise ValueError("There is nothing to compare the models by.")
    was, now = _rates(parts[:, numpy.newaxis])[:, 0]
    sign = -1 if measure.lower_is_better else 1
    gains = numpy.concatenate([sign * (b - a) for a, b in _resampled(parts, seed, resamples)])
    low, high = numpy.quantile(gains, [0.025, 0.975])
    old_rate, new_rate, gain, low, high = (
        round(float(x), 6) + 0.0 for x in (was, now, sign * (now - was), low, high)
    )
    return Verdict(measure.name, old_rate, new_rate, gain, low, high, len(references))


def _resampled(
    parts: "numpy.ndarray[Any, Any]", seed: int, resamples: int
) -> "Iterator[numpy.ndarray[Any, Any]]":
    """The old and the new rate of each resample.

    Both are of the same samples. Some resamples at a time, for memory.
    """
    import numpy

    chance, samples = numpy.random.default_rng(seed), parts.shape[1]
    at_once = max(1, 1_000_000 // samples)
    for start in range(0, resamples, at_once):
        picks = chance.integers(samples, size=(min(at_once, resamples - start), samples))
        yield _rates(parts[:, picks])


def _rates(parts: "numpy.ndarray[Any, Any]") -> "numpy.ndarray[Any, Any]":
    """The rates (model, resample) of parts (model, resample, sample, part).

    0 where nothing was measured.
    """
    import numpy

    above, below = parts.sum(axis=2)[..., 0], parts.sum(axis=2)[..., 1]
    rates: numpy.ndarray[Any, Any] = numpy.divide(above, below, out=numpy.zeros_like(above), where=below != 0)
    return rates


def _parts(measure: Measure, answers: Sequence[Value], references: Sequence[Value]) -> list[Parts]:
    return [measure.parts(answer, reference) for answer, reference in zip(answers, references, strict=True)]
