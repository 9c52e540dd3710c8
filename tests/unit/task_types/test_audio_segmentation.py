from typing import Any

import pytest
from kind_values import SAMPLE

from lsloop import resources
from lsloop.records import Sample, Value
from lsloop.task_types import audio_segmentation as kind

CONFIG = resources.template("audio_segmentation")

Short = tuple[float, float, str]
VI, EN, CS = "Vietnamese", "English", "Code-Switched"


def seg(start: float, end: float, language: str, *tags: str) -> dict[str, Any]:
    return {"start": start, "end": end, "language": language, "tags": list(tags)}


def said(*segments: dict[str, Any], quality: int | None = None) -> Value:
    return {"segments": list(segments), "audio_quality": quality}


def area(region_id: str, name: str, **value: object) -> dict[str, Any]:
    return {"id": region_id, "from_name": name, "to_name": "audio", "value": value}


def test_what_label_studios_page_sends_is_understood() -> None:
    # As Label Studio 1.23.2 sent it: drawn by hand, out of order, with its own long numbers.
    result = [
        {
            "original_length": 3.946893,
            "value": {"start": 1.7329936333699232, "end": 3.032738858397366, "channel": 0, "labels": [EN]},
            "id": "G2HQA",
            "from_name": "language",
            "to_name": "audio",
            "type": "labels",
            "origin": "manual",
        },
        {
            "original_length": 3.946893,
            "value": {
                "start": 1.7329936333699232,
                "end": 3.032738858397366,
                "channel": 0,
                "choices": ["music", "clipped"],
            },
            "id": "G2HQA",
            "from_name": "tags",
            "to_name": "audio",
            "type": "choices",
            "origin": "manual",
        },
        {
            "value": {"rating": 3},
            "id": "kgp",
            "from_name": "audio_quality",
            "to_name": "audio",
            "type": "rating",
        },
        {
            "original_length": 3.946893,
            "value": {"start": 0.043324840834248084, "end": 1.2997452250274426, "channel": 0, "labels": [VI]},
            "id": "T03FG",
            "from_name": "language",
            "to_name": "audio",
            "type": "labels",
            "origin": "manual",
        },
    ]
    assert kind.from_result(result, CONFIG) == said(
        seg(0.043, 1.3, VI), seg(1.733, 3.033, EN, "clipped", "music"), quality=3
    )


REFUSED = {
    "No segment is marked": [],
    "has 0 languages instead of one": [area("a", "language", start=0, end=1, labels=[])],
    "has 2 languages instead of one": [area("a", "language", start=0, end=1, labels=[VI, EN])],
    "has no 'labels'": [area("a", "language", start=0, end=1)],
    "2.0–1.0 s has no length": [area("a", "language", start=2, end=1, labels=[VI])],
    "1.0–1.0 s has no length": [area("a", "language", start=1, end=1.0004, labels=[VI])],
    "starts before 0": [area("a", "language", start=-1, end=1, labels=[VI])],
    "needs start and end": [area("a", "language", start=0, labels=[VI])],
    "tags but no language": [
        area("a", "language", start=0, end=1, labels=[VI]),
        area("b", "tags", choices=["music"]),
    ],
}


@pytest.mark.parametrize(("reason", "result"), REFUSED.items(), ids=REFUSED.keys())
def test_what_cannot_be_a_segment_is_refused(reason: str, result: list[dict[str, Any]]) -> None:
    with pytest.raises(ValueError, match=reason):
        kind.from_result(result, CONFIG)


def test_a_label_config_that_lost_a_language_no_longer_fits() -> None:
    with pytest.raises(ValueError, match="'language' has lost Silence"):
        kind.from_result([], CONFIG.replace('<Label value="Silence"', '<Label value="Quiet"'))


def test_a_language_more_than_ours_fits() -> None:
    more = CONFIG.replace('<Label value="Silence"', '<Label value="French"/><Label value="Silence"')
    assert kind.from_result([area("a", "language", start=0, end=1, labels=["French"])], more) == said(
        seg(0, 1, "French")
    )


def test_segments_as_a_crawler_gives_them_are_put_in_order() -> None:
    fields = {"segments": [{"start": 2, "end": "3.5", "language": EN}, seg(0, 2, VI)]}
    assert kind.upstream_value(Sample(SAMPLE.sample_id, "x", fields)) == said(seg(0, 2, VI), seg(2, 3.5, EN))


