"""Answers side by side, as whoever decides between them sees them."""

from lsloop.values import showing


def test_what_differs_from_the_first_is_marked_and_nothing_of_the_text_is_markup() -> None:
    one, two = {"notes": "", "transcript": "a <b> c"}, {"notes": "x", "transcript": "a d c"}
    shown = showing.html([one, two], ("transcript",))
    assert "<b>A</b> <i>transcript:</i> a &lt;b&gt; c</p>" in shown
    assert '<mark style="background:#ffe58f">d</mark> <del style="color:#cf1322">&lt;b&gt;</del> c' in shown
    assert shown.index("<i>transcript:</i> a <mark") < shown.index("<i>notes:</i>")


def test_segments_read_as_times_and_labels() -> None:
    spans = [{"end": 1.5, "tags": ["music"], "start": 0.0, "language": "English"}]
    assert "0.0–1.5 s music, English" in showing.html([{"segments": spans}], ("segments",))


def test_an_empty_answer_is_an_answer_and_no_answers_are_nothing() -> None:
    assert "<b>B</b> (empty)" in showing.html([{"t": "a"}, {"t": ""}], ("t",))
    assert showing.html([], ("t",)) == ""
