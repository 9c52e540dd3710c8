"""A labelling job without any code: a template and an entry in params.yaml, from ingest to export."""

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

import editor
from lsloop import loop, task_types
from lsloop.commands import main
from lsloop.config import Conflicts, Gold, TaskType
from lsloop.errors import UsageError
from lsloop.labelstudio import interface, tasks
from lsloop.ledger import gold, quality
from lsloop.loop.job import resolved
from lsloop.records import Sample
from lsloop.stack import gallery
from lsloop.steps import gold as steps_gold
from lsloop.values import regions
from lsloop.values.answers import Answers
from world import World

VEHICLES = """
<View>
  <Image name="photo" value="$image"/>
  <RectangleLabels name="box" toName="photo"><Label value="car"/><Label value="bus"/></RectangleLabels>
  <TextArea name="plate" toName="photo" perRegion="true"/>
  <Choices name="weather" toName="photo"><Choice value="rain"/><Choice value="sun"/></Choices>
</View>
"""
JOB = "vehicles"


def boxed(x: float, label: str = "car", plate: str = "30A-1", weather: str = "sun") -> list[dict[str, Any]]:
    """An answer as Label Studio's page submits it."""
    where = {"x": x, "y": 10, "width": 20, "height": 10, "rotation": 0}
    size = {"original_width": 640, "original_height": 480, "image_rotation": 0, "to_name": "photo"}
    return [
        {
            "id": "r",
            "from_name": "box",
            "type": "rectanglelabels",
            **size,
            "value": where | {"rectanglelabels": [label]},
        },
        {"id": "r", "from_name": "plate", "type": "textarea", **size, "value": where | {"text": [plate]}},
        {
            "id": "w",
            "from_name": "weather",
            "type": "choices",
            "to_name": "photo",
            "value": {"choices": [weather]},
        },
    ]


@pytest.fixture
def job(world: World) -> World:
    """A project folder with the template and the entry of one more job."""
    folder = world.config.project_dir / "label_studio_templates"
    folder.mkdir()
    (folder / f"{JOB}.xml").write_text(VEHICLES, encoding="utf-8")
    known = world.config.params.task_types
    known[JOB] = TaskType(writes={"regions": "vehicles"})
    return world


def test_a_template_and_an_entry_are_a_job_from_ingest_to_export(job: World) -> None:
    rows: list[dict[str, Any]] = [{"external_id": f"p{n}", "media": f"{n}.png"} for n in (1, 2)]
    job.ingest(rows)
    assert job.push(JOB).sent == 2
    ls_project_id = job.value("SELECT ls_project_id FROM projects WHERE task_type = :t", t=JOB)
    sent = [task for page in tasks.changed(job.studio, ls_project_id) for task in page.tasks]
    assert all(task["data"]["image"].startswith("http://127.0.0.1:8000/media/") for task in sent)
    tasks.annotate(job.studio, sent[0]["id"], boxed(5), lead_time=3.0)
    assert job.pull(JOB).problems == []
    assert job.states() == {"open": 1, "accepted": 1}
    (row,) = job.rows("SELECT fields FROM samples WHERE fields ? 'vehicles'")
    (vehicle,) = row.fields["vehicles"]
    assert vehicle["answers"] == {"box": ["car"], "plate": ["30A-1"]}
    assert row.fields["weather"] == ["sun"]
    loop.export(job.ledger, job.config, task_type=JOB, layout="jsonl", target=job.config.project_dir / "out")
    (written,) = (job.config.project_dir / "out").rglob("rows.jsonl")
    (read,) = [json.loads(line) for line in written.read_text(encoding="utf-8").splitlines()]
    assert (read["vehicles"], read["weather"]) == (row.fields["vehicles"], ["sun"])


def test_gold_counts_the_fields_and_regions_of_a_job_of_its_own(job: World) -> None:
    settings = job.config.params.model_copy(update={"gold": Gold(ratio=0.5)})
    job = replace(job, config=replace(job.config, params=settings))
    job.ingest([{"external_id": f"p{n}", "media": f"{n}.png"} for n in (1, 2)])
    (probe,) = job.rows("SELECT sample_id FROM samples WHERE external_id = 'p1'")
    where = {"x": 5, "y": 10, "width": 20, "height": 10, "rotation": 0}
    by_hand = [{"on": "photo", "where": where, "answers": {"box": ["car"], "plate": "30A-1"}}]
    reference = {"vehicles": by_hand, "weather": "rain"}
    steps_gold.check_reference(reference, [resolved(job.config, JOB)[2]])
    gold.set_standard(job.ledger, probe.sample_id, 1, "lead", reference)
    job.push(JOB)
    (number,) = job.rows("SELECT ls_task_id FROM tasks WHERE is_gold_probe")
    tasks.annotate(job.studio, number.ls_task_id, boxed(5, plate="30A-2"), lead_time=3.0)
    assert job.pull(JOB).problems == []
    (one,) = quality.annotators(job.ledger)
    assert (one["unit"], one["errors"], one["total"], one["words"]) == ("fields", 1, 2, None)
    assert one["error_low"] <= one["error_rate"] == 0.5 <= one["error_high"]


