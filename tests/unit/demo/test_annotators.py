from dataclasses import replace

import jiwer
import pytest

from lsloop.demo.annotators import Annotator, as_edited, intent, seconds
from lsloop.demo.language import utterances

SAID = [(one.external_id, one.text) for one in utterances(6000, seed=9)]


@pytest.mark.parametrize("rate", [0.02, 0.1, 0.3])
def test_annotators_err_at_their_own_rate(rate: float) -> None:
    annotator = Annotator("An", rate, seed=3)
    written = [intent(annotator, *one).final for one in SAID]
    # About 24,000 words: four standard errors around the rate.
    error = (rate * (1 - rate) / 24_000) ** 0.5
    assert jiwer.wer([text for _, text in SAID], written) == pytest.approx(rate, abs=4 * error)


def test_a_perfect_annotator_writes_what_was_said() -> None:
    assert [intent(Annotator("An", 0.0), *one).final for one in SAID[:100]] == [
        text for _, text in SAID[:100]
    ]


def test_annotators_do_the_same_again_and_each_does_otherwise() -> None:
    an = Annotator("An", 0.3, 0.1, 0.1, 0.1, seed=1)
    does = [intent(an, *one) for one in SAID[:200]]
    assert does == [intent(an, *one) for one in SAID[:200]]
    assert does != [intent(replace(an, name="Binh"), *one) for one in SAID[:200]]
    assert does != [intent(replace(an, seed=2), *one) for one in SAID[:200]]


def test_annotators_skip_edit_and_delete_at_their_rates() -> None:
    does = [intent(Annotator("An", 0.3, 0.1, 0.2, 0.05), *one) for one in SAID]
    assert sum(one.skip for one in does) / len(does) == pytest.approx(0.1, abs=0.02)
    answered = [one for one in does if not one.skip]
    deleted = [one for one in answered if one.afterthought == "delete"]
    assert len(deleted) / len(answered) == pytest.approx(0.05, abs=0.02)
    edited = [one for one in answered if one.afterthought == "edit"]
    assert len(edited) / len(answered) == pytest.approx(0.2, abs=0.02)
    assert all((one.first != one.final) == (one.afterthought == "edit") for one in answered)


def test_a_kept_region_keeps_its_id_and_says_where_it_came_from() -> None:
    shown = [
        {"id": "a", "from_name": "transcript", "value": {"text": ["tôi mua cá"]}},
        {"id": "b", "from_name": "quality", "value": {"choices": ["good"]}},
    ]
    wanted = [
        {"id": "1", "from_name": "transcript", "value": {"text": ["tôi bán cá"]}},
        {"id": "2", "from_name": "quality", "value": {"choices": ["good"]}},
        {"id": "3", "from_name": "notes", "value": {"text": ["noisy"]}},
    ]
    edited = as_edited(shown, wanted)
    assert [(one["id"], one["origin"]) for one in edited] == [
        ("a", "prediction-changed"),
        ("b", "prediction"),
        ("3", "manual"),
    ]
    assert [one["value"] for one in edited] == [one["value"] for one in wanted]


def test_a_region_keeps_its_origin_when_an_answer_is_edited() -> None:
    origins = ("manual", "prediction", "prediction-changed")
    shown = [{"id": name, "from_name": name, "origin": name, "value": 1} for name in origins]
    same = as_edited(shown, [{"id": "", "from_name": name, "value": 1} for name in origins])
    other = as_edited(shown, [{"id": "", "from_name": name, "value": 2} for name in origins])
    assert [one["origin"] for one in same] == ["manual", "prediction", "prediction-changed"]
    assert [one["origin"] for one in other] == ["manual", "prediction-changed", "prediction-changed"]


def test_more_corrections_take_longer() -> None:
    assert (
        seconds("tôi mua cá", "tôi mua cá") < seconds("tôi mua cá", "tôi bán cá") < seconds("", "tôi bán cá")
    )
