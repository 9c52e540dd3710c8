import random
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lsloop.values import agreement


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ("", "", 1),
        ("", "một", 0),
        ("một hai", "một hai", 1),
        ("một  hai\n", "một hai", 1),
        ("một hai ba bốn", "một hai ba", 0.75),
        ("một hai ba bốn", "một hai 3 bốn", 0.75),
        ("một", "một hai ba bốn", 0.25),
        ("a b", "c d e", 0),
        ("học", "hoc", 0),
        ("ho\u0323c", "h\u1ecdc", 1),
    ],
)
def test_word_agreement(a: str, b: str, expected: float) -> None:
    assert agreement.word_agreement(a, b) == agreement.word_agreement(b, a) == pytest.approx(expected)


@given(st.lists(st.sampled_from("abc"), max_size=6), st.lists(st.sampled_from("abc"), max_size=6))
@settings(max_examples=150, deadline=None)
def test_word_agreement_is_the_textbook_edit_distance(a: list[str], b: list[str]) -> None:
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        diagonal, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (x != y))
    expected = 1 - row[-1] / max(len(a), len(b)) if a or b else 1
    assert agreement.word_agreement(" ".join(a), " ".join(b)) == pytest.approx(expected)


def test_chrf_agreement_is_the_mean_of_both_directions() -> None:
    from sacrebleu import sentence_chrf

    a, b = "the cat sat on the mat", "the cat is on the mat today"
    both = sentence_chrf(a, [b]).score + sentence_chrf(b, [a]).score
    assert agreement.chrf_agreement(a, b) == agreement.chrf_agreement(b, a) == pytest.approx(both / 200)


@pytest.mark.parametrize(
    ("a", "b", "expected"), [("", "", 1), ("", "a", 0), ("a", "b", 0), ("ho\u0323c ", "h\u1ecdc", 1)]
)
def test_chrf_agreement_at_its_ends(a: str, b: str, expected: float) -> None:
    assert agreement.chrf_agreement(a, b) == agreement.chrf_agreement(b, a) == expected


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ([], [], 1),
        ([], [(0, 10, "vi")], 0),
        ([(0, 10, "vi")], [(0, 10, "en")], 0),
        ([(0, 10, "vi")], [(5, 15, "vi")], 0.5),
        ([(0, 10, "vi"), (5, 20, "vi")], [(0, 20, "vi")], 1),
        ([(0, 10, "vi"), (10, 20, "en")], [(0, 10, "vi")], 2 / 3),
        ([(0, 10, "vi"), (0, 10, "en")], [(0, 10, "vi")], 2 / 3),
    ],
)
def test_time_agreement(a: list[agreement.Span], b: list[agreement.Span], expected: float) -> None:
    assert agreement.time_agreement(a, b) == agreement.time_agreement(b, a) == pytest.approx(expected)


SPANS = st.lists(
    st.tuples(st.integers(0, 30), st.integers(1, 12), st.sampled_from(["vi", "en"])).map(
        lambda s: (s[0], s[0] + s[1], s[2])
    ),
    max_size=5,
)


@given(SPANS, SPANS)
def test_time_agreement_is_f1_over_milliseconds(a: list[agreement.Span], b: list[agreement.Span]) -> None:
    ours = {(ms, label) for start, end, label in a for ms in range(start, end)}
    theirs = {(ms, label) for start, end, label in b for ms in range(start, end)}
    expected = 2 * len(ours & theirs) / (len(ours) + len(theirs)) if ours or theirs else 1
    assert agreement.time_agreement(a, b) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("answer", "reference", "expected"),
    [
        ([(0, 10, "vi")], [(0, 10, "vi")], (0, 10)),
        ([(0, 10, "en")], [(0, 10, "vi")], (10, 10)),  # confused: once
        ([], [(0, 10, "vi")], (10, 10)),  # missed
        ([(0, 10, "vi"), (20, 25, "vi")], [(0, 10, "vi")], (5, 10)),  # extra
        ([(0, 6, "vi"), (4, 12, "vi")], [(0, 10, "vi"), (10, 12, "en")], (2, 12)),
        ([(0, 10, "vi"), (0, 10, "en")], [(0, 10, "vi")], (10, 10)),
        ([], [], (0, 0)),
    ],
)
def test_time_errors(
    answer: list[agreement.Span], reference: list[agreement.Span], expected: tuple[int, int]
) -> None:
    assert agreement.time_errors(answer, reference) == expected


def nominal_alpha(units: Sequence[Sequence[str]]) -> float | None:
    categories = sorted({answer for unit in units for answer in unit})
    return agreement.alpha([([unit.count(one) for one in categories], 1) for unit in units], "nominal")


def test_alpha_of_krippendorffs_own_example() -> None:
    """Four observers, twelve units, in "Computing Krippendorff's Alpha-Reliability" (2011): 0.743."""
    observers = ["123321412...", "1233224125.3", ".3332342251.", "12332441251."]
    units = [[answer for answer in unit if answer != "."] for unit in zip(*observers, strict=True)]
    assert nominal_alpha(units) == pytest.approx(0.743, abs=0.0005)


@pytest.mark.parametrize("units", [[], [["a"]], [["a", "a"], ["b"]]])
def test_alpha_is_undefined_where_nothing_could_differ(units: list[list[str]]) -> None:
    assert nominal_alpha(units) is None


def test_alpha_is_1_for_unanimous_answers_and_about_0_for_chance() -> None:
    chance = random.Random(0)
    assert nominal_alpha([["a", "a", "a"], ["b", "b", "b"]]) == pytest.approx(1)
    guessed = [[chance.choice("ab") for _ in range(3)] for _ in range(2000)]
    assert nominal_alpha(guessed) == pytest.approx(0, abs=0.03)


def near(a: float, b: float) -> float:
    return 1 - abs(a - b)


def test_mean_pairwise_takes_every_pair_once() -> None:
    assert agreement.mean_pairwise([0.0, 0.5, 1.0], near) == pytest.approx((0.5 + 0 + 0.5) / 3)
    assert agreement.mean_pairwise([0.0], near) is None


def test_the_most_central_answer_is_the_one_closest_to_all_others() -> None:
    assert agreement.most_central([0.1, 0.9, 0.4, 0.3, 0.2], near) == 3
    assert agreement.most_central([0.2, 0.2], near) == 0
    assert agreement.most_central([0.7], near) == 0


def test_of_no_answers_none_is_central() -> None:
    with pytest.raises(ValueError, match="empty"):
        agreement.most_central([], near)


def test_the_interval_covers_the_true_mean_about_as_often_as_it_says() -> None:
    chance, hits = random.Random(1), 0
    for trial in range(200):
        low, high = agreement.mean_interval([chance.random() for _ in range(60)], seed=trial)
        hits += low <= 0.5 <= high
    assert 180 <= hits <= 198


def test_the_interval_narrows_with_more_scores_and_is_the_same_for_the_same_seed() -> None:
    scores = [0.0, 0.5, 1.0, 0.9]
    widths = [high - low for low, high in (agreement.mean_interval(scores * n) for n in (2, 8, 64))]
    assert all(wide > narrow for wide, narrow in pairwise(widths))
    many = [n / 50 for n in range(50)]
    assert len({agreement.mean_interval(many, seed=3) for _ in range(5)}) == 1


def test_there_is_no_interval_of_nothing() -> None:
    with pytest.raises(ValueError, match="no scores"):
        agreement.mean_interval([])
