"""Where it is measured: a project folder with a stack of its own, and made-up samples with predictions."""

import json
import shutil
import tempfile
import uuid
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from lsloop import config, ledger, loop, resources, stack, task_types
from lsloop.config import Config
from lsloop.demo import stage
from lsloop.labelstudio import client, tasks
from lsloop.labelstudio.client import LabelStudio
from lsloop.ledger import Ledger, migrations
from lsloop.records import Sample
from lsloop.steps import sample
from lsloop.steps.task import Media

KIND = "transcript_correction"
MODEL, SCORE = "bench-1", 0.9
CHECKOUT = Path(__file__).parents[1]
LATER = 2_000_000_000  # when media links expire, in seconds since 1970


@dataclass(frozen=True)
class Sizes:
    """How much is measured. A smaller run is faster, and its ratios say less."""

    tasks: int = 5_000
    rounds: int = 3
    changes: int = 50
    one_by_one: int = 60
    small: int = 2_000
    large: int = 20_000
    rows: int = 200_000
    reviewed: int = 10_000
    starts: int = 12
    events: int = 2_000


@dataclass(frozen=True)
class Place:
    """The project folder, its settings, and connections to its running stack."""

    project_dir: Path
    sizes: Sizes
    config: Config
    ledger: Ledger
    studio: LabelStudio

    def push(self, task_type: str, count: int) -> None:
        """Send so many samples that this task type has not sent yet."""
        pushed = loop.push(self.ledger, self.studio, self.config, task_type, limit=count)
        _demand(pushed.sent, count, "samples pushed")

    def pull(self, task_type: str, expected: int) -> None:
        """Bring answers back, and see that so many were new or edited."""
        received = loop.pull(self.ledger, self.studio, self.config, task_type).received
        _demand(received.added + received.edited, expected, "annotations pulled")

    def ls_project_id(self, task_type: str) -> int:
        """The Label Studio project of a task type, made when it is missing."""
        found = loop.setup(self.ledger, self.studio, self.config, task_type).project.ls_project_id
        assert found is not None
        return found

    def payload(self, task_type: str, count: int) -> list[dict[str, Any]]:
        """What a push of so many samples sends, as a script that needs no ledger would have it ready."""
        kind, label_config = task_types.load(KIND), self.label_config
        link = Media(self.config.media_url, self.config.secret, LATER).link

        def task(one: Sample) -> dict[str, Any]:
            data = kind.task_data(one, link(str(one.media_path))) | {tasks.KEY: str(uuid.uuid4())}
            result = kind.to_result(_predicted(one), label_config, one)
            return {"data": data, "predictions": [{"result": result, "model_version": MODEL, "score": SCORE}]}

        return [task(one) for one in loop.plan_push(self.ledger, self.config, task_type, limit=count).samples]

    @property
    def label_config(self) -> str:
        return resources.template(KIND)


@contextmanager
def made(sizes: Sizes, task_type_names: list[str]) -> Iterator[Place]:
    """A stack of its own, started for the run and gone after it, with samples and a prediction for each."""
    with stage.alone(CHECKOUT / ".lsloop" / "studio"):
        folder = Path(tempfile.mkdtemp(prefix="lsloop-bench-"))
        try:
            _write(folder, sizes, task_type_names)
            stack.detach(folder, lambda line: None)
            with _connected(folder, sizes) as place:
                _fill(place, task_type_names)
                yield place
        finally:
            stack.down(folder)
            shutil.rmtree(folder)


@contextmanager
def _connected(folder: Path, sizes: Sizes) -> Iterator[Place]:
    settings = config.load(folder).without_webhook()  # a worker would do what is measured
    opened = ledger.connect(settings.database_url)
    with client.connect(settings.label_studio_url, settings.label_studio_api_key) as studio:
        yield Place(folder, sizes, settings, opened, studio)
    opened.close()


def _write(folder: Path, sizes: Sizes, task_type_names: list[str]) -> None:
    """A project folder: one sound file, which all samples share, and the task types."""
    raw = folder / "data" / "raw"
    raw.mkdir(parents=True)
    with wave.open(str(raw / "clip.wav"), "wb") as sound:
        sound.setparams((1, 2, 8000, 8000, "NONE", ""))
        sound.writeframes(bytes(16_000))
    write_metadata(raw / "metadata.jsonl", max(sizes.tasks, sizes.large), media="clip.wav")
    entries = {name: {"title": name, "kind": KIND, "template": KIND} for name in task_type_names}
    (folder / "params.yaml").write_text(json.dumps({"task_types": entries}), encoding="utf-8")


def write_metadata(path: Path, count: int, **fields: str) -> None:
    """Upstream's rows: code-switched transcripts and translations, all different; `{number}` in a field is
    the row's."""
    with path.open("w", encoding="utf-8") as file:
        for number in range(count):
            row = {
                "external_id": f"clip-{number:07}",
                "transcript": f"ok team, hôm nay mình có meeting lúc {number} giờ, nhớ gửi report trước nhé",
                "translation": (
                    f"ok team, today we have a meeting at {number}, remember to send the report first"
                ),
                "group": f"speaker-{number % 500}",
                "priority": number % 3,
                **{name: text.format(number=number) for name, text in fields.items()},
            }
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def _fill(place: Place, task_type_names: list[str]) -> None:
    raw = place.config.raw_dir
    sample.ingest(place.ledger, raw / "metadata.jsonl", raw_dir=raw)
    with place.ledger.transaction() as transaction:
        transaction.run(
            """INSERT INTO predictions (sample_id, task_type, model_version, value, score, sync_version)
               SELECT sample_id, task_type, :model, jsonb_build_object('transcript',
                      fields ->> 'transcript' || ' ạ',
                          'quality_flags', '[]'::jsonb, 'confidence', NULL, 'notes', ''), :score, sync_version
                 FROM samples, unnest(CAST(:names AS text[])) task_type""".replace("::", r"\:\:"),
            model=MODEL, score=SCORE, names=task_type_names,
        )  # fmt: skip


def _predicted(one: Sample) -> dict[str, Any]:
    text = f"{one.fields['transcript']} ạ"
    return {"transcript": text, "quality_flags": [], "confidence": None, "notes": ""}


@contextmanager
def fresh_ledger(place: Place) -> Iterator[str]:
    """The URL of an empty ledger on the same PostgreSQL, gone afterwards."""
    server, _, _ = place.config.database_url.rpartition("/")
    name = f"bench_{uuid.uuid4().hex}"
    with psycopg.connect(place.config.database_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        try:
            migrations.upgrade(f"{server}/{name}")
            yield f"{server}/{name}"
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def _demand(found: int, expected: int, what: str) -> None:
    """A measure of something else than it says is worth nothing."""
    if found != expected:
        raise RuntimeError(f"{found} {what}, not {expected}")
