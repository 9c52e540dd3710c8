"""One small world on the real services: a ledger, a Label Studio, a project folder, and people who
annotate."""

import json
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lsloop import loop
from lsloop.config import Config, Environment, Params, TaskType
from lsloop.labelstudio import people, tasks
from lsloop.labelstudio.client import LabelStudio
from lsloop.ledger import Ledger
from lsloop.steps import sample
from media_files import content

TRANSCRIPT = "transcript_correction"


@dataclass(frozen=True)
class World:
    """Each test's own project folder, database and Label Studio project."""

    config: Config
    ledger: Ledger
    studio: LabelStudio

    @property
    def raw_dir(self) -> Path:
        return self.config.raw_dir

    @property
    def ls_project_id(self) -> int:
        return int(self.value("SELECT ls_project_id FROM projects WHERE task_type = :t", t=TRANSCRIPT))

    def write(self, rows: Sequence[dict[str, Any]]) -> Path:
        """Upstream's metadata.jsonl; a media file is made for each row that names one and has none yet."""
        for row in rows:
            media = self.raw_dir / row.get("media", "x")
            if "media" in row and not media.exists():
                media.parent.mkdir(parents=True, exist_ok=True)
                media.write_bytes(content(row["media"]))
        path = self.raw_dir / "metadata.jsonl"
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
        return path

    def ingest(self, rows: Sequence[dict[str, Any]], **options: Any) -> sample.Ingested:
        return sample.ingest(self.ledger, self.write(rows), raw_dir=self.raw_dir, **options)

    def push(self, task_type: str = TRANSCRIPT, **options: Any) -> Any:
        return loop.push(self.ledger, self.studio, self.config, task_type, **options)

    def pull(self, task_type: str = TRANSCRIPT, **options: Any) -> Any:
        return loop.pull(self.ledger, self.studio, self.config, task_type, **options)

    def tasks(self) -> dict[str, dict[str, Any]]:
        """The tasks that people are given by the external id of their sample. Fails when they are given a
        sample twice."""
        external = {
            str(row.sample_id): row.external_id
            for row in self.rows("SELECT sample_id, external_id FROM samples")
        }
        found: dict[str, dict[str, Any]] = {}
        for page in tasks.changed(self.studio, self.ls_project_id):
            for task in page.tasks:
                if tasks.NOT_NEEDED in task["data"]:
                    continue
                name = external[task["data"]["sample_id"]]
                assert name not in found, f"{name} is twice in Label Studio"
                found[name] = task
        return found

    def annotate(
        self, task: dict[str, Any], text: str, by: LabelStudio | None = None, **options: Any
    ) -> dict[str, Any]:
        """Submit a transcript, as the page would."""
        given = {"lead_time": 2.5, **options}
        return tasks.annotate(by or self.studio, task["id"], transcript(text), **given)

    def rows(self, statement: str, **values: Any) -> list[Any]:
        with self.ledger.transaction() as transaction:
            return transaction.rows(statement, **values)

    def value(self, statement: str, **values: Any) -> Any:
        with self.ledger.transaction() as transaction:
            return transaction.value(statement, **values)

    def current(self, field: str = "transcript") -> dict[str, Any]:
        """The current value of a field by external id."""
        found = self.rows(
            "SELECT external_id, fields -> :field AS value FROM samples ORDER BY arrival", field=field
        )
        return {row.external_id: row.value for row in found}

    def history(self, external_id: str, field: str = "transcript") -> list[tuple[int, Any, str]]:
        """(version, value, origin) of every value the field ever had."""
        found = self.rows(
            """SELECT version, value, origin FROM v_revisions JOIN samples USING (sample_id)
                WHERE external_id = :id AND field = :field ORDER BY version""",
            id=external_id, field=field,
        )  # fmt: skip
        return [(row.version, row.value, row.origin) for row in found]

    def states(self) -> dict[str, int]:
        return {row.state: row.n for row in self.rows("SELECT state, count(*) AS n FROM tasks GROUP BY 1")}

    def annotator(self, name: str) -> LabelStudio:
        """Somebody else, with an account of their own."""
        from lsloop.labelstudio import client

        token = people.add_annotator(
            self.studio, f"{name}-{uuid.uuid4().hex[:8]}@example.com", uuid.uuid4().hex
        )
        return client.connect(self.config.label_studio_url, token)


def clips(count: int, **fields: Any) -> list[dict[str, Any]]:
    """Upstream rows with media, numbered from 1."""
    return [
        {
            "external_id": f"clip-{i:03}",
            "media": f"audio/{i:03}.wav",
            "transcript": f"xin chào meeting {i}",
            **fields,
        }
        for i in range(1, count + 1)
    ]


def transcript(text: str) -> list[dict[str, Any]]:
    """A transcript as the page submits it."""
    value = {"text": [text]}
    return [{"id": "t", "from_name": "transcription", "to_name": "audio", "type": "textarea", "value": value}]


def config(project_dir: Path, database_url: str, url: str, token: str, **params: Any) -> Config:
    """Settings as a command would read them; `params` are sections of params.yaml."""
    known = {name: TaskType() for name in (TRANSCRIPT, "translation_review", "audio_segmentation")}
    environment = Environment.model_validate(
        {"database_url": database_url, "label_studio_url": url, "label_studio_api_key": token,
         "AUDIO_SERVER_URL": "http://127.0.0.1:8000", "lsloop_secret": "a secret of the tests"}
    )  # fmt: skip
    return Config(project_dir, Params(task_types=known).model_copy(update=params), environment, {})


def wait_until(condition: Callable[[], Any], seconds: float = 30) -> Any:
    """The first true answer of `condition`; fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.05)
    return answer
