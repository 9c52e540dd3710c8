"""A spike: boxes with attributes from a template, found by a detector that is no checkpoint, from ingest to
export.

The detector looks for pure red and pure blue in a picture, with numpy. All it is told stands in the question.
"""

import json
from pathlib import Path
from typing import Any

import numpy
import pytest
from PIL import Image

from lsloop import loop
from lsloop.config import Model, TaskType
from lsloop.errors import UsageError
from lsloop.labelstudio import tasks
from lsloop.models import Guess
from world import World

JOB = "signs"
TEMPLATE = """
<View>
  <Image name="photo" value="$image"/>
  <RectangleLabels name="box" toName="photo"><Label value="large"/><Label value="small"/></RectangleLabels>
  <Choices name="colour" toName="photo" perRegion="true"><Choice value="red"/><Choice value="blue"/></Choices>
</View>
"""
CHANNELS = {"red": (255, 0, 0), "blue": (0, 0, 255)}


class Colours:
    """The family: any job with boxes, at `colours:<version>`."""

    concurrency = 1

    def answers(self, job: Any) -> bool:
        return any(control.type == "rectanglelabels" for control in job.controls.values())

    def recognises(self, place: str) -> bool:
        return place.startswith("colours:")

    def version(self, place: str) -> str:
        return place.removeprefix("colours:")

    def load(self, place: str, device: str = "auto", settings: Any = None) -> "Colours":
        return self

    def predict(self, questions: Any) -> list[Guess]:
        return [self.guess(one["media"], one["controls"]) for one in questions]

    def guess(self, media: str, controls: Any) -> Guess:
        with Image.open(media) as image:
            pixels = numpy.asarray(image.convert("RGB"))
        found = [box(pixels, colour, controls) for colour in controls["colour"].values]
        return Guess({"regions": [one for one in found if one]}, score=0.9, uncertainty=0.1)


def box(pixels: Any, colour: str, controls: Any) -> dict[str, Any] | None:
    """The smallest rectangle around all of a colour, in percent."""
    ys, xs = numpy.nonzero((pixels == CHANNELS[colour]).all(axis=2))
    if not len(xs):
        return None
    height, width, _ = pixels.shape
    x, y, right, bottom = (int(one) for one in (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1))
    size = "large" if (right - x) * (bottom - y) * 10 > width * height else "small"
    where = {"x": 100 * x / width, "y": 100 * y / height, "rotation": 0}
    where |= {"width": 100 * (right - x) / width, "height": 100 * (bottom - y) / height}
    return {"on": controls["box"].to_name, "where": where, "answers": {"box": [size], "colour": [colour]}}


family = Colours()


def draw(path: Path, *signs: tuple[str, tuple[int, int, int, int]]) -> None:
    image = Image.new("RGB", (200, 100), "white")
    for colour, corners in signs:
        image.paste(CHANNELS[colour], corners)
    image.save(path)


@pytest.fixture
def job(world: World, plug: Any, put_template: Any) -> World:
    plug(__name__, {"colours": "family"})
    put_template(world.config, JOB, TEMPLATE)
    world.config.params.task_types[JOB] = TaskType(writes={"regions": "signs"})
    world.config.params.models[JOB] = Model(base="colours:1", minimum_test=2)
    draw(world.raw_dir / "one.png", ("red", (20, 10, 120, 60)), ("blue", (150, 50, 160, 60)))
    draw(world.raw_dir / "two.png", ("blue", (0, 0, 100, 100)))
    draw(world.raw_dir / "none.png")
    world.ingest([{"external_id": name, "media": f"{name}.png"} for name in ("one", "two", "none")])
    return world


def rows_equal(job: World) -> bool:
    """Whether what people submitted unchanged is, sample by sample, the very value that was predicted."""
    both = job.rows("SELECT value, fields -> 'signs' AS said FROM predictions JOIN samples USING (sample_id)")
    return all(row.value["signs"] == row.said for row in both)


def test_what_the_detector_finds_is_shown_corrected_and_exported(job: World) -> None:
    done = loop.predict(job.ledger, job.config, JOB)
    assert (done.predicted, done.failed, done.model_version) == (3, 0, "base-1")
    assert job.push(JOB).sent == 3
    ls_project_id = job.value("SELECT ls_project_id FROM projects WHERE task_type = :t", t=JOB)
    shown = {}
    for page in tasks.changed(job.studio, ls_project_id):
        for task in page.tasks:
            (prediction,) = job.studio.send("GET", "api/predictions/", params={"task": task["id"]}).json()
            name = job.value(
                "SELECT external_id FROM samples WHERE sample_id = :i", i=task["data"]["sample_id"]
            )
            shown[name] = prediction["result"]
            tasks.annotate(job.studio, task["id"], prediction["result"], lead_time=2.0)
    assert {item["id"]: item["value"] for item in shown["one"] if item["from_name"] == "box"} == {
        "region-0": {"x": 75, "y": 50, "width": 5, "height": 10, "rotation": 0, "rectanglelabels": ["small"]},
        "region-1": {
            "x": 10,
            "y": 10,
            "width": 50,
            "height": 50,
            "rotation": 0,
            "rectanglelabels": ["large"],
        },
    }
    assert shown["none"] == []
    assert job.pull(JOB).problems == []
    assert rows_equal(job)
    loop.export(job.ledger, job.config, task_type=JOB, layout="jsonl", target=job.config.project_dir / "out")
    lines = [path.read_text() for path in (job.config.project_dir / "out").rglob("rows.jsonl")]
    rows = [json.loads(line) for text in lines for line in text.splitlines()]
    said = {Path(row["media"]).stem: [one["answers"] for one in row["signs"] or []] for row in rows}
    assert said["one"] == [{"box": ["small"], "colour": ["blue"]}, {"box": ["large"], "colour": ["red"]}]
    assert said["two"] == [{"box": ["large"], "colour": ["blue"]}]
    loop.export(job.ledger, job.config, task_type=JOB)
    with pytest.raises(UsageError, match="colours:1 cannot be trained: its family only answers"):
        loop.retrain(job.ledger, job.config, JOB, actor="linh")