def test_what_upstream_says_already_is_shown_as_a_pre_annotation_and_predictions_fit(job: World) -> None:
    kind = resolved(job.config, JOB)[2]
    value = kind.from_result(boxed(5), VEHICLES)
    result = kind.to_result(value, VEHICLES, None)  # type: ignore[arg-type]
    shown = [{"result": result, "model_version": "m", "score": 0.5}]
    assert interface.check_predictions(VEHICLES, shown) == [[]]
    job.ingest([{"external_id": "p", "media": "p.png", "vehicles": value["vehicles"], "weather": ["rain"]}])
    job.push(JOB)
    (prediction,) = job.rows("SELECT fields FROM samples")
    assert prediction.fields["vehicles"] == value["vehicles"]


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ({"reads": {"video": "media"}}, "`reads` names 'video'; the template has no such variable"),
        ({"writes": {"colour": "x"}}, "`writes` names 'colour'; the template has no such control"),
        ({"template": "nowhere"}, "There is no template nowhere.xml"),
    ],
)
def test_an_entry_that_names_what_the_template_lacks_is_refused(
    job: World, entry: dict[str, Any], says: str
) -> None:
    job.config.params.task_types[JOB] = TaskType(**entry)
    with pytest.raises(UsageError, match=says):
        resolved(job.config, JOB)


def test_who_decides_reads_words_and_no_json(job: World, capsys: pytest.CaptureFixture[str]) -> None:
    """A conflict with upstream in the terminal, and answers that do not agree in Label Studio."""
    known, folder = job.config.params.task_types, job.config.project_dir
    known[JOB] = known[JOB].model_copy(
        update={"overlap": 2, "agreement": 1, "conflicts": Conflicts(text="open")}
    )
    (folder / "params.yaml").write_text(f"task_types: {{{JOB}: {{writes: {{regions: vehicles}}}}}}\n")
    (folder / ".env").write_text(f"DATABASE_URL={job.config.database_url}\n")
    rows = [
        {"external_id": name, "media": f"{name}.png", "weather": ["sun"]} for name in ("moved", "doubted")
    ]
    job.ingest(rows)
    job.push(JOB)
    found = job.rows("SELECT external_id, ls_task_id FROM tasks JOIN samples USING (sample_id)")
    ids = {row.external_id: row.ls_task_id for row in found}
    with job.annotator("lan") as lan:
        for person, plate in ((job.studio, "<30A>"), (lan, "51F")):
            tasks.annotate(person, ids["doubted"], boxed(5, plate=plate))
            tasks.annotate(person, ids["moved"], boxed(5, plate="30A"))
    job.ingest([rows[0] | {"weather": ["rain"]}, rows[1]])
    job.pull(JOB)
    assert job.push(JOB).adjudications == 1
    (candidates,) = [
        task["data"]["candidates"]
        for page in tasks.changed(job.studio, job.value("SELECT ls_project_id FROM projects"))
        for task in page.tasks
        if task["data"]["candidates"]
    ]
    assert "<i>vehicles:</i> car, 51F at 5.0, 10.0, 20.0 × 10.0 %" in candidates
    assert "car, &lt;30A&gt; at 5.0" in candidates
    conflict_id = job.value("SELECT conflict_id FROM conflicts WHERE status = 'open'")
    assert main(["-C", str(folder), "conflicts", "show", str(conflict_id), "--quiet"]) == 0
    shown = capsys.readouterr().out
    assert "car, 30A at 5.0, 10.0, 20.0 × 10.0 %" in shown
    assert "original_width" not in shown + candidates


def test_a_model_is_not_shown_the_field_that_it_is_to_correct() -> None:
    template = (
        '<View><Text name="t" value="$text"/><Text name="u" value="$about"/><TextArea name="fix"'
        ' toName="t"/></View>'
    )
    kind = task_types.from_template("fixing", template, {"text": "body"}, {"fix": "body"})
    sample = Sample(uuid4(), "s", {"body": "as accepted", "about": "a letter"})
    assert kind.question(sample) == {"sample_id": str(sample.sample_id), "about": "a letter"}
    assert kind.answer({"fix": "ok"}, sample) == {"body": ["ok"]}
    (row,) = kind.training_rows(sample, {"body": ["ok"]})
    assert row == {"sample_id": str(sample.sample_id), "about": "a letter", "body": ["ok"]}


def test_names_of_its_own_are_for_jobs_without_a_kind(job: World) -> None:
    job.config.params.task_types["transcript_correction"] = TaskType(writes={"transcription": "text"})
    with pytest.raises(UsageError, match="has a kind with fields of its own"):
        resolved(job.config, "transcript_correction")


def test_each_template_of_label_studios_gallery_makes_a_kind_whose_answers_come_back(
    studio_environment: Path,
) -> None:
    """Several of the editor's answers to each; one goes the whole way in test_gallery.py."""
    for name, template in gallery.templates(studio_environment).items():
        kind = task_types.from_template(name, template.config)
        answers = Answers(regions.controls(template.config))
        for seed in range(3):
            value = answers.read(editor.answer(template.config, random.Random(seed)))
            assert answers.read(answers.write(value)) == value, name
            assert kind.agree(value, value) == 1, name
            assert kind.merge(value, value, value) == {**dict.fromkeys(kind.WRITES), **value}, name
            assert isinstance(answers.show(value), str)
