"""What every kind promises. A new kind adds one row to `kind_values.VALUES` and is held to all of it."""

import json
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kind_values import SAMPLE, VALUES, nfd, template

from lsloop import task_types
from lsloop.labelstudio import interface
from lsloop.records import Sample
from lsloop.task_types import Kind
from lsloop.values import regions

KINDS = task_types.names()
kinds = pytest.mark.parametrize("name", KINDS)
brief = settings(max_examples=40, deadline=None)


def loaded(name: str) -> tuple[Kind, str]:
    return task_types.load(name), template(name)


def test_every_kind_is_held_to_the_contract() -> None:
    assert set(VALUES) == set(KINDS)


@kinds
def test_the_template_is_valid_and_fits(name: str) -> None:
    kind, config = loaded(name)
    interface.check_config(config)
    assert task_types.misfits(kind, config) == []


@kinds
@brief
@given(data=st.data())
def test_a_value_comes_back_as_it_went(name: str, data: st.DataObject) -> None:
    kind, config = loaded(name)
    value = data.draw(VALUES[name])
    assert kind.from_result(kind.to_result(value, config, SAMPLE), config) == value


@kinds
@brief
@given(data=st.data())
def test_a_value_typed_with_accents_apart_comes_back_in_one_form(name: str, data: st.DataObject) -> None:
    kind, config = loaded(name)
    value = data.draw(VALUES[name])
    assert kind.from_result(nfd(kind.to_result(value, config, SAMPLE)), config) == value


@kinds
@brief
@given(data=st.data())
def test_order_extra_keys_and_foreign_regions_do_not_matter(name: str, data: st.DataObject) -> None:
    kind, config = loaded(name)
    value = data.draw(VALUES[name])
    foreign = [
        {"type": "relation", "from_id": "a", "to_id": "b"},
        {"from_name": "team_own", "type": "number"},
    ]
    sent = [{**r, "origin": "manual", "score": 0.5} for r in kind.to_result(value, config, SAMPLE)] + foreign
    assert kind.from_result(data.draw(st.permutations(sent)), config) == value


@kinds
@brief
@given(data=st.data())
def test_predictions_fit_the_template(name: str, data: st.DataObject) -> None:
    kind, config = loaded(name)
    results = [kind.to_result(data.draw(VALUES[name]), config, SAMPLE) for _ in range(3)]
    predictions = [{"result": result, "score": 0.5, "model_version": "m"} for result in results]
    assert interface.check_predictions(config, predictions) == [[], [], []]


@kinds
@brief
@given(data=st.data())
def test_regions_have_the_same_ids_every_time_and_ids_are_text(name: str, data: st.DataObject) -> None:
    kind, config = loaded(name)
    value = data.draw(VALUES[name])
    result = kind.to_result(value, config, SAMPLE)
    assert result == kind.to_result(value, config, SAMPLE)
    assert all(isinstance(region["id"], str) and region["id"] for region in result)
    assert len({(region["id"], region["from_name"]) for region in result}) == len(result)


@kinds
@brief
@given(data=st.data())
def test_agreement_is_full_with_oneself_symmetric_and_between_0_and_1(name: str, data: st.DataObject) -> None:
    kind, _ = loaded(name)
    a, b = data.draw(VALUES[name]), data.draw(VALUES[name])
    assert kind.agree(a, a) == kind.agree(a, nfd(a)) == 1
    assert 0 <= kind.agree(a, b) == kind.agree(b, a) <= 1


@kinds
@brief
@given(data=st.data())
def test_an_answer_has_no_errors_against_itself_and_the_total_is_the_references(
    name: str, data: st.DataObject
) -> None:
    kind, _ = loaded(name)
    a, b = data.draw(VALUES[name]), data.draw(VALUES[name])
    assert kind.UNIT in ("words", "characters", "milliseconds")
    assert kind.errors(a, a)[0] == kind.errors(a, nfd(a))[0] == 0
    wrong, total = kind.errors(a, b)
    assert total == kind.errors(b, b)[1]
    assert wrong <= total + kind.errors(a, a)[1]
    assert (wrong > 0) == (kind.agree(a, b) < 1) or kind.UNIT == "characters"  # chrF sees no blanks


