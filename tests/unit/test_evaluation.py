"""Measures of a model's answers, and the gate that a new model passes only when it is better beyond
chance."""

import random
import unicodedata
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lsloop import task_types
from lsloop.values import evaluation
from lsloop.values.evaluation import Measure

# A measure whose parts stand in the answer itself, so that a property test can draw them.
DRAWN = Measure("errors", lambda a, r: (a["errors"], r["words"]), lower_is_better=True)
TURNED = Measure("score", lambda a, r: (a["errors"], r["words"]))


def answers(errors: list[int]) -> list[dict[str, Any]]:
    return [{"errors": n} for n in errors]


def references(count: int) -> list[dict[str, Any]]:
    return [{"words": 10}] * count


def compared(old: list[int], new: list[int], measure: Measure = DRAWN, **options: Any) -> evaluation.Verdict:
    return evaluation.compare(
        measure, answers(old), answers(new), references(len(old)), resamples=300, **options
    )


# Both are rounded to six digits, each on its own: they may differ by one more.
scores = st.lists(st.tuples(st.integers(0, 10), st.integers(0, 10)), min_size=2, max_size=60)


@settings(max_examples=60, deadline=None)
@given(scores, st.integers(0, 1000))
def test_the_gate_is_fair_to_both_sides(drawn: list[tuple[int, int]], seed: int) -> None:
    old, new = [a for a, _ in drawn], [b for _, b in drawn]
    there, back = compared(old, new, seed=seed), compared(new, old, seed=seed)
    assert there == compared(old, new, seed=seed)
    assert there.low <= there.high
    assert (there.gain, there.low, there.high) == pytest.approx((-back.gain, -back.high, -back.low), abs=3e-6)
    assert not (there.is_better and back.is_better)
    assert compared(old, new, TURNED, seed=seed).gain == pytest.approx(-there.gain, abs=3e-6)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 10), min_size=2, max_size=60))
def test_the_same_answers_never_pass_and_better_ones_throughout_always_do(errors: list[int]) -> None:
    assert not compared(errors, errors).is_better
    assert not compared(errors, [n + 1 for n in errors]).is_better
    assert compared(errors, [n - 1 for n in errors]).is_better


def test_a_model_that_is_as_good_as_the_old_one_passes_as_seldom_as_the_interval_says() -> None:
    chance = random.Random(0)
    passed = 0
    for _ in range(300):
        drawn = [(chance.randint(0, 5), chance.randint(0, 5)) for _ in range(50)]
        passed += compared([a for a, _ in drawn], [b for _, b in drawn]).is_better
    assert passed / 300 < 0.06  # 0.025, and what 300 trials and 50 samples allow


def test_transcripts_are_compared_as_people_read_them() -> None:
    measures = task_types.measures(task_types.load("transcript_correction"))
    text = "hôm nay mình có meeting"
    said = [{"transcript": unicodedata.normalize("NFD", text)}, {"transcript": "hôm nay"}, {}]
    heard = [{"transcript": text}] * 3
    found = evaluation.report(measures, said, heard)
    assert found["wer"] == pytest.approx((0 + 3 + 5) / 15)
    assert found["cer"] == pytest.approx((0 + 16 + 23) / 69)
    assert (
        evaluation.report(measures, [{"transcript": "a"}], [{"transcript": ""}]) == {}
    )  # no words to divide by
    by = evaluation.by_group(measures, said, heard, ["vi", "en", "vi"])
    assert (by["en"]["samples"], by["en"]["wer"], by["vi"]["wer"]) == (1, 0.6, 0.5)


def test_translations_are_measured_as_sacrebleu_does() -> None:
    from sacrebleu.metrics.bleu import BLEU

    measures = task_types.measures(task_types.load("translation_review"))
    said, right = "the cat sat on a mat", "the cat sat on the mat"
    found = evaluation.report(measures, [{"translation": said}] * 3, [{"translation": right}] * 3)
    assert found["bleu"] == pytest.approx(BLEU().corpus_score([said] * 3, [[right] * 3]).score)
    assert found["chrf"] / 100 == pytest.approx(found["sentence_chrf"], abs=1e-5)
    assert evaluation.report(measures, [{}], [{"translation": right}])["sentence_chrf"] == 0


def test_segments_are_measured_by_time_and_by_language() -> None:
    def span(start: float, end: float, language: str) -> dict[str, Any]:
        return {"start": start, "end": end, "language": language, "tags": []}

    measures = task_types.measures(task_types.load("audio_segmentation"))
    said = {"segments": [span(0, 1, "English"), span(1, 4, "Vietnamese")]}
    right = {"segments": [span(0, 2, "English"), span(2, 4, "Vietnamese")]}
    assert evaluation.report(measures, [said], [right]) == {
        "frame_f1": 0.75,
        "frame_f1_english": pytest.approx(2 / 3, abs=3e-6),
        "frame_f1_vietnamese": 0.8,
    }


def test_a_kind_without_measures_of_its_own_is_measured_by_agreement() -> None:
    class Kind:
        @staticmethod
        def agree(a: dict[str, Any], b: dict[str, Any]) -> float:
            return float(a == b)

    (measure,) = task_types.measures(Kind())  # type: ignore[arg-type]
    assert evaluation.report((measure,), [{"x": 1}, {}], [{"x": 1}, {"x": 2}]) == {"agreement": 0.5}


def test_nothing_to_compare_by_is_said() -> None:
    with pytest.raises(ValueError, match="nothing to compare"):
        compared([], [])
