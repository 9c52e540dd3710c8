"""What the demo promises and draws of its rounds."""

import xml.etree.ElementTree as ET
from dataclasses import replace

from lsloop.commands._rounds import chart, rounds_table
from lsloop.demo import chart as picture
from lsloop.demo.school import learning
from lsloop.running.rounds import Line

GAIN = {"value": 0.2, "low": 0.1, "high": 0.3}
BEFORE = Line(0, "wer", 0.5, None, 100)
ROUNDS = [
    Line(1, "wer", 0.3, GAIN, 100, 40, 40, 0.1, 90, 0.6, True, "Promoted.", "words", 90),
    Line(2, "wer", 0.2, GAIN, 100, 40, 40, 0.3, 50, 0.3, True, "Promoted.", "words", 50),
    Line(
        3, "wer", 0.2, GAIN, 100, 40, 40, 0.5, 20, 0.1, False, "Not promoted: it may be chance.", "words", 20
    ),
]


def broken(*lines: Line) -> list[str]:
    return [check.promise.partition(":")[0] for check in learning(lines, 60) if check.broken]


def test_a_model_that_learns_keeps_every_promise() -> None:
    assert broken(BEFORE, *ROUNDS) == []
    assert [check.promise.partition(": ")[2] for check in learning([BEFORE, *ROUNDS], 60)] == [
        "0.50 → 0.30 → 0.20 → 0.20", "90 → 50 → 20", "10% → 30% → 50%",
    ]  # fmt: skip


def test_each_promise_can_be_broken() -> None:
    one, two, three = ROUNDS
    assert broken(BEFORE, one, two, replace(three, value=0.25)) == [
        "WER on held-out speakers halved and more"
    ]
    assert broken(BEFORE, one, two, replace(three, words_changed=50)) == [
        "people changed fewer words each round"
    ]
    assert broken(BEFORE, one, two, replace(three, acceptance=0.3)) == [
        "people submitted more as it was each round"
    ]


def test_what_is_too_little_to_show_a_trend_is_not_judged_and_more_rounds_are_judged_by_the_first_three() -> (
    None
):
    worse = Line(
        4, "wer", 0.9, GAIN, 100, 40, 40, 0.0, 99, 0.9, False, "Not promoted: it may be chance.", "words", 99
    )
    for few in ([], [BEFORE], [BEFORE, ROUNDS[2]], [BEFORE, ROUNDS[2], ROUNDS[0]]):
        assert learning(few, 60) == []
    assert learning([BEFORE, worse, worse, worse], 59) == []
    assert broken(BEFORE, *ROUNDS, worse) == []
    assert len(broken(BEFORE, worse, worse, worse)) == 3


def test_the_chart_and_the_picture_have_a_bar_for_each_number() -> None:
    drawn = chart([BEFORE, *ROUNDS])
    assert [line.count("█") for line in drawn] == [0, 20, 12 + 20 + 4, 8 + 11 + 12, 8 + 4 + 20]
    svg = ET.fromstring(picture.svg([BEFORE, *ROUNDS]))
    assert len(svg.findall("{*}rect")) == 1 + 4 + 3 + 3
    texts = [text.text for text in svg.findall("{*}text")]
    assert {"0.50", "90", "50%"} <= set(texts)


def test_the_table_leaves_empty_what_is_not_known_of_round_0() -> None:
    table = rounds_table([BEFORE, *ROUNDS])
    assert table.columns[1] == "WER on test"
    assert table.rows[0] == ("0", "0.500", None, None, None, None, None)
    assert table.rows[3] == ("3", "0.200", "+0.20 (+0.10 to +0.30)", 40, "20 (10%)", "50% of 40", "no")