@pytest.mark.parametrize(
    "segments",
    [
        ["vi"],
        [{"start": 0, "end": 1}],
        [{"start": "a", "end": 1, "language": VI}],
        [7],
        "vi",
        7,
        True,
        {"start": 0},
    ],
)
def test_segments_that_make_no_sense_are_named(segments: Any) -> None:
    with pytest.raises(ValueError, match="A segment needs"):
        kind.upstream_value(Sample(SAMPLE.sample_id, "x", {"segments": segments}))


def test_agreement_is_the_share_of_time_with_the_same_language() -> None:
    ours = said(seg(0, 6, VI), seg(6, 10, EN))
    theirs = said(seg(0, 5, VI), seg(5, 10, EN))
    assert kind.agree(ours, theirs) == pytest.approx(0.9)


def test_tags_do_not_count_in_agreement() -> None:
    assert kind.agree(said(seg(0, 1, VI, "music")), said(seg(0, 1, VI))) == 1


BASE = said(seg(0, 2, VI), seg(2, 4, EN), seg(4, 6, VI))

MERGES = {
    "changes in different segments": (
        said(seg(0, 2, CS), seg(2, 4, EN), seg(4, 6, VI)),
        said(seg(0, 2, VI), seg(2, 4, EN), seg(4, 6, VI, "music")),
        said(seg(0, 2, CS), seg(2, 4, EN), seg(4, 6, VI, "music")),
    ),
    "one added and one removed": (
        said(seg(0, 2, VI), seg(2, 4, EN), seg(4, 6, VI), seg(6, 7, "Noise")),
        said(seg(2, 4, EN), seg(4, 6, VI)),
        said(seg(2, 4, EN), seg(4, 6, VI), seg(6, 7, "Noise")),
    ),
    "changes that touch in time but do not overlap": (
        said(seg(0, 2, CS), seg(2, 4, EN), seg(4, 6, VI)),
        said(seg(0, 2, VI), seg(2, 4, CS), seg(4, 6, VI)),
        said(seg(0, 2, CS), seg(2, 4, CS), seg(4, 6, VI)),
    ),
    "the same change": (
        said(seg(0, 2, CS), seg(2, 4, EN), seg(4, 6, VI)),
        said(seg(0, 2, CS), seg(2, 4, EN), seg(4, 6, VI)),
        said(seg(0, 2, CS), seg(2, 4, EN), seg(4, 6, VI)),
    ),
    "one boundary moved two ways": (
        said(seg(0, 2.5, VI), seg(2.5, 4, EN), seg(4, 6, VI)),
        said(seg(0, 1.5, VI), seg(1.5, 4, EN), seg(4, 6, VI)),
        None,
    ),
    "moved here, removed there": (
        said(seg(0, 1.5, VI), seg(2, 4, EN), seg(4, 6, VI)),
        said(seg(2, 4, EN), seg(4, 6, VI)),
        None,
    ),
    "two languages for one segment": (
        said(seg(0, 2, CS), seg(2, 4, EN), seg(4, 6, VI)),
        said(seg(0, 2, EN), seg(2, 4, EN), seg(4, 6, VI)),
        None,
    ),
    "both add over the same silence": (
        said(*BASE["segments"], seg(6, 8, "Silence")),
        said(*BASE["segments"], seg(7, 9, "Noise")),
        None,
    ),
    "everything removed by the two together": (said(seg(0, 2, VI)), said(seg(2, 4, EN), seg(4, 6, VI)), None),
}


@pytest.mark.parametrize(("ours", "theirs", "merged"), MERGES.values(), ids=MERGES.keys())
def test_merge(ours: Value, theirs: Value, merged: Value | None) -> None:
    assert kind.merge(BASE, ours, theirs) == merged
    assert kind.merge(BASE, theirs, ours) == merged


def test_the_quality_that_either_side_gave_is_kept() -> None:
    merged = kind.merge(BASE, said(*BASE["segments"], quality=4), said(*BASE["segments"][:2]))
    assert merged == said(*BASE["segments"][:2], quality=4)
