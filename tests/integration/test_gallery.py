"""Every template of Label Studio's own gallery is a job: from setup to export, on the real Label Studio."""

import json
import random
import wave
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from label_studio_sdk.label_interface import LabelInterface

import editor
from lsloop import loop
from lsloop.config import Gold, TaskType
from lsloop.labelstudio import tasks
from lsloop.labelstudio.client import LabelStudio
from lsloop.ledger import gold
from lsloop.loop.job import resolved
from lsloop.loop.setup import pushed
from lsloop.stack import gallery
from lsloop.steps import annotation
from lsloop.task_types import Kind
from lsloop.values import regions
from world import World

pytestmark = pytest.mark.filterwarnings(
    "ignore::pydantic.warnings.PydanticDeprecatedSince20"
)  # of the SDK's own making


class Job:
    """One template as a task type, whose fields have names of their own: all jobs work on the same two
    samples."""

    def __init__(self, world: World, name: str, label_config: str) -> None:
        self.world, self.name, self.label_config = world, name, label_config
        self.chance = random.Random(name)  # the same answers each time
        self.entry = TaskType(overlap=2, agreement=0, reads=self._reads(), writes=self._writes())

    def _reads(self) -> dict[str, str]:
        media = regions.media_variables(self.label_config)[:1]
        return {one: f"{self.name} {one}" for one in regions.shown(self.label_config) if one not in media}

    def _writes(self) -> dict[str, str]:
        names = [*regions.controls(self.label_config), "regions", "relations", "other"]
        return {one: f"{self.name} {one}" for one in names}

    @property
    def kind(self) -> Kind:
        return resolved(self.world.config, self.name)[2]

    def shown(self) -> dict[str, Any]:
        """What the sample has to be shown: the SDK's own, and options where the template takes them from
        the data."""
        made = LabelInterface(self.label_config).generate_sample_task() or {}
        return {field: made.get(name) or FREE for name, field in self.entry.reads.items()}

    def result(self, unlike: list[dict[str, Any]] | None = None) -> list[dict[str, Any]]:
        """An answer; one that says something else than `unlike`."""
        made = editor.answer(self.label_config, self.chance)
        is_alike = unlike is not None and self.kind.agree(self._read(made), self._read(unlike)) == 1
        return self.result(unlike) if is_alike else made

    def value(self) -> dict[str, Any]:
        return self._read(self.result())

    def _read(self, result: list[dict[str, Any]]) -> dict[str, Any]:
        return self.kind.from_result(result, self.label_config)


FREE = [{"value": name, "id": name, "title": name, "body": name, "html": name} for name in editor.FREE]


def told(failed: dict[str, str], name: str, work: Callable[[], Any]) -> None:
    """Do it, and write down why it fails: one template hides no other."""
    try:
        work()
    except Exception as error:
        failed[name] = f"{type(error).__name__}: {error}"


@pytest.fixture
def world(world: World) -> World:
    """Half of what is sent is gold."""
    settings = world.config.params.model_copy(update={"gold": Gold(ratio=0.5)})
    return replace(world, config=replace(world.config, params=settings))


@pytest.fixture
def jobs(world: World, studio_environment: Path) -> dict[str, Job]:
    """A project folder with the template and the entry of each, and nothing else."""
    folder = world.config.project_dir / "label_studio_templates"
    folder.mkdir()
    known = world.config.params.task_types
    known.clear()
    found = {
        name: Job(world, name, one.config) for name, one in gallery.templates(studio_environment).items()
    }
    for name, job in found.items():
        (folder / f"{name}.xml").write_text(job.label_config, encoding="utf-8")
        known[name] = job.entry
    return found


@pytest.fixture
def people(world: World) -> Iterator[list[LabelStudio]]:
    """Two who annotate."""
    with ExitStack() as open_until_then:
        yield [world.studio, open_until_then.enter_context(world.annotator("binh"))]


