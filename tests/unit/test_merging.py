import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsloop.values import merging

WORDS = st.lists(st.sampled_from(["học", "máy", "và", "the", "model"]), max_size=8)
EDITS = {
    "keep": lambda words: words,
    "drop": lambda words: words[1:],
    "add": lambda words: ["mới", *words],
    "change": lambda words: [*words[:1], "khác", *words[2:]],
}
MERGED = {
    "first and last word": ("a b c d", "x b c d", "a b c y", "x b c y"),
    "added in front and behind": ("a b c", "x a b c", "a b c y", "x a b c y"),
    "removed in front, added behind": ("a b c d", "b c d", "a b c d y", "b c d y"),
    "last but one, added behind": ("a b c", "a x c", "a b c y", "a x c y"),
    "the same edit": ("a b c", "a x c", "a x c", "a x c"),
    "the same edit, and another one": ("a b c d e", "a x c d e", "a x c d y", "a x c d y"),
    "the same word removed": ("a b c", "a c", "a c", "a c"),
    "only accents typed apart": (
        "h\u1ecdc m\u00e1y",
        "ho\u0323c m\u00e1y",
        "h\u1ecdc ma\u0301y",
        "h\u1ecdc m\u00e1y",
    ),
    "an edit against accents typed apart": (
        "h\u1ecdc m\u00e1y hay",
        "ho\u0323c ma\u0301y t\u1ed1t",
        "h\u1ecdc m\u00e1y hay",
        "h\u1ecdc m\u00e1y t\u1ed1t",
    ),
    "line breaks are kept": ("a b\nc d", "x b\nc d", "a b\nc y", "x b\nc y"),
    "from nothing on one side": ("", "", "a b", "a b"),
}
OPEN = {
    "the same word in two ways": ("a b c", "a x c", "a y c"),
    "neighbouring words": ("a b c d", "a x c d", "a b y d"),
    "removed here, changed there": ("a b c d", "a d", "a b x d"),
    "two words added in one place": ("a b", "a x b", "a y b"),
    "from nothing on both sides": ("", "a", "b"),
    "accents are not stripped": ("học", "hoc", "hốc"),
}


@pytest.mark.parametrize(("base", "ours", "theirs", "merged"), MERGED.values(), ids=MERGED.keys())
def test_edits_that_do_not_meet_merge(base: str, ours: str, theirs: str, merged: str) -> None:
    assert merging.words(base, ours, theirs) == merged
    assert merging.words(base, theirs, ours) == merged


@pytest.mark.parametrize(("base", "ours", "theirs"), OPEN.values(), ids=OPEN.keys())
def test_edits_that_meet_stay_open(base: str, ours: str, theirs: str) -> None:
    assert merging.words(base, ours, theirs) is None
    assert merging.words(base, theirs, ours) is None


@given(WORDS, WORDS, st.sampled_from(sorted(EDITS)), st.sampled_from(sorted(EDITS)))
def test_an_edit_on_each_side_of_a_landmark_survives(
    left: list[str], right: list[str], ours: str, theirs: str
) -> None:
    landmark = ["1", "2", "3"]
    a, b = EDITS[ours](left), EDITS[theirs](right)
    merged = merging.words(
        " ".join(left + landmark + right), " ".join(a + landmark + right), " ".join(left + landmark + b)
    )
    assert merged == " ".join(a + landmark + b)


def test_a_word_that_is_frequent_in_a_long_text_does_not_hide_that_edits_are_apart() -> None:
    base = random.Random(0).choices(["và", "thì", "là", "mà", "của", "cho"], k=300)
    ours, theirs = base.copy(), base.copy()
    ours[50], theirs[250] = "sâu", "nhanh"
    merged = merging.words(*(" ".join(text) for text in (base, ours, theirs)))
    assert merged is not None
    assert merged.split() == [*base[:50], "sâu", *base[51:250], "nhanh", *base[251:]]


def test_an_hour_of_speech_merges_in_seconds() -> None:
    base = [f"từ{n % 900}" for n in range(9000)]
    ours, theirs = base.copy(), base.copy()
    ours[10], theirs[8000] = "sửa", "sửa"
    began = time.monotonic()
    assert merging.words(*(" ".join(text) for text in (base, ours, theirs)))
    assert time.monotonic() - began < 20


@pytest.mark.parametrize(
    ("base", "ours", "theirs", "merged"),
    [
        ([], [], [], []),
        (["a"], ["a", "b"], ["a", "c"], ["a", "b", "c"]),
        (["a", "b"], ["a"], ["a", "b", "c"], ["a", "c"]),
        (["a"], [], [], []),
        (None, ["b", "a"], None, ["a", "b"]),
    ],
)
def test_sets_take_what_either_added_and_drop_what_either_removed(
    base: list[str] | None, ours: list[str] | None, theirs: list[str] | None, merged: list[str]
) -> None:
    assert merging.items(base, ours, theirs) == merging.items(base, theirs, ours) == merged


@pytest.mark.parametrize(
    ("base", "ours", "theirs", "merged"), [(1, 2, 1, 2), (1, 1, 3, 3), (1, 2, 3, 2), (None, None, 3, 3)]
)
def test_what_cannot_be_divided_is_theirs_only_where_they_alone_changed_it(
    base: int | None, ours: int | None, theirs: int, merged: int
) -> None:
    assert merging.whole(base, ours, theirs) == merged


@pytest.mark.parametrize(
    ("base", "side", "runs"),
    [
        ("a b c", "a x c", [("", ["a"]), ("-", ["b"]), ("+", ["x"]), ("", ["c"])]),
        ("a b", "a b c d", [("", ["a", "b"]), ("+", ["c", "d"])]),
        ("a b", "", [("-", ["a", "b"])]),
        ("", "a", [("+", ["a"])]),
        ("a", "a", [("", ["a"])]),
        ("", "", []),
    ],
)
def test_changes_say_what_a_side_left_took_out_and_put_in(
    base: str, side: str, runs: list[tuple[str, list[str]]]
) -> None:
    assert merging.changes(base.split(), side.split()) == runs


@given(WORDS, WORDS)
def test_both_texts_can_be_read_from_the_changes(base: list[str], side: list[str]) -> None:
    runs = merging.changes(base, side)
    assert [word for mark, run in runs if mark != "+" for word in run] == base
    assert [word for mark, run in runs if mark != "-" for word in run] == side
