"""A spike: a page that is many training lines. A model is trained on lines, and measured on pages as they
are served."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageStat

from lsloop import loop, task_types
from lsloop.config import Export, Model, TaskType
from lsloop.dataset import reviewed
from lsloop.labelstudio import tasks
from lsloop.models import Guess, Training
from lsloop.records import Sample, Value
from lsloop.task_types._template import TemplateKind
from lsloop.values import agreement
from lsloop.values.evaluation import Measure
from world import World

JOB, PAGES = "page_lines", 20
TEMPLATE = """
<View>
  <Image name="page" value="$image"/>
  <Rectangle name="line" toName="page"/>
  <TextArea name="text" toName="page" perRegion="true"/>
</View>
"""
WORDS = {"mua": 40, "ban": 120, "con": 200}

ONE = "SELECT sample_id, external_id, fields, media_path FROM samples WHERE sample_id = :id"


class Pages(TemplateKind):
    """What the template makes, but that a model is asked for the text of lines that are there, one after
    the other."""

    MEASURES = (Measure("line_wer", lambda a, r: agreement.word_errors(text_of(a), text_of(r)), True),)

    def question(self, sample: Sample) -> dict[str, Any]:
        lines = [line["where"] for line in sample.fields.get("regions") or []]
        return {"sample_id": str(sample.sample_id), "media": sample.media_path, "lines": lines}

    def answer(self, said: Value, sample: Sample) -> Value:
        both = zip(sample.fields.get("regions") or [], said["texts"], strict=True)
        lines = [{**line, "answers": {"line": None, "text": [text]}} for line, text in both]
        return super().answer({"regions": lines}, sample)

    def training_rows(self, sample: Sample, value: Value) -> list[dict[str, Any]]:
        about = {"sample_id": str(sample.sample_id), "media": sample.media_path}
        return [
            {**about, "line": one["where"], "text": one["answers"]["text"][0]} for one in value["regions"]
        ]


def text_of(value: Value) -> str:
    return " ".join(text for line in value.get("regions") or [] for text in line["answers"]["text"])


kind = Pages(**vars(task_types.from_template(JOB, TEMPLATE)))


class Greys:
    """The family: lines of a page, at `greys:nothing` or in a folder that it wrote."""

    concurrency = 1

    def __init__(self, known: Mapping[str, float]) -> None:
        self.known = known

    def answers(self, job: Any) -> bool:
        return bool(job.kind == JOB)

    def recognises(self, place: str) -> bool:
        return place.startswith("greys:") or (Path(place) / "greys.json").is_file()

    def version(self, place: str) -> str:
        return place.removeprefix("greys:")

    def load(self, place: str, device: str = "auto", settings: Any = None) -> "Greys":
        return Greys({} if ":" in place else json.loads((Path(place) / "greys.json").read_text()))

    def predict(self, questions: Any) -> list[Guess]:
        return [
            Guess({"texts": [self.word(grey(one["media"], line)) for line in one["lines"]]})
            for one in questions
        ]

    def word(self, seen: float) -> str:
        return min(self.known, key=lambda word: abs(self.known[word] - seen), default="?")

    def train(self, rows: Sequence[Any], validation: Sequence[Any], training: Training) -> Path:
        learnt = {row["text"]: grey(row["media"], row["line"]) for row in rows}
        model = training.out / "model"
        model.mkdir(parents=True)
        (model / "greys.json").write_text(json.dumps(learnt))
        return model


def grey(media: str, line: Mapping[str, float]) -> float:
    with Image.open(media) as page:
        corners = (line["x"], line["y"], line["x"] + line["width"], line["y"] + line["height"])
        return float(ImageStat.Stat(page.convert("L").crop(tuple(map(int, corners)))).mean[0])


family = Greys({})


@pytest.fixture
def job(world: World, plug: Any, put_template: Any) -> World:
    """Pages of three lines; upstream knows where they are, and not what they say."""
    plug(__name__, {"greys": "family"}, {JOB: "kind"})
    put_template(world.config, JOB, TEMPLATE)
    world.config.params.task_types[JOB] = TaskType()
    world.config.params.models[JOB] = Model(base="greys:nothing", minimum_test=2)
    params = world.config.params.model_copy(update={"export": Export(validation=0, test=0.5)})
    world = replace(world, config=replace(world.config, params=params))
    world.ingest([page(world.raw_dir, number) for number in range(PAGES)])
    return world


def page(raw: Path, number: int) -> dict[str, Any]:
    image, lines = Image.new("L", (100, 100), 255), []
    for top, word in zip((10, 40, 70), words(number), strict=True):
        image.paste(WORDS[word], (10, top, 90, top + 20))
        lines.append({"on": "page", "where": {"x": 10, "y": top, "width": 80, "height": 20}, "answers": {}})
    image.save(raw / f"{number}.png")
    return {"external_id": str(number), "media": f"{number}.png", "regions": lines}


def words(number: int) -> list[str]:
    return [list(WORDS)[(number + place) % 3] for place in range(3)]


def test_a_model_is_trained_on_lines_and_measured_on_pages(job: World) -> None:
    assert job.push(JOB).sent == PAGES
    ls_project_id = job.value("SELECT ls_project_id FROM projects WHERE task_type = :t", t=JOB)
    for changed in tasks.changed(job.studio, ls_project_id):
        for task in changed.tasks:
            sample = Sample(**job.rows(ONE, id=task["data"]["sample_id"])[0]._mapping)
            said = kind.to_result(
                kind.answer({"texts": words(int(sample.external_id))}, sample), TEMPLATE, sample
            )
            tasks.annotate(job.studio, task["id"], said, lead_time=1.0)
    assert job.pull(JOB).problems == []
    loop.export(job.ledger, job.config, task_type=JOB)
    data = reviewed.read(job.config.reviewed_dir / JOB)
    assert len(data.rows("train")) == 3 * len(data.splits["train"]) > 0
    done = loop.retrain(job.ledger, job.config, JOB, actor="linh")
    assert (done.metrics["old"]["line_wer"], done.metrics["new"]["line_wer"]) == (1.0, 0.0)
    assert done.promoted, done.why
    job.ingest([page(job.raw_dir, PAGES)])
    told = loop.predict(job.ledger, job.config, JOB)
    assert (told.predicted, told.model_version) == (1, done.version)
    assert text_of(job.value("SELECT value FROM predictions")).split() == words(PAGES)
