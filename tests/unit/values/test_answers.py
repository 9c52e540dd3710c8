"""Answers to a label config: they come back as they went, agree with themselves, and merge where that is
safe."""

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lsloop.values import regions
from lsloop.values.answers import Answers

CONFIG = """
<View>
  <Image name="page" value="$image"/>
  <RectangleLabels name="box" toName="page"><Label value="car"/><Label value="bus"/></RectangleLabels>
  <Ellipse name="ring" toName="page"/>
  <TextArea name="plate" toName="page" perRegion="true"/>
  <Choices name="parked" toName="page" perRegion="true"><Choice value="yes"/><Choice value="no"/></Choices>
  <Choices name="weather" toName="page" choice="multiple"><Choice value="rain"/><Choice value="sun"/>
  </Choices>
  <Taxonomy name="place" toName="page"><Choice value="VN"><Choice value="Huế"/></Choice></Taxonomy>
  <TextArea name="caption" toName="page"/>
  <Rating name="quality" toName="page"/>
  <Number name="count" toName="page"/>
  <DateTime name="taken" toName="page"/>
  <ReactCode name="plugin" toName="page"/>
</View>
"""
ANSWERS = Answers(regions.controls(CONFIG))

TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc", "Cf"]), max_size=12)
percent = st.floats(0, 100)
BOXES = st.fixed_dictionaries(
    {"x": percent, "y": percent, "width": percent, "height": percent, "rotation": st.floats(0, 359)}
)
RINGS = st.fixed_dictionaries({"x": percent, "y": percent, "radiusX": percent, "radiusY": percent})
PATHS = [["VN"], ["VN", "Huế"]]


def item(name: str, kind: str, region_id: str, value: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"id": region_id, "from_name": name, "to_name": "page", "type": kind, "value": value, **more}


@st.composite
def boxes(draw: st.DrawFn, number: int) -> list[dict[str, Any]]:
    """One region as Label Studio stores it: a box or a ring, with what was said of it under the same id."""
    region_id, size = f"r{number}", {"original_width": 640, "original_height": 480, "image_rotation": 0}
    if draw(st.booleans()):
        where = draw(BOXES)
        labels = draw(st.lists(st.sampled_from(["car", "bus"]), min_size=1, unique=True))
        made = [item("box", "rectanglelabels", region_id, {**where, "rectanglelabels": labels}, **size)]
    else:
        where = draw(RINGS)
        made = [item("ring", "ellipse", region_id, where, meta={"text": [draw(TEXTS)]}, **size)]
    if draw(st.booleans()):
        made.append(item("plate", "textarea", region_id, {**where, "text": [draw(TEXTS)]}, **size))
    if draw(st.booleans()):
        choices = [draw(st.sampled_from(["yes", "no"]))]
        made.append(item("parked", "choices", region_id, {**where, "choices": choices}, **size))
    return made


