"""Whatever Label Studio's editor makes of any of its controls is read, written, compared, merged, shown,
and never lost."""

import json
import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import editor
from lsloop import task_types
from lsloop.task_types._template import TemplateKind, made
from lsloop.values import records, regions, showing
from lsloop.values.regions import Nothing

CONFIG = """
<View>
  <Image name="image" value="$image"/>
  <Labels name="label" toName="image"><Label value="car"/><Label value="bus"/></Labels>
  <Rectangle name="box" toName="image"/><Polygon name="outline" toName="image"/>
  <Brush name="brush" toName="image"/>
  <Ellipse name="ring" toName="image"/><KeyPoint name="point" toName="image"/>
  <Vector name="path" toName="image"/>
  <RectangleLabels name="boxes" toName="image"><Label value="car"/></RectangleLabels>
  <PolygonLabels name="outlines" toName="image"><Label value="car"/></PolygonLabels>
  <KeyPointLabels name="points" toName="image"><Label value="car"/></KeyPointLabels>
  <EllipseLabels name="rings" toName="image"><Label value="car"/></EllipseLabels>
  <BrushLabels name="brushes" toName="image"><Label value="car"/></BrushLabels>
  <BitmaskLabels name="masks" toName="image"><Label value="car"/></BitmaskLabels>
  <VectorLabels name="paths" toName="image"><Label value="car"/></VectorLabels>
  <TextArea name="plate" toName="image" perRegion="true"/>
  <Choices name="parked" toName="image" perRegion="true"><Choice value="yes"/><Choice value="no"/></Choices>
  <Rating name="sharp" toName="image" perRegion="true"/>
  <Relations><Relation value="same"/></Relations>
  <Text name="text" value="$text"/><Labels name="entity" toName="text"><Label value="PER"/>
  <Label value="LOC"/></Labels>
  <HyperText name="html" value="$html"/><HyperTextLabels name="tag" toName="html"><Label value="PER"/>
  </HyperTextLabels>
  <Paragraphs name="talk" value="$talk"/><ParagraphLabels name="slot" toName="talk"><Label value="x"/>
  </ParagraphLabels>
  <Audio name="audio" value="$audio"/><Labels name="speaker" toName="audio"><Label value="A"/>
  <Label value="B"/></Labels>
  <Video name="video" value="$video"/><Labels name="who" toName="video"><Label value="A"/></Labels>
  <VideoRectangle name="track" toName="video"/>
  <TimelineLabels name="scene" toName="video"><Label value="A"/></TimelineLabels>
  <TimeSeries name="series" value="$csv"/>
  <TimeSeriesLabels name="run" toName="series"><Label value="A"/></TimeSeriesLabels>
  <Pdf name="pdf" value="$pdf"/><OcrLabels name="field" toName="pdf"><Label value="A"/></OcrLabels>
  <Chat name="chat" toName="chat" value="$chat"/>
  <Choices name="tone" toName="chat" perRegion="true"><Choice value="kind"/></Choices>
  <List name="list" value="$list"/><Ranker name="rank" toName="list"/>
  <Text name="left" value="$left"/><Text name="right" value="$right"/>
  <Pairwise name="better" toName="left,right"/>
  <Choices name="weather" toName="text" choice="multiple"><Choice value="rain"/><Choice value="sun"/>
  </Choices>
  <Taxonomy name="place" toName="text"><Choice value="VN"><Choice value="Huế"/></Choice></Taxonomy>
  <TextArea name="caption" toName="text"/><Rating name="quality" toName="text"/>
  <Number name="count" toName="text"/>
  <DateTime name="taken" toName="text"/><ReactCode name="plugin" toName="text"/>
</View>
"""
KIND = made(CONFIG, {}, {})
assert isinstance(KIND, TemplateKind)

chances = st.randoms(use_true_random=False)
brief = settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))