@kinds
@brief
@given(data=st.data())
def test_a_change_on_one_side_or_the_same_on_both_merges(name: str, data: st.DataObject) -> None:
    kind, _ = loaded(name)
    base, changed = data.draw(VALUES[name]), data.draw(VALUES[name])
    assert kind.merge(base, changed, base) == changed
    assert kind.merge(base, base, changed) == changed
    assert kind.merge(base, changed, changed) == changed


@kinds
@brief
@given(data=st.data())
def test_texts_in_two_unicode_forms_are_one_text_to_merge(name: str, data: st.DataObject) -> None:
    kind, _ = loaded(name)
    base, changed = data.draw(VALUES[name]), data.draw(VALUES[name])
    assert kind.merge(nfd(base), changed, base) == changed
    assert kind.merge(base, changed, nfd(changed)) == changed


@kinds
@brief
@given(data=st.data())
def test_a_merge_is_a_value_or_nothing(name: str, data: st.DataObject) -> None:
    kind, config = loaded(name)
    merged = kind.merge(*(data.draw(VALUES[name]) for _ in range(3)))
    if merged is not None:
        assert kind.from_result(kind.to_result(merged, config, SAMPLE), config) == merged


@kinds
@pytest.mark.parametrize("url", ["http://127.0.0.1:9/media/7.wav?expires=1&signature=ab", None])
@pytest.mark.parametrize("sample", [SAMPLE, Sample(uuid4(), "bare")], ids=["full", "bare"])
def test_task_data_has_all_that_the_template_shows(name: str, url: str | None, sample: Sample) -> None:
    kind, config = loaded(name)
    shown = kind.task_data(sample, url)
    assert regions.variables(config) <= shown.keys()
    assert shown.keys() == kind.task_data(SAMPLE, None).keys()
    assert all(isinstance(part, str) for part in shown.values())
    assert shown["sample_id"] == str(sample.sample_id)
    assert shown["audio"] == (url or "")


@kinds
@brief
@given(data=st.data())
def test_what_the_sample_says_already_is_a_value(name: str, data: st.DataObject) -> None:
    kind, config = loaded(name)
    value = data.draw(VALUES[name])
    said = kind.upstream_value(Sample(uuid4(), "x", {field: nfd(value[field]) for field in kind.WRITES}))
    if not all(value[field] for field in kind.WRITES):
        assert said is None
        return
    assert said is not None
    assert {field: said[field] for field in kind.WRITES} == {field: value[field] for field in kind.WRITES}
    assert kind.from_result(kind.to_result(said, config, SAMPLE), config) == said


@kinds
def test_a_bare_sample_says_nothing(name: str) -> None:
    assert task_types.load(name).upstream_value(Sample(uuid4(), "bare")) is None


@kinds
@brief
@given(data=st.data())
def test_a_training_row_is_plain_and_has_what_was_written(name: str, data: st.DataObject) -> None:
    kind, _ = loaded(name)
    value = data.draw(VALUES[name])
    (row,) = kind.training_rows(SAMPLE, value)
    assert json.loads(json.dumps(row)) == row
    assert {field: row[field] for field in kind.WRITES} == {field: value[field] for field in kind.WRITES}
    assert row["sample_id"] == str(SAMPLE.sample_id)


@kinds
@brief
@given(data=st.data())
def test_a_question_does_not_tell_the_answer(name: str, data: st.DataObject) -> None:
    kind, _ = loaded(name)
    value = data.draw(VALUES[name])
    answered = replace(SAMPLE, fields=SAMPLE.fields | {field: value[field] for field in kind.WRITES})
    bare = replace(
        SAMPLE, fields={name: one for name, one in SAMPLE.fields.items() if name not in kind.WRITES}
    )
    assert kind.question(answered) == kind.question(bare)
    (row,) = kind.training_rows(answered, value)
    assert kind.question(answered).items() <= row.items()
    assert kind.answer(value, SAMPLE) == value


_LEAF = st.none() | st.booleans() | st.integers(-2, 9) | st.floats() | st.text(max_size=3)
JSON = _LEAF | st.lists(_LEAF, max_size=2) | st.dictionaries(st.text(max_size=3), _LEAF, max_size=2)