@st.composite
def results(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Whatever the page can make of CONFIG."""
    count = draw(st.integers(0, 4))
    made = [one for number in range(count) for one in draw(boxes(number))]
    whole = {
        "weather": (
            "choices",
            {"choices": draw(st.lists(st.sampled_from(["rain", "sun"]), min_size=1, unique=True))},
        ),
        "place": (
            "taxonomy",
            {"taxonomy": draw(st.lists(st.sampled_from(PATHS), min_size=1, unique_by=tuple))},
        ),
        "caption": ("textarea", {"text": draw(st.lists(TEXTS, max_size=2))}),
        "quality": ("rating", {"rating": draw(st.integers(1, 5))}),
        "count": ("number", {"number": draw(st.integers(-9, 9) | st.floats(-9, 9))}),
        "taken": ("datetime", {"datetime": "2026-01-02"}),
        "plugin": ("reactcode", {"reactcode": {"deep": [1, {"x": draw(TEXTS)}]}}),
    }
    for name in draw(st.sets(st.sampled_from(sorted(whole)))):
        made.append(item(name, whole[name][0], f"w {name}", whole[name][1]))
    if count > 1 and draw(st.booleans()):
        made.append(
            {"type": "relation", "from_id": "r0", "to_id": "r1", "direction": "right", "labels": ["behind"]}
        )
    return made


brief = settings(max_examples=40, deadline=None)


@brief
@given(result=results())
def test_a_value_comes_back_as_it_went(result: list[dict[str, Any]]) -> None:
    value = ANSWERS.read(result)
    assert ANSWERS.read(ANSWERS.write(value)) == value == ANSWERS.normal(value)


@brief
@given(result=results(), data=st.data())
def test_ids_and_the_order_of_regions_do_not_matter(
    result: list[dict[str, Any]], data: st.DataObject
) -> None:
    known = [one for one in result if one["type"] not in ("reactcode", "relation")]
    renamed = [{**one, "id": f"other {one['id']}"} for one in data.draw(st.permutations(known))]
    assert ANSWERS.read(renamed) == ANSWERS.read(known)


@brief
@given(result=results())
def test_nothing_of_an_unknown_control_is_lost(result: list[dict[str, Any]]) -> None:
    kept = ANSWERS.read(result).get("other", [])
    assert kept == [one for one in result if one["type"] == "reactcode"]
    assert [one for one in ANSWERS.write(ANSWERS.read(result)) if one.get("type") == "reactcode"] == kept


@brief
@given(a=results(), b=results())
def test_agreement_is_full_with_oneself_symmetric_and_between_0_and_1(a: Any, b: Any) -> None:
    ours, theirs = ANSWERS.read(a), ANSWERS.read(b)
    assert ANSWERS.agree(ours, ours) == 1
    assert 0 <= ANSWERS.agree(ours, theirs) <= 1
    assert ANSWERS.agree(ours, theirs) == pytest.approx(ANSWERS.agree(theirs, ours))
    assert ANSWERS.errors(ours, ours)[0] == 0
    assert ANSWERS.errors(ours, theirs)[1] == ANSWERS.errors(theirs, theirs)[1]


@brief
@given(base=results(), changed=results())
def test_a_change_on_one_side_or_the_same_on_both_merges(base: Any, changed: Any) -> None:
    was, now = ANSWERS.read(base), ANSWERS.read(changed)
    assert ANSWERS.merge(was, now, was) == now
    assert ANSWERS.merge(was, was, now) == now
    assert ANSWERS.merge(was, now, now) == now


@brief
@given(base=results(), ours=results(), theirs=results())
def test_no_region_is_lost_by_a_merge(base: Any, ours: Any, theirs: Any) -> None:
    was, a, b = (ANSWERS.read(one) for one in (base, ours, theirs))
    merged = ANSWERS.merge(was, a, b)
    if merged is None:
        return
    added = [one for side in (a, b) for one in side.get("regions", []) if one not in was.get("regions", [])]
    places = [one["where"] for one in merged.get("regions", [])]
    assert all(one["where"] in places for one in added)


LEAF = st.none() | st.booleans() | st.integers(-2, 9) | st.floats() | st.text(max_size=3)
JSON = LEAF | st.lists(LEAF, max_size=2) | st.dictionaries(st.text(max_size=3), LEAF, max_size=2)
KEYS = st.sampled_from(
    ["x", "y", "width", "height", "radiusX", "text", "choices", "rating", "rectanglelabels", "taxonomy"]
)


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_an_answer_that_makes_no_sense_is_refused_and_nothing_else(data: st.DataObject) -> None:
    region = st.fixed_dictionaries(
        {"from_name": st.sampled_from(sorted(ANSWERS.tags)), "value": JSON | st.dictionaries(KEYS, JSON)},
        optional={"id": st.sampled_from(["a", "b"]), "to_name": st.just("page"), "parentID": st.just("a")},
    )
    result: Any = data.draw(st.lists(region | JSON, max_size=4) | JSON)
    try:
        value = ANSWERS.read(result)
    except ValueError:
        return
    assert ANSWERS.agree(value, value) == 1
    assert isinstance(ANSWERS.show(value), str)


def test_regions_of_one_id_are_one_record_with_what_was_said_of_it() -> None:
    where = {"x": 10, "y": 20, "width": 30.00001, "height": 5}
    value = ANSWERS.read(
        [
            item("box", "rectanglelabels", "r", {**where, "rectanglelabels": ["car"]}, original_width=640),
            item("plate", "textarea", "r", {**where, "text": ["30A-123"]}),
        ]
    )
    (record,) = value["regions"]
    assert record["where"] == {"x": 10, "y": 20, "width": 30, "height": 5}
    assert record["answers"] == {"box": ["car"], "plate": ["30A-123"]}
    assert record["more"] == {"original_width": 640}
    assert ANSWERS.show(value) == "regions: car, 30A-123 at 10.0, 20.0, 30.0 × 5.0 %"


def box(x: float, label: str = "car") -> dict[str, Any]:
    value = {"x": x, "y": 0, "width": 10, "height": 10, "rectanglelabels": [label]}
    return item("box", "rectanglelabels", f"{x}", value)


def test_boxes_are_matched_by_where_they_are_and_not_by_their_place_in_the_list() -> None:
    a, b = ANSWERS.read([box(0), box(50)]), ANSWERS.read([box(51), box(0)])
    assert ANSWERS.agree(a, b) == pytest.approx((1 + 9 / 11) / 2)
    assert ANSWERS.errors(a, b) == (0, 2)
    assert ANSWERS.errors(ANSWERS.read([box(0), box(30)]), a) == (1, 2)


FORM = """
<View>
  <Text name="text" value="$text"/>
  <Choices name="intent" toName="text"><Choice value="buy"/><Choice value="sell"/></Choices>{more}
</View>
"""


@pytest.mark.parametrize(
    ("more", "unit", "expected"),
    [
        ("", "choices", (2, 1)),  # one missing, one too many
        ('<TextArea name="city" toName="text"/><Number name="age" toName="text"/>', "fields", (2, 3)),
        ('<Labels name="spans" toName="text"><Label value="x"/></Labels>', "fields", (1, 1)),
    ],
)
def test_errors_are_counted_in_the_unit_that_all_parts_share_else_in_fields(
    more: str, unit: str, expected: tuple[int, int]
) -> None:
    form = Answers(regions.controls(FORM.format(more=more)))
    given = {"intent": ["buy"], "city": ["Huế"], "age": 7} if "city" in more else {"intent": ["buy"]}
    answer = form.given(given | {"intent": "sell"} | ({"age": None} if "city" in more else {}))
    assert form.unit == unit
    assert form.errors(answer, form.given(given)) == expected


def test_an_empty_text_misses_every_word_of_its_reference_and_a_reference_may_be_written_by_hand() -> None:
    text = Answers(
        regions.controls('<View><Text name="t" value="$t"/><TextArea name="said" toName="t"/></View>')
    )
    assert (text.unit, text.errors({}, text.given({"said": "xin chào bạn"}))) == ("words", (3, 3))
    assert text.errors({"said": ["xin chào bạn"]}, text.given({"said": "xin  chào bạn"}))[0] == 0
    a = ANSWERS.read([box(0)])
    by_hand = {"regions": [{"on": "page", "where": a["regions"][0]["where"], "answers": {"box": "car"}}]}
    assert ANSWERS.agree(a, ANSWERS.given(by_hand)) == 1
    with pytest.raises(ValueError, match="A region is an object with `on`"):
        ANSWERS.given({"regions": [{"where": {}}]})


def test_two_changes_in_one_place_are_for_people_and_elsewhere_merge() -> None:
    base, ours = ANSWERS.read([box(0)]), ANSWERS.read([box(0, "bus")])
    assert ANSWERS.merge(base, ours, ANSWERS.read([box(2)])) is None
    merged = ANSWERS.merge(base, ours, ANSWERS.read([box(0), box(50)]))
    assert merged is not None
    assert [one["answers"]["box"] for one in merged["regions"]] == [["bus"], ["car"]]


def test_a_relation_names_its_records_by_place_and_a_loose_one_is_kept() -> None:
    relation = {"type": "relation", "from_id": "50", "to_id": "0", "direction": "right"}
    loose = {"type": "relation", "from_id": "50", "to_id": "nowhere"}
    value = ANSWERS.read([box(50), box(0), relation, loose])
    assert value["relations"] == [{"from": 1, "to": 0, "direction": "right"}]
    assert value["other"] == [loose]
    renamed = copy.deepcopy(value) | {"relations": [{"from": 0, "to": 5}]}
    with pytest.raises(ValueError, match="there are 2"):
        ANSWERS.write(renamed)


def test_parts_can_have_other_names() -> None:
    renamed = Answers(regions.controls(CONFIG), {"caption": "text", "regions": "vehicles"})
    value = renamed.read([box(0), item("caption", "textarea", "c", {"text": ["xin chào"]})])
    assert value.keys() == {"text", "vehicles"}
    assert renamed.read(renamed.write(value)) == value
    assert "vehicles" in renamed.writes


def joined(a: str, b: str, *labels: str, direction: str = "right") -> dict[str, Any]:
    return {"type": "relation", "from_id": a, "to_id": b, "direction": direction, "labels": list(labels)}


def test_relations_are_compared_by_the_regions_that_they_join_and_not_by_places() -> None:
    spots = [box(0), box(30), box(60)]
    mine = ANSWERS.read([*spots, joined("30", "60", "behind")])
    more = ANSWERS.read([*spots[1:], joined("60", "30", "behind", direction="left")])
    assert mine["relations"] != more["relations"], "one region less: other places"
    assert ANSWERS.agree(mine, more) == pytest.approx((0.8 + 1) / 2), "of the parts only regions differ"
    assert ANSWERS.errors(more, mine) == (1, 3 + 1)
    other_way = ANSWERS.read([*spots, joined("60", "30", "behind")])
    assert ANSWERS.agree(mine, other_way) == 0.5
    assert ANSWERS.errors(other_way, mine) == (1, 4)
    other_label = ANSWERS.read([*spots, joined("30", "60", "beside")])
    assert 0.5 < ANSWERS.agree(mine, other_label) == ANSWERS.agree(other_label, mine) < 1
    both_ways = (ANSWERS.read([*spots, joined(*ends, direction="bi")]) for ends in (("0", "30"), ("30", "0")))
    assert ANSWERS.agree(*both_ways) == 1
    assert ANSWERS.errors(ANSWERS.read(spots), mine) == (1, 4)


def test_relations_of_two_sides_are_merged_unless_they_join_the_same_regions() -> None:
    spots = [box(0), box(30), box(60)]
    base, ours, theirs, against = (
        ANSWERS.read([*spots, joined("0", "30", "near"), *own])
        for own in ([], [joined("30", "60", "a")], [joined("60", "0", "b")], [joined("60", "30", "c")])
    )
    merged = ANSWERS.merge(base, ours, theirs)
    assert merged is not None
    assert ANSWERS.readable(merged)["relations"] == [
        "region 1 → region 2: near",
        "region 2 → region 3: a",
        "region 3 → region 1: b",
    ]
    assert ANSWERS.merge(base, ours, against) is None
    assert ANSWERS.merge(base, ours, ANSWERS.read(spots))["relations"] == [
        {"from": 1, "to": 2, "direction": "right", "labels": ["a"]}
    ]
    without_a_region = ANSWERS.read([spots[0], spots[1], joined("0", "30", "near")])
    assert ANSWERS.merge(base, ours, without_a_region) is None, "what it joins is gone"
    with pytest.raises(ValueError, match="`from` and `to`"):
        ANSWERS.given({"relations": [{"from": "r0", "to": 1}]})


def test_a_label_that_the_config_does_not_have_is_kept_and_compared_as_any_other() -> None:
    """A person gave it, under an earlier label config; predictions with one are refused (see interface)."""
    value = ANSWERS.read([box(0, "ship")])
    assert value["regions"][0]["answers"] == {"box": ["ship"]}
    assert ANSWERS.read(ANSWERS.write(value)) == value
    assert ANSWERS.agree(value, ANSWERS.read([box(0, "car")])) == 0
    assert "ship" in ANSWERS.show(value)
