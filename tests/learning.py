"""A project whose samples can be learnt: recordings of the demo's language, accepted transcripts, a tiny
base model."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml

import tiny_models
from annotating import Office
from exporting import TRANSCRIPT, Project
from lsloop import config
from lsloop.commands import main
from lsloop.config import Config
from lsloop.ledger import Ledger, versions
from lsloop.ledger.versions import Version

STEPS = 60  # enough for the tiny model to get about six words in ten right
TRAINING = {
    "max_steps": STEPS,
    "learning_rate": 0.004,
    "scheduler": "cosine",
    "batch_size": 8,
    "save_steps": 20,
}


class Learner(Project):
    """A project with `data/base` as base model."""

    @property
    def settings(self) -> Config:
        """As params.yaml is now."""
        return config.load(self.config.project_dir)

    def lsloop(self, *words: str) -> int:
        """Run a command line here."""
        return main(["-C", str(self.config.project_dir), *words])

    def retrain(self, *words: str) -> int:
        return self.lsloop("retrain", "--task-type", TRANSCRIPT, "--by", "linh", *words)

    def versions(self) -> list[Version]:
        return versions.listed(self.ledger, TRANSCRIPT)

    def trainings(self) -> list[dict[str, Any]]:
        return versions.trainings(self.ledger, TRANSCRIPT)

    def write_params(self, milestones: Sequence[int] = (), **changes: Any) -> None:
        """params.yaml, its model's settings changed so."""
        model = {"base": "data/base", "minimum_test": 10, "training": TRAINING}
        params = {
            "task_types": {TRANSCRIPT: {}},
            "export": {"validation": 0.0, "test": 0.3},
            "models": {TRANSCRIPT: {**model, **changes}},
            "retrain": {"milestones": list(milestones), "every": 0},
        }
        path = self.config.project_dir / "params.yaml"
        path.write_text(yaml.safe_dump(params), encoding="utf-8")


def make(
    folder: Path,
    ledger: Ledger,
    clips: list[dict[str, Any]],
    base: str,
    told: Callable[[str], str] = lambda text: text,
) -> Learner:
    """A project of these clips, each accepted as `told` says of what is in it, and exported."""
    settings = config.load(folder)
    made = Learner(settings, ledger, Office(ledger, settings))
    made.write_params()
    made.config = config.load(folder)  # type: ignore[misc]
    made.office.config = made.config
    shutil.copytree(base, folder / "data" / "base")
    raw = made.config.raw_dir
    raw.mkdir(parents=True, exist_ok=True)
    for clip in clips:
        shutil.copyfile(clip["media"], raw / Path(clip["media"]).name)
    rows = [
        {"external_id": clip["sample_id"], "media": Path(clip["media"]).name, "transcript": "as crawled"}
        for clip in clips
    ]
    made.ingest(rows)
    made.accept({clip["sample_id"]: told(clip["transcript"]) for clip in clips})
    made.export()
    return made


def clips(folder: Path) -> list[dict[str, Any]]:
    return tiny_models.recordings(folder, 100)


def base(folder: Path) -> str:
    """An untrained wav2vec2-bert with a CTC head."""
    from lsloop.models.families import speech_ctc

    return str(speech_ctc.fresh(folder / "model", tiny_models.ALPHABET))