def test_every_template_of_the_gallery_is_a_job_from_setup_to_export(
    world: World, jobs: dict[str, Job], people: list[LabelStudio]
) -> None:
    assert len(jobs) >= 69
    failed: dict[str, str] = {}
    rows: list[dict[str, Any]] = [
        {"external_id": name, "media": f"{name}.wav"} for name in ("ordinary", "gold")
    ]
    for job in jobs.values():
        for row in rows:
            row |= job.shown() | {name: part for name, part in job.value().items() if part is not None}
    for name in ("ordinary", "gold"):
        record(world.raw_dir / f"{name}.wav", name.encode())
    world.ingest(rows)
    right = {name: part for job in jobs.values() for name, part in job.value().items()}
    gold.set_standard(world.ledger, gold.find_sample(world.ledger, "gold", None), 1.0, "lead", right)
    for name, job in jobs.items():
        told(failed, name, partial(sent_and_answered, world, job, people))
    exported = loop.export(
        world.ledger, world.config, layout="jsonl", target=world.config.project_dir / "out"
    )
    for name in jobs.keys() - failed.keys():
        told(failed, name, partial(read_back, world, jobs[name], exported.target))
    assert not failed, "\n".join(f"{name}: {why}" for name, why in failed.items())


def record(path: Path, noise: bytes) -> None:
    """A recording as long as the editor's regions take it to be."""
    frames = int(editor.LENGTH * 8000)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(1)
        file.setframerate(8000)
        file.writeframes((noise * frames)[:frames])


def sent_and_answered(world: World, job: Job, people: list[LabelStudio]) -> None:
    """Sent with what the sample says already as its prediction; answered by one as a probe, by two as
    ordinary work."""
    sent = world.push(job.name, limit=2)
    assert (sent.sent, sent.probes, sent.unfit, sent.left_out) == (2, 1, [], [])
    there = world.rows(
        "SELECT ls_task_id, is_gold_probe, model_version FROM tasks WHERE task_type = :t", t=job.name
    )
    for task in there:
        assert task.model_version == "upstream"
        said = job.result()
        tasks.annotate(people[0], task.ls_task_id, said, lead_time=3.0)
        if not task.is_gold_probe:
            tasks.annotate(people[1], task.ls_task_id, job.result(unlike=said), lead_time=3.0)
    assert received(world, job, [task.ls_task_id for task in there]).problems == []
    (score,) = world.rows("SELECT score, unit FROM gold_scores WHERE task_type = :t", t=job.name)
    assert 0 <= score.score <= 1
    assert score.unit == job.kind.UNIT
    (compared,) = world.rows(
        "SELECT c.agreement FROM consensus c JOIN tasks t USING (task_key) WHERE t.task_type = :t", t=job.name
    )
    assert 0 <= compared.agreement < 1


def received(world: World, job: Job, ls_task_ids: list[int]) -> annotation.Pulled:
    """By a pull for the first letters of the alphabet, else by what an event asks for: the same without a
    search."""
    if job.name < "chat":
        pulled: annotation.Pulled = world.pull(job.name)
        return pulled
    there = pushed(world.ledger, world.config, job.name)
    return loop.look(world.ledger, world.studio, world.config, there, ls_task_ids)


def read_back(world: World, job: Job, target: Path) -> None:
    """The export holds one of the two answers, whole, and so does the sample."""
    written = (target / job.name).rglob("rows.jsonl")
    (row,) = [json.loads(line) for file in written for line in file.read_text(encoding="utf-8").splitlines()]
    said = [
        found.value
        for found in world.rows(
            """SELECT a.value FROM annotations a JOIN tasks t USING (task_key)
                WHERE t.task_type = :t AND NOT t.is_gold_probe""", t=job.name)
    ]  # fmt: skip
    assert len(said) == 2
    (accepted,) = [one for one in said if all(row[name] == part for name, part in one.items())]
    (now,) = world.rows("SELECT fields FROM samples WHERE external_id = 'ordinary'")
    assert all(now.fields[name] == accepted[name] for name in job.kind.WRITES)