def answer(chance: random.Random) -> list[dict[str, Any]]:
    return editor.answer(CONFIG, chance, most=2)


def read(chance: random.Random) -> dict[str, Any]:
    return KIND.from_result(answer(chance), CONFIG)


def told(result: list[dict[str, Any]]) -> Counter[str]:
    """Everything that a result says, without Label Studio's ids and digits that nobody can see."""
    return Counter(json.dumps(records.rounded(_plain(item)), sort_keys=True) for item in result)


def _plain(item: dict[str, Any]) -> dict[str, Any]:
    return {name: part for name, part in item.items() if name not in ("id", "from_id", "to_id", "type")}


def test_there_is_a_control_of_every_kind_that_has_a_codec() -> None:
    tags = {tag.type for tag in regions.controls(CONFIG).values()}
    from lsloop.values import controls

    assert (controls.CODECS.keys() | set(controls.DRAWN)) - tags == {
        "bitmask",
        "magicwand",
    }  # one more way to draw


@brief
@given(chance=chances)
def test_all_that_the_editor_made_comes_back(chance: random.Random) -> None:
    result = answer(chance)
    value = KIND.from_result(result, CONFIG)
    again = KIND.to_result(value, CONFIG, None)  # type: ignore[arg-type]
    assert told(again) == told(result)
    assert KIND.from_result(again, CONFIG) == value
    assert json.loads(json.dumps(value)) == value
    assert KIND.impossible(value, editor.LENGTH) is None


@brief
@given(chance=chances)
def test_two_answers_are_compared_counted_and_shown(chance: random.Random) -> None:
    a, b = read(chance), read(chance)
    assert KIND.agree(a, a) == KIND.agree(b, b) == 1
    assert 0 <= KIND.agree(a, b) <= 1
    assert KIND.agree(a, b) == pytest.approx(KIND.agree(b, a))
    assert KIND.errors(a, a)[0] == 0
    wrong, total = KIND.errors(a, b)
    assert wrong >= 0
    assert total > 0
    assert (
        "{"
        not in showing.html([{name: part for name, part in a.items() if name != "other"}, b], ()).split(
            "other"
        )[0]
    )


@brief
@given(chance=chances)
def test_what_one_side_changed_is_merged(chance: random.Random) -> None:
    base, changed, other = read(chance), read(chance), read(chance)
    assert KIND.merge(base, changed, base) == changed
    assert KIND.merge(base, base, changed) == changed
    assert KIND.merge(base, changed, changed) == changed
    merged = KIND.merge(base, changed, other)
    if merged is not None:
        result = KIND.to_result(merged, CONFIG, None)  # type: ignore[arg-type]
        assert KIND.from_result(result, CONFIG) == merged


def region(name: str, kind: str, place: str, **value: Any) -> dict[str, Any]:
    return {"id": "r", "from_name": name, "to_name": place, "type": kind, "value": value}


BOX = {"rectanglelabels": ["car"], "x": 10, "y": 10, "width": 10, "height": 10}
IMPOSSIBLE = {
    "no width": (
        region("boxes", "rectanglelabels", "image", **BOX | {"width": 0}),
        "has no width or no height",
    ),
    "a width below zero": (
        region("boxes", "rectanglelabels", "image", **BOX | {"width": -3}),
        "has no width",
    ),
    "no number": (
        region("boxes", "rectanglelabels", "image", **BOX | {"x": "left"}),
        "not where a region can be",
    ),
    "outside": (region("boxes", "rectanglelabels", "image", **BOX | {"x": 101}), "lies outside the picture"),
    "a point outside": (region("point", "keypoint", "image", x=-5, y=3, width=1), "lies outside the picture"),
    "two corners": (
        region("outline", "polygon", "image", points=[[1, 1], [2, 2]]),
        "fewer than three corners",
    ),
    "back in time": (
        region("speaker", "labels", "audio", start=3, end=2, labels=["A"]),
        "ends before it starts",
    ),
    "no time": (region("speaker", "labels", "audio", start=2, end=2, labels=["A"]), "holds nothing"),
    "no characters": (
        region("entity", "labels", "text", start=4, end=4, text="", labels=["PER"]),
        "holds nothing",
    ),
    "frames": (
        region("scene", "timelinelabels", "video", ranges=[{"start": 9, "end": 3}]),
        "ends before it starts",
    ),
}