@kinds
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_an_answer_that_makes_no_sense_is_refused_and_nothing_else(name: str, data: st.DataObject) -> None:
    kind, config = loaded(name)
    control = st.sampled_from(sorted(regions.controls(config)))
    keys = ["text", "choices", "rating", "labels", "start", "end"]
    value = JSON | st.dictionaries(st.sampled_from(keys), JSON)
    region = JSON | st.fixed_dictionaries({"from_name": control, "value": value}, optional={"id": JSON})
    result: Any = data.draw(st.lists(region, max_size=4) | JSON)
    try:
        understood = kind.from_result(result, config)
    except ValueError:
        return
    assert kind.from_result(kind.to_result(understood, config, SAMPLE), config) == understood


@kinds
def test_a_label_config_without_a_needed_control_is_named(name: str) -> None:
    kind, config = loaded(name)
    for control, need in kind.NEEDS.items():
        broken = config.replace(f'name="{control}"', f'name="{control}_2"')
        assert task_types.misfits(kind, broken) == [f"it has no {need.type} called {control!r}"]
        with pytest.raises(ValueError, match=f"no longer fits: it has no {need.type} called '{control}'"):
            kind.from_result([], broken)
        with pytest.raises(ValueError, match=f"no longer fits: it has no {need.type} called '{control}'"):
            kind.to_result({}, broken, SAMPLE)


@kinds
@brief
@given(data=st.data())
def test_remarks_that_the_label_config_does_not_ask_for_are_left_out(name: str, data: st.DataObject) -> None:
    kind, config = loaded(name)
    bare = config
    for control in regions.controls(config).keys() - kind.NEEDS.keys():
        bare = bare.replace(f'name="{control}"', "")
    value = data.draw(VALUES[name].filter(lambda v: all(v[field] for field in kind.WRITES)))
    assert {part["from_name"] for part in kind.to_result(value, bare, SAMPLE)} <= kind.NEEDS.keys()


@kinds
def test_all_that_the_template_can_say_is_read(name: str) -> None:
    kind, config = loaded(name)
    assert task_types.unreadable(kind, config) == []


CANNOT_BE_READ = {
    "ten stars": ("transcript_correction", 'maxRating="5"', 'maxRating="10"', "confidence"),
    "ten stars of a translation": ("translation_review", 'maxRating="5"', 'maxRating="10"', "rating"),
    "ten stars of a recording": ("audio_segmentation", 'maxRating="5"', 'maxRating="10"', "audio_quality"),
    "a number": (
        "transcript_correction",
        '<Rating name="confidence"',
        '<Number name="confidence"',
        "confidence",
    ),
    "flags as a tree": ("transcript_correction", "Choices", "Taxonomy", "quality_flags"),
    "issues as a tree": ("translation_review", "Choices", "Taxonomy", "issues"),
    "flags as text": ("transcript_correction", "Choices", "TextArea", "quality_flags"),
    "tags of no segment": ("audio_segmentation", 'perRegion="true"', "", "tags"),
}


@pytest.mark.parametrize("case", CANNOT_BE_READ)
def test_a_control_whose_answers_cannot_be_read_is_named(case: str) -> None:
    name, old, new, control = CANNOT_BE_READ[case]
    kind, config = loaded(name)
    changed = config.replace(old, new)
    assert changed != config
    assert task_types.misfits(kind, changed) == []
    (problem,) = task_types.unreadable(kind, changed)
    assert problem.startswith(f"answers of {control!r} cannot be read (")


FITS_AS_WELL = (
    ("transcript_correction", "</Choices>", '<Choice value="dialect"/></Choices>'),
    ("transcript_correction", "<Header", '<Number name="speakers" toName="audio"/><Header'),
    ("transcript_correction", 'maxRating="5"', 'maxRating="3"'),
    ("transcript_correction", 'maxRating="5"', 'maxRating="many"'),
    ("audio_segmentation", '<Label value="Noise"', '<Label value="Lao"/><Label value="Noise"'),
    ("audio_segmentation", "<Header", '<TextArea name="said" toName="audio"/><Header'),
)


@pytest.mark.parametrize(("name", "old", "new"), FITS_AS_WELL)
def test_what_people_add_of_their_own_fits(name: str, old: str, new: str) -> None:
    kind, config = loaded(name)
    assert task_types.unreadable(kind, config.replace(old, new, 1)) == []
