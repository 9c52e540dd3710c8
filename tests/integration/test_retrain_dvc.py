"""`dvc repro` retrains exactly when the export or the settings changed, and DVC shows what came of it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import learning
from exporting import TRANSCRIPT
from learning import Learner
from lsloop import dvc
from lsloop.commands import main

STAGE = f"retrain@{TRANSCRIPT}"


def run(folder: Path, *words: str) -> str:
    env = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "DVC_NO_ANALYTICS": "1",
    }
    done = subprocess.run(words, cwd=folder, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def commit(folder: Path) -> None:
    run(folder, "git", "add", "--all")
    run(folder, "git", "-c", "user.name=me", "-c", "user.email=me@example.com", "commit", "-qm", "a model")


@pytest.fixture
def learner(learner: Learner) -> Learner:
    folder = learner.config.project_dir
    assert main(["init", str(folder), "--quiet"]) == 0
    (folder / "dvc.yaml").write_text(dvc.stages([TRANSCRIPT]))
    learner.write_params(training=learning.TRAINING | {"max_steps": 20})
    return learner


def test_repro_trains_once_and_dvc_shows_the_metrics_the_curves_and_the_difference(learner: Learner) -> None:
    folder = learner.config.project_dir
    assert f"Running stage '{STAGE}'" in dvc.repro(folder, STAGE)
    (first,) = learner.versions()
    commit(folder)
    assert f"Stage '{STAGE}' didn't change, skipping" in dvc.repro(folder, STAGE)
    assert len(learner.trainings()) == 1

    shown: dict[str, Any] = json.loads(run(folder, "dvc", "metrics", "show", "--json"))
    (metrics,) = shown[""]["data"].values()
    assert metrics["data"]["new"]["cer"] == first.metrics["new"]["cer"]
    curve = (folder / "metrics" / TRANSCRIPT / "plots" / "loss.tsv").read_text().splitlines()
    assert curve[0].split("\t") == ["step", "loss"]
    assert [line.split("\t")[0] for line in curve[1:]] == ["10", "20"]
    assert "loss.tsv" in json.dumps(json.loads(run(folder, "dvc", "plots", "show", "--json")))

    learner.write_params(training=learning.TRAINING | {"max_steps": 21})
    assert learner.retrain() == 0
    second = learner.versions()[0]
    difference = json.loads(run(folder, "dvc", "metrics", "diff", "--json"))
    ((_, changes),) = difference.items()
    assert changes["new.cer"]["new"] == second.metrics["new"]["cer"]
    assert changes["new.cer"]["old"] == first.metrics["new"]["cer"]
    assert {path.name for path in (folder / "models" / TRANSCRIPT).iterdir()} == {
        first.version,
        second.version,
    }


def test_a_project_without_a_model_has_no_stage_that_trains(tmp_path: Path) -> None:
    assert main(["init", str(tmp_path / "speech"), "--quiet"]) == 0
    assert "retrain" not in run(tmp_path / "speech", "dvc", "stage", "list")
