"""A project folder with recordings of the demo's language and a tiny speech model that answers for them."""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

import tiny_models
from lsloop import config
from lsloop.ledger import Ledger
from lsloop.steps import sample
from world import TRANSCRIPT


@dataclass(frozen=True)
class Speech:
    """Recordings, what is said in them, and the folders of two models that have not learnt anything."""

    clips: Sequence[Path]
    said: Mapping[str, str]
    model: Path
    other: Path

    @classmethod
    def made(cls, folder: Path, count: int = 40) -> "Speech":
        from lsloop.models.families import speech_ctc

        rows = tiny_models.recordings(folder / "clips", count)
        one, two = (speech_ctc.fresh(folder / f"model-{seed}", tiny_models.ALPHABET, seed) for seed in (0, 1))
        return cls(
            [Path(row["media"]) for row in rows],
            {row["sample_id"]: row["transcript"] for row in rows},
            one,
            two,
        )


def project(
    folder: Path, speech: Speech, count: int, *, stack: Mapping[str, str], **params: Any
) -> config.Config:
    """A project folder with the first `count` recordings as clip-000, clip-001, …; the model stands in
    params.yaml."""
    raw = folder / "data" / "raw"
    (raw / "audio").mkdir(parents=True)
    rows = []
    for number, clip in enumerate(speech.clips[:count]):
        name = f"clip-{number:03d}"
        shutil.copy(clip, raw / "audio" / f"{name}.wav")
        rows.append({"external_id": name, "media": f"audio/{name}.wav", "transcript": speech.said[clip.stem]})
    (raw / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    shutil.copytree(speech.model, folder / "models" / "base")
    settings = {
        "task_types": {TRANSCRIPT: {}},
        "models": {TRANSCRIPT: {"base": "models/base"}},
        "push": {"settle_seconds": 1},
        **params,
    }
    (folder / "params.yaml").write_text(yaml.safe_dump(settings))
    (folder / config.STATE).mkdir()
    known = {"server_url": "http://127.0.0.1:8000", "secret": "a secret of the tests",
    "label_studio_url": "http://ls.invalid",
             "label_studio_api_key": "token"}  # fmt: skip
    (folder / config.STATE / "stack.json").write_text(json.dumps({**known, **stack}))
    return config.load(folder)


def ingest(ledger: Ledger, settings: config.Config) -> None:
    """Read data/raw, as `lsloop ingest` does."""
    sample.ingest(ledger, settings.raw_dir / "metadata.jsonl", raw_dir=settings.raw_dir)


def rows(ledger: Ledger, statement: str, **values: Any) -> list[Any]:
    with ledger.transaction() as transaction:
        return transaction.rows(statement, **values)
