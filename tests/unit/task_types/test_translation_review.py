import pytest
from kind_values import SAMPLE

from lsloop import resources
from lsloop.records import Sample, Value
from lsloop.task_types import translation_review as kind

CONFIG = resources.template("translation_review")


def said(translation: str, *issues: str, rating: int | None = None, notes: str = "") -> Value:
    return {"translation": translation, "issues": list(issues), "rating": rating, "notes": notes}


def area(name: str, **value: object) -> dict[str, object]:
    return {"from_name": name, "to_name": "source", "value": value, "id": "x"}


def test_an_empty_translation_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"^The translation is empty and the issue 'source_unusable' is not set"
    ):
        kind.from_result([area("issues", choices=["omission"])], CONFIG)


def test_a_source_that_cannot_be_translated_needs_no_translation() -> None:
    result = [area("translation", text=["old"]), area("issues", choices=["source_unusable", "omission"])]
    assert kind.from_result(result, CONFIG) == said("", "omission", "source_unusable")


def test_a_recording_gets_a_player_whose_link_is_escaped() -> None:
    link = 'http://127.0.0.1:9/media/a.wav?expires=1&signature="x'
    player = kind.task_data(SAMPLE, link)["player"]
    assert player == (
        '<audio controls src="http://127.0.0.1:9/media/a.wav?expires=1&amp;signature=&quot;x"></audio>'
    )


def test_without_a_recording_there_is_no_player() -> None:
    assert kind.task_data(SAMPLE, None)["player"] == ""


def test_the_training_row_pairs_the_source_with_the_translation() -> None:
    (row,) = kind.training_rows(Sample(SAMPLE.sample_id, "x", {"transcript": " xin chào "}), said("hello"))
    assert (row["transcript"], row["translation"]) == ("xin chào", "hello")


def test_agreement_falls_with_the_share_of_changed_characters() -> None:
    near, far = said("we talk about machine learning"), said("he sings")
    assert kind.agree(said("we talked about machine learning"), near) > 0.8
    assert kind.agree(said("we talked about machine learning"), far) < 0.2


MERGES = {
    "edits far apart": (
        said("we talked about deep nets"),
        said("we talk about deep networks"),
        "we talked about deep networks",
    ),
    "the same edit": (
        said("we spoke about deep nets"),
        said("we spoke about deep nets"),
        "we spoke about deep nets",
    ),
    "the same word in two ways": (said("we spoke about deep nets"), said("we talked about deep nets"), None),
}


@pytest.mark.parametrize(("ours", "theirs", "merged"), MERGES.values(), ids=MERGES.keys())
def test_merge(ours: Value, theirs: Value, merged: str | None) -> None:
    base = said("we talk about deep nets")
    for a, b in [(ours, theirs), (theirs, ours)]:
        found = kind.merge(base, a, b)
        assert (found and found["translation"]) == merged


def test_issues_merge_as_sets_and_our_rating_stays() -> None:
    merged = kind.merge(
        said("a", "grammar"), said("a", "omission", rating=2), said("a", "grammar", "register", rating=4)
    )
    assert merged == said("a", "omission", "register", rating=2)


def test_a_translation_gained_on_one_side_and_source_unusable_on_the_other_stays_open() -> None:
    assert kind.merge(said(""), said("", "source_unusable"), said("hello")) is None
