"""Measures of how far answers agree.

Pure; 1 is full agreement, and measures of two answers are symmetric.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import combinations
from typing import Literal, TypeVar

from lsloop.values.text import nfc, words

Answer = TypeVar("Answer")
Span = tuple[int, int, str]
"""Start and end in milliseconds, and a label."""


def word_agreement(a: str, b: str) -> float:
    """The agreement of two texts by words, in [0, 1].

    1 − word edit distance ÷ words of the longer text: 1 − WER, made symmetric. Word error rate: Morris, Maier
    and Green, "From WER and RIL to MER and WIL", Interspeech 2004.
    """
    ours, theirs = words(a), words(b)
    longest = max(len(ours), len(theirs))
    if not ours or not theirs:
        return 0.0 if longest else 1.0
    import jiwer

    found = jiwer.process_words(" ".join(ours), " ".join(theirs))
    return 1 - (found.substitutions + found.deletions + found.insertions) / longest


def word_errors(answer: str, reference: str) -> tuple[int, int]:
    """Wrong, missing and extra words of `answer`, and all words of `reference`.

    A word error rate is made of them.
    """
    ours, theirs = words(answer), words(reference)
    if not ours or not theirs:
        return len(ours) + len(theirs), len(theirs)
    import jiwer

    found = jiwer.process_words(" ".join(theirs), " ".join(ours))
    return found.substitutions + found.deletions + found.insertions, len(theirs)


def character_errors(answer: str, reference: str) -> tuple[int, int]:
    """Count the character errors of `answer`, and all characters of `reference`.

    Errors are wrong, missing and extra characters.
    """
    if not answer or not reference:
        return len(answer) + len(reference), len(reference)
    import jiwer

    found = jiwer.process_characters(reference, answer)
    return found.substitutions + found.deletions + found.insertions, len(reference)


def chrf_agreement(a: str, b: str) -> float:
    """The mean of chrF(a, b) and chrF(b, a), in [0, 1].

    chrF: Popović, "chrF: character n-gram F-score for automatic MT evaluation", WMT 2015.
    """
    a, b = nfc(a).strip(), nfc(b).strip()
    if not a or not b:
        return float(a == b)
    from sacrebleu.metrics.chrf import CHRF

    chrf = CHRF()
    both = chrf.sentence_score(a, [b]).score + chrf.sentence_score(b, [a]).score
    return min(1.0, float(both) / 200)


def time_agreement(a: Iterable[Span], b: Iterable[Span]) -> float:
    """The agreement of two labellings of time: time-weighted F1, in [0, 1].

    Twice the time that both give the same label ÷ the labelled time of both. Dice, "Measures of the amount of
    ecologic association between species", Ecology 26 (1945); the F1 of precision and recall over time.
    Overlapping spans of one label count once.
    """
    shared, labelled = time_shared(a, b)
    return shared / labelled if labelled else 1.0


def time_shared(a: Iterable[Span], b: Iterable[Span]) -> tuple[int, int]:
    """Twice the time of equal labels, and the labelled time of both.

    Both are in milliseconds.
    """
    ours, theirs = _by_label(a), _by_label(b)
    labelled = _length(*ours.values()) + _length(*theirs.values())
    return 2 * sum(_overlap(spans, theirs.get(label, [])) for label, spans in ours.items()), labelled


def time_errors(answer: Iterable[Span], reference: Iterable[Span]) -> tuple[int, int]:
    """Wrongly labelled milliseconds, and all labelled ones of `reference`.

    Wrong are those that are missed, extra or given a wrong label. The diarization error: NIST, "The 2009
    (RT-09) rich transcription meeting recognition evaluation plan".
    """
    active: tuple[set[str], set[str]] = (set(), set())
    wrong = total = before = 0
    for moment, side, label, begins in _edges(answer, reference):
        ours, theirs = active
        wrong += (moment - before) * (max(len(ours), len(theirs)) - len(ours & theirs))
        total += (moment - before) * len(theirs)
        (active[side].add if begins else active[side].discard)(label)
        before = moment
    return wrong, total


def alpha(units: Sequence[tuple[Sequence[int], int]], level: Literal["nominal", "ordinal"]) -> float | None:
    """Krippendorff's alpha of units given as counts of answers.

    A unit is given as (answers per category in their order, how many such units there are). None where it is
    undefined: no two answers to one unit, or all in one category.
    """
    shared = [(counts, times) for counts, times in units if sum(counts) > 1]
    if len({at for counts, _ in shared for at, count in enumerate(counts) if count}) < 2:
        return None
    import krippendorff
    import numpy

    counts = numpy.repeat([counts for counts, _ in shared], [times for _, times in shared], axis=0)
    domain = list(range(counts.shape[1]))
    return float(krippendorff.alpha(value_counts=counts, value_domain=domain, level_of_measurement=level))


def cohen_kappa(pairs: Sequence[tuple[str, str]]) -> float | None:
    """Cohen's kappa of two who each gave every unit a category.

    None where chance alone would have them agree. Cohen, "A coefficient of agreement for nominal scales",
    Educational and Psychological Measurement 20 (1960).
    """
    ours, theirs = Counter(a for a, _ in pairs), Counter(b for _, b in pairs)
    by_chance = float(sum(ours[category] * theirs[category] for category in ours)) / len(pairs) ** 2
    seen = sum(a == b for a, b in pairs) / len(pairs)
    return None if by_chance == 1 else round((seen - by_chance) / (1 - by_chance), 6)


def mean_pairwise(answers: Sequence[Answer], agree: Callable[[Answer, Answer], float]) -> float | None:
    """The mean agreement of all pairs of answers to one task.

    None for fewer than two.
    """
    pairs = [agree(a, b) for a, b in combinations(answers, 2)]
    return sum(pairs) / len(pairs) if pairs else None


def most_central(answers: Sequence[Answer], agree: Callable[[Answer, Answer], float]) -> int:
    """The index of the answer closest to all others (the medoid).

    Of equals it is the first. Raises ValueError when there are none. Kaufman and Rousseeuw, "Clustering by
    means of medoids" (1987).
    """
    totals = [0.0] * len(answers)
    for (i, a), (j, b) in combinations(enumerate(answers), 2):
        score = agree(a, b)
        totals[i] += score
        totals[j] += score
    return totals.index(max(totals))


def mean_interval(scores: Sequence[float], seed: int = 0, resamples: int = 2000) -> tuple[float, float]:
    """The 95 % bootstrap percentile interval of the mean of `scores`.

    Raises ValueError when there are none. Efron, "Bootstrap methods: another look at the jackknife", Annals
    of Statistics 7 (1979).
    """
    if not scores:
        raise ValueError("There are no scores to take an interval of.")
    import numpy

    numbers, chance = numpy.asarray(scores), numpy.random.default_rng(seed)
    at_once = max(1, 2_000_000 // len(scores))  # resamples: memory must not grow with the ledger
    means = [
        numbers[chance.integers(len(scores), size=(min(at_once, resamples - done), len(scores)))].mean(axis=1)
        for done in range(0, resamples, at_once)
    ]
    low, high = numpy.quantile(numpy.concatenate(means), [0.025, 0.975])
    return float(low), float(high)


def _by_label(spans: Iterable[Span]) -> dict[str, list[tuple[int, int]]]:
    """The spans of each label, sorted, with those that touch or overlap joined."""
    joined: dict[str, list[tuple[int, int]]] = {}
    for start, end, label in sorted(spans):
        own = joined.setdefault(label, [])
        if own and start <= own[-1][1]:
            own[-1] = (own[-1][0], max(own[-1][1], end))
        else:
            own.append((start, end))
    return joined


def _edges(*sides: Iterable[Span]) -> list[tuple[int, int, str, bool]]:
    """The moments at which labels begin and end, in order.

    Each is the moment, whose label, which, and whether it begins.
    """
    return sorted(
        edge
        for side, spans in enumerate(sides)
        for label, joined in _by_label(spans).items()
        for start, end in joined
        for edge in ((start, side, label, True), (end, side, label, False))
    )


def _length(*groups: list[tuple[int, int]]) -> int:
    return sum(end - start for spans in groups for start, end in spans)


def _overlap(a: list[tuple[int, int]], b: list[tuple[int, int]]) -> int:
    """The time that two sorted lists of spans share, in one pass."""
    shared = i = j = 0
    while i < len(a) and j < len(b):
        shared += max(0, min(a[i][1], b[j][1]) - max(a[i][0], b[j][0]))
        if a[i][1] <= b[j][1]:
            i += 1
        else:
            j += 1
    return shared
