"""Translations and segments are retrained by the same way as transcripts, each measured by its own
measure."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import yaml

import tiny_models
from lsloop import config
from lsloop.commands import main
from lsloop.ledger import Ledger, versions

WRITES = {"translation", "segments"}


def export(folder: Path, rows: list[dict[str, Any]]) -> None:
    """A reviewed tree, as `lsloop export` leaves it; every third sample is in the test split."""
    lines = []
    for number, row in enumerate(rows):
        name, split = str(UUID(int=number)), "test" if number % 3 == 0 else "train"
        (folder / name).mkdir(parents=True)
        media = None
        if "media" in row:
            (folder / name / "audio.wav").write_bytes(Path(row["media"]).read_bytes())
            media = {"file": "audio.wav"}
        document = {"media": media, "training_row": row, "split": split, "language": ["vi", "en"][number % 2]}
        document |= {"reads": row, "answers": dict.fromkeys(WRITES & row.keys(), 1)}
        (folder / name / "metadata.json").write_text(json.dumps(document))
        for field in document["answers"]:
            (folder / name / f"{field}.json").write_text(json.dumps({"value": row[field], "remarks": {}}))
        lines.append({"sample_id": name, "split": split, "gold": False, "group": None, "layout": "tree/1"})
    (folder / "index.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def translations(folder: Path) -> tuple[list[dict[str, Any]], Path]:
    rows = tiny_models.sentences(30)
    return rows, tiny_models.marian(folder / "base", tiny_models.sentences(300))


def segments(folder: Path) -> tuple[list[dict[str, Any]], Path]:
    return tiny_models.conversations(folder / "clips", 18), tiny_models.frames(folder / "base")


@pytest.mark.parametrize(
    ("task_type", "made", "measure"),
    [("translation_review", translations, "sentence_chrf"), ("audio_segmentation", segments, "frame_f1")],
)
def test_each_kind_is_trained_and_measured_by_its_own_measure(
    tmp_path: Path,
    ledger: Ledger,
    database_url: str,
    task_type: str,
    made: Callable[[Path], tuple[list[dict[str, Any]], Path]],
    measure: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    rows, base = made(tmp_path)
    model = {
        "base": str(base),
        "minimum_test": 5,
        "training": {"max_steps": 3, "batch_size": 4, "save_steps": 0},
    }
    (tmp_path / "params.yaml").write_text(
        yaml.safe_dump({"task_types": {task_type: {}}, "models": {task_type: model}})
    )
    export(config.load(tmp_path).reviewed_dir / task_type, rows)
    assert main(["-C", str(tmp_path), "retrain", "--task-type", task_type, "--no-promote", "--json"]) == 0
    done = json.loads(capsys.readouterr().out)
    assert done["metrics"]["measure"] == measure
    assert 0 <= done["metrics"]["new"][measure] <= 1
    assert set(done["metrics"]["new"]["by"]) == {"vi", "en"}
    (version,) = versions.listed(ledger, task_type)
    assert (version.version, version.in_use) == (done["version"], False)