@pytest.mark.parametrize(("given", "says"), IMPOSSIBLE.values(), ids=IMPOSSIBLE)
def test_a_region_that_cannot_be_is_no_answer(given: dict[str, Any], says: str) -> None:
    with pytest.raises(Nothing, match=says):
        KIND.from_result([given], CONFIG)


def test_a_region_that_is_longer_than_its_recording_is_no_answer() -> None:
    value = KIND.from_result([region("speaker", "labels", "audio", start=0, end=9999, labels=["A"])], CONFIG)
    played = made(CONFIG, {"audio": "media"}, {})
    task_types.refuse_impossible(played, value, None)
    with pytest.raises(Nothing, match="ends at 9999 s, and the recording is 5 s long"):
        task_types.refuse_impossible(played, value, 5.0)


@pytest.mark.parametrize(
    ("name", "kind", "value", "says"),
    [
        ("weather", "choices", {"choices": ["snow"]}, "'weather' has no choice 'snow'"),
        ("quality", "rating", {"rating": True}, "'quality' is True; it must be a whole number from 1 to 5"),
        ("quality", "rating", {"rating": 6}, "must be a whole number from 1 to 5"),
    ],
)
def test_an_answer_that_is_not_offered_is_refused(
    name: str, kind: str, value: dict[str, Any], says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        KIND.from_result([{"from_name": name, "to_name": "text", "type": kind, "value": value}], CONFIG)


def span(start: int, end: int, label: str = "PER") -> dict[str, Any]:
    return {"id": f"{start}-{end}", "from_name": "entity", "to_name": "text", "type": "labels",
            "value": {"start": start, "end": end, "text": "x", "labels": [label]}}  # fmt: skip


@pytest.mark.parametrize(
    ("ours", "theirs", "merges"),
    [
        ([span(0, 5)], [span(5, 9)], True),
        ([span(0, 5)], [span(0, 5)], True),
        ([span(0, 5)], [span(3, 9)], False),
        ([span(0, 5)], [span(0, 5, "LOC")], False),
    ],
    ids=["side by side", "the same", "overlapping", "of another label"],
)
def test_spans_of_two_sides_merge_where_they_do_not_meet(ours: Any, theirs: Any, merges: bool) -> None:
    base, a, b = (KIND.from_result([span(20, 30), *side], CONFIG) for side in ([], ours, theirs))
    merged = KIND.merge(base, a, b)
    assert (merged is not None) == merges
    if merged:
        places = {(one["where"]["start"], one["where"]["end"]) for one in merged["regions"]}
        assert {(20, 30), (0, 5)} <= places


def test_relations_and_parents_follow_their_regions_through_a_merge() -> None:
    inside = span(1, 2) | {"parentID": "0-5"}
    joined = {"type": "relation", "from_id": "0-5", "to_id": "20-30", "direction": "right"}
    base = KIND.from_result([span(20, 30)], CONFIG)
    ours = KIND.from_result([span(20, 30), span(0, 5), inside, joined], CONFIG)
    theirs = KIND.from_result([span(20, 30), span(10, 12)], CONFIG)
    merged = KIND.merge(base, ours, theirs)
    assert merged is not None
    starts = [one["where"]["start"] for one in merged["regions"]]
    (child,) = [one for one in merged["regions"] if "parentID" in one["more"]]
    assert starts[child["more"]["parentID"]] == 0
    (relation,) = merged["relations"]
    assert (starts[relation["from"]], starts[relation["to"]]) == (0, 20)
