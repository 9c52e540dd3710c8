import pytest

from lsloop import resources
from lsloop.records import Value
from lsloop.task_types import transcript_correction as kind

CONFIG = resources.template("transcript_correction")


def said(transcript: str, *flags: str, confidence: int | None = None, notes: str = "") -> Value:
    return {"transcript": transcript, "quality_flags": list(flags), "confidence": confidence, "notes": notes}


def area(name: str, **value: object) -> dict[str, object]:
    return {"from_name": name, "to_name": "audio", "value": value, "id": "x"}


def test_what_label_studios_page_sends_is_understood() -> None:
    # As Label Studio 1.23.2 sent it when an annotator corrected a prediction, ticked a flag and gave two
    # stars.
    result = [
        {
            "value": {"text": ["văn bản gốc số 3 sửa"]},
            "id": "transcription",
            "from_name": "transcription",
            "to_name": "audio",
            "type": "textarea",
            "origin": "prediction-changed",
        },
        {
            "value": {"choices": ["audio_quality_poor"]},
            "id": "WaokA8xOCM",
            "from_name": "quality_flags",
            "to_name": "audio",
            "type": "choices",
            "origin": "manual",
        },
        {
            "value": {"rating": 2},
            "id": "lNMLfrFQ00",
            "from_name": "confidence",
            "to_name": "audio",
            "type": "rating",
            "origin": "manual",
        },
    ]
    assert kind.from_result(result, CONFIG) == said(
        "văn bản gốc số 3 sửa", "audio_quality_poor", confidence=2
    )


def test_several_lines_in_the_box_are_one_transcript() -> None:
    assert kind.from_result([area("transcription", text=["một", "hai\r\nba "])], CONFIG) == said(
        "một\nhai\nba"
    )


def test_text_without_a_list_around_it_is_understood() -> None:
    assert kind.from_result([area("transcription", text="một")], CONFIG) == said("một")


@pytest.mark.parametrize(
    "result", [[], [area("transcription", text=[""])], [area("transcription", text=[" \n"])]]
)
def test_an_empty_transcript_is_refused(result: list[dict[str, object]]) -> None:
    with pytest.raises(ValueError, match=r"^The transcript is empty and the flag 'no_speech' is not set\.$"):
        kind.from_result(result, CONFIG)


def test_no_speech_makes_an_empty_transcript_an_answer() -> None:
    assert kind.from_result([area("quality_flags", choices=["no_speech"])], CONFIG) == said("", "no_speech")


def test_no_speech_wins_over_the_text_that_the_hidden_box_still_holds() -> None:
    result = [area("transcription", text=["old"]), area("quality_flags", choices=["no_speech"])]
    assert kind.from_result(result, CONFIG) == said("", "no_speech")


@pytest.mark.parametrize("stars", [0, 6, 2.5, "3", None])
def test_a_rating_outside_1_to_5_is_refused(stars: object) -> None:
    result = [area("transcription", text=["một"]), area("confidence", rating=stars)]
    with pytest.raises(ValueError, match="'confidence'"):
        kind.from_result(result, CONFIG)


def test_agreement_is_one_minus_the_word_error_rate() -> None:
    assert kind.agree(said("học máy rất hay"), said("học may rất hay")) == pytest.approx(0.75)


def test_flags_and_notes_do_not_count_in_agreement() -> None:
    assert kind.agree(said("một", "cut_off", confidence=1, notes="x"), said("một")) == 1


BASE = said("hôm nay chúng ta nói về học máy", "cut_off")

MERGES = {
    "edits far apart are both kept": (
        said("hôm qua chúng ta nói về học máy", "cut_off"),
        said("hôm nay chúng ta nói về học sâu", "cut_off"),
        said("hôm qua chúng ta nói về học sâu", "cut_off"),
    ),
    "a word added and a word removed": (
        said("và hôm nay chúng ta nói về học máy", "cut_off"),
        said("hôm nay chúng ta nói về máy", "cut_off"),
        said("và hôm nay chúng ta nói về máy", "cut_off"),
    ),
    "the same edit on both sides": (
        said("hôm qua chúng ta nói về học máy", "cut_off"),
        said("hôm qua chúng ta nói về học máy", "cut_off"),
        said("hôm qua chúng ta nói về học máy", "cut_off"),
    ),
    "the same word changed in two ways": (
        said("hôm qua chúng ta nói về học máy"),
        said("hôm kia chúng ta nói về học máy"),
        None,
    ),
    "neighbouring words changed": (
        said("hôm qua chúng ta nói về học máy"),
        said("ngày nay chúng ta nói về học máy"),
        None,
    ),
    "an edit inside what the other side removed": (
        said("hôm nay nói về học máy"),
        said("hôm nay chúng tôi nói về học máy"),
        None,
    ),
    "flags of both sides, and the one that was taken away": (
        said(BASE["transcript"], "background_noise"),
        said(BASE["transcript"], "cut_off", "multiple_speakers"),
        said(BASE["transcript"], "background_noise", "multiple_speakers"),
    ),
    "the upstream side has no remarks": (
        said("hôm qua chúng ta nói về học máy", "cut_off", confidence=4, notes="rõ"),
        {"transcript": "hôm nay chúng ta nói về học sâu", "quality_flags": ["cut_off"]},
        said("hôm qua chúng ta nói về học sâu", "cut_off", confidence=4, notes="rõ"),
    ),
    "no speech here, other words there": (
        said("", "cut_off", "no_speech"),
        said("hôm nay chúng ta nói về học sâu", "cut_off"),
        None,
    ),
}


@pytest.mark.parametrize(("ours", "theirs", "merged"), MERGES.values(), ids=MERGES.keys())
def test_merge(ours: Value, theirs: Value, merged: Value | None) -> None:
    assert kind.merge(BASE, ours, theirs) == merged
    assert kind.merge(BASE, theirs, ours) == merged


def test_of_two_confidences_ours_stays() -> None:
    ours, theirs = ({**BASE, "confidence": stars} for stars in (2, 5))
    assert kind.merge(BASE, ours, theirs) == ours


def test_a_text_gained_on_one_side_and_no_speech_on_the_other_stays_open() -> None:
    assert kind.merge(said(""), said("", "no_speech"), said("có tiếng người")) is None
