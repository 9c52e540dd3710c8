import re
from typing import Any

import pytest

from lsloop import resources
from lsloop.errors import UsageError
from lsloop.labelstudio import interface

CONFIG = resources.template("transcript_correction")


def prediction(**changes: Any) -> dict[str, Any]:
    region = {
        "id": "a",
        "from_name": "transcription",
        "to_name": "audio",
        "type": "textarea",
        "value": {"text": ["x"]},
    }
    return {"result": [{**region, **changes}], "score": 0.5}


BROKEN = {
    "not XML": ("<View>", "not valid: .*(line|end)"),
    "nothing": ("", "The label config is not valid"),
    "a declaration in front": (f'<?xml version="1.0" encoding="utf-8"?>{CONFIG}', "encoding declaration"),
    "an object that is not there": (
        CONFIG.replace('<Audio name="audio"', '<Audio name="sound"'),
        'toName="audio" not found',
    ),
    "one name twice": (CONFIG.replace('name="notes"', 'name="confidence"'), "non-unique names"),
}


@pytest.mark.parametrize(("config", "reason"), BROKEN.values(), ids=BROKEN.keys())
def test_a_label_config_that_label_studio_would_refuse_is_named(config: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        interface.check_config(config)
    with pytest.raises(UsageError, match=reason):
        interface.check_predictions(config, [prediction()])


UNFIT = {
    "an unknown control": (prediction(from_name="text"), "'text' not found"),
    "an unknown object": (prediction(to_name="image"), "'image' not found"),
    "another type": (prediction(type="choices"), "does not match expected type"),
    "an unknown flag": (
        prediction(from_name="quality_flags", type="choices", value={"choices": ["loud"]}),
        "quality_flags|choices|loud",
    ),
    "a score above 1": ({**prediction(), "score": 7}, "Score must be between"),
    "no result": ({"score": 0.5}, "result"),
}


@pytest.mark.parametrize(("unfit", "reason"), UNFIT.values(), ids=UNFIT.keys())
def test_a_prediction_that_does_not_fit_is_told_apart_from_those_that_do(
    unfit: dict[str, Any], reason: str
) -> None:
    first, second, third = interface.check_predictions(CONFIG, [prediction(), unfit, prediction()])
    assert (first, third) == ([], [])
    assert re.search(reason, " ".join(second))


def test_nothing_to_check_asks_nobody() -> None:
    assert interface.check_predictions("no label config at all", []) == []


BOXES = """<View><Image name="page" value="$image"/>
  <RectangleLabels name="box" toName="page"><Label value="car"/><Label value="bus" alias="b"/>
  </RectangleLabels>
</View>"""


def test_a_prediction_with_a_label_that_the_config_does_not_have_is_told() -> None:
    def marked(label: str) -> dict[str, Any]:
        where = {"x": 1, "y": 1, "width": 9, "height": 9, "rotation": 0, "rectanglelabels": [label]}
        box = {"from_name": "box", "to_name": "page", "type": "rectanglelabels", "value": where}
        return {"result": [{"id": "a", **box}]}

    car, alias, ship = interface.check_predictions(BOXES, [marked("car"), marked("b"), marked("ship")])
    assert (car, alias) == ([], [])
    assert "valid labels: ['car', 'b']" in ship[0]
