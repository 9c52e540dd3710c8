"""Retraining on a real ledger, a real export and a real model that is tiny: what is better is used,
nothing else."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import soundfile

import learning
from exporting import TRANSCRIPT
from learning import Learner
from lsloop import loop
from lsloop.dataset import reviewed
from lsloop.ledger import problems, versions
from lsloop.models import fingerprint
from lsloop.steps import retraining
from world import wait_until


def test_what_is_better_is_used_and_can_be_rolled_back(
    learner: Learner, capsys: pytest.CaptureFixture[str]
) -> None:
    assert learner.retrain("--json") == 0
    done = json.loads(capsys.readouterr().out)
    assert (done["promoted"], done["trained"]) == (True, True)
    assert done["metrics"]["old"]["wer"] > 0.9 > 0.7 > done["metrics"]["new"]["wer"]
    (first,) = learner.versions()
    assert first.in_use
    assert (first.base, first.seed, first.base_version) == ("data/base", 0, None)
    assert (
        first.data_sha256
        == hashlib.sha256((learner.target / TRANSCRIPT / "index.jsonl").read_bytes()).hexdigest()
    )
    metrics = learner.config.project_dir / "metrics" / TRANSCRIPT / "metrics.json"
    assert json.loads(metrics.read_text()) == first.metrics == done["metrics"]

    assert learner.retrain("--json") == 0  # nothing changed
    assert json.loads(capsys.readouterr().out)["trained"] is False
    assert len(learner.versions()) == 1
    assert first.params["base_weights"] == fingerprint(learner.config.project_dir / "data" / "base")

    mislead(learner)  # from now on a model learns nonsense
    learner.write_params(start="base")
    assert learner.retrain("--json", "--reason", "a new season") == 0
    done = json.loads(capsys.readouterr().out)
    assert (done["promoted"], done["trained"]) == (False, True)
    assert done["why"].startswith("Not promoted: wer went from ")
    second = learner.versions()[0]
    assert (second.in_use, second.promoted_at, learner.versions()[1].in_use) == (False, None, True)
    assert [one["state"] for one in learner.trainings()] == ["done"] * 3

    assert learner.lsloop("models", "promote", second.version, "--reason", "to hear it", "--by", "minh") == 0
    assert learner.lsloop("models", "rollback", "--task-type", TRANSCRIPT, "--quiet") == 0
    assert learner.versions()[1].in_use
    assert "instead of" in capsys.readouterr().out
    assert learner.lsloop("models", "show", first.version) == 0
    shown = capsys.readouterr().out
    assert "wer" in shown
    assert "data/base" in shown
    assert "max_steps 60" in shown
    tamper(learner.config.project_dir / first.path)
    learner.write_params(seed=1)
    assert learner.retrain() == 2
    assert "was altered" in capsys.readouterr().err
    assert learner.lsloop("models", "promote", first.version) == 2
    assert learner.trainings()[0]["state"] == "failed"
    assert "was altered" in learner.trainings()[0]["error"]


def test_recordings_that_cannot_be_read_are_left_out_by_name_and_the_training_goes_on(
    learner: Learner, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the train split and in the test split; one whose folder is not whole, too."""
    data = reviewed.read(learner.target / TRANSCRIPT)
    bad = [*data.splits["train"][:3], *data.splits["test"][:3]]
    for number, sample_id in enumerate(bad):
        folder = learner.target / TRANSCRIPT / sample_id
        if number % 3 == 2:
            (folder / "metadata.json").write_text("{")
        else:
            wave, rate = soundfile.read(folder / "audio.wav")
            soundfile.write(folder / "audio.wav", wave, rate, format="FLAC")
            whole = (folder / "audio.wav").read_bytes()
            (folder / "audio.wav").write_bytes(whole[: len(whole) // 2] if number % 3 else b"")
    assert learner.retrain("--json") == 0
    done = json.loads(capsys.readouterr().out)
    assert done["trained"]
    assert done["metrics"]["left_out"] == len(bad)
    listed, total = problems.listed(learner.ledger, step="retrain")
    assert total == len(bad)
    assert {str(one["sample_id"]) for one in listed} == set(bad)
    names = {str(one["sample_id"]): one["external_id"] for one in listed}
    reasons = {str(one["sample_id"]): one["reason"] for one in listed}
    assert reasons[bad[0]].startswith(f"The recording of {names[bad[0]]} (audio.wav)")


def mislead(learner: Learner) -> None:
    """Each clip of the train split is accepted with what is said in another one."""
    known = learner.office.rows("SELECT CAST(sample_id AS text), external_id FROM samples")
    names = {row.sample_id: row.external_id for row in known}
    learnt = reviewed.read(learner.target / TRANSCRIPT).rows("train")
    texts = [row["transcript"] for row in learnt]
    for row, text in zip(learnt, [*texts[1:], texts[0]], strict=True):
        learner.change_mind(names[row["sample_id"]], text)
    learner.export()


def tamper(folder: Path) -> None:
    """One bit of the weights is another."""
    file = folder / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


def test_a_killed_training_goes_on_and_ends_as_if_it_had_not_been(
    learner: Learner, capsys: pytest.CaptureFixture[str]
) -> None:
    assert learner.retrain("--resume") == 2
    assert "no unfinished training" in capsys.readouterr().err
    killed = start(learner, "retrain", "--task-type", TRANSCRIPT)
    try:
        checkpoint = "trainings/*/*/checkpoints/checkpoint-20/lsloop-checkpoint.json"
        wait_until(lambda: list(learner.config.state_dir.glob(checkpoint)), 60)
    finally:
        killed.kill()
        killed.wait()
    wait_until(
        lambda: [one["state"] for one in learner.trainings()] == ["interrupted"]
    )  # PostgreSQL has to notice
    steps: list[float] = []
    log = retraining.Progress(
        log=lambda measured: steps.append(measured["step"]) if "loss" in measured else None
    )
    resumed = loop.retrain(
        learner.ledger, learner.settings, TRANSCRIPT, actor="linh", resume=True, progress=log
    )
    assert min(steps) > 20
    (row,) = learner.trainings()
    assert (row["state"], row["resumed"]) == ("done", 1)
    assert not list(learner.config.state_dir.glob("trainings/*/*"))

    with learner.ledger.transaction() as transaction:  # the same again, from nothing, without a kill
        transaction.run("UPDATE trainings SET model_version = NULL")
        transaction.run("DELETE FROM model_versions")
    assert learner.retrain("--json") == 0
    unbroken = json.loads(capsys.readouterr().out)
    assert unbroken["trained"]
    assert (unbroken["version"], unbroken["metrics"]) == (resumed.version, resumed.metrics)


@pytest.mark.parametrize("last", ["keep", "_write_metrics", "conclude", "_prune"])
def test_killed_after_any_of_its_last_steps_the_next_run_ends_it_and_no_other(
    learner: Learner, last: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    learner.write_params(training=learning.TRAINING | {"max_steps": 2})
    owners = {"keep": retraining.folders, "conclude": retraining.versions, "_prune": retraining._Run}
    owner = owners.get(last, retraining)
    step = getattr(owner, last)

    def killed(*given: Any, **options: Any) -> None:
        step(*given, **options)
        raise KeyboardInterrupt  # nothing that comes after it is done, no more than after a kill

    with monkeypatch.context() as patched:
        patched.setattr(owner, last, killed)
        assert learner.retrain("--force-promote") == 130
    assert learner.retrain("--force-promote") == 0
    (version,) = learner.versions()
    assert version.in_use
    assert {one["state"] for one in learner.trainings()} == {"done"}
    assert {path.name for path in (learner.config.project_dir / "models" / TRANSCRIPT).iterdir()} == {
        version.version
    }
    assert not list(learner.config.state_dir.glob("trainings/*/*"))
    assert len(versions.history(learner.ledger, version.version)) == 1


def start(learner: Learner, *words: str) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "lsloop", "-C", str(learner.config.project_dir), *words]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def test_while_one_trains_another_says_so_and_does_nothing(
    learner: Learner, capsys: pytest.CaptureFixture[str]
) -> None:
    with learner.ledger.in_turn(versions.turn(TRANSCRIPT)):
        assert learner.retrain() == 0
    assert "transcript_correction is being trained already." in capsys.readouterr().out
    assert learner.trainings() == []


def without_base(learner: Learner) -> str:
    learner.write_params(base=None)
    return "No base model is configured"


def with_a_base_that_is_not_there(learner: Learner) -> str:
    learner.write_params(base="data/elsewhere/model")
    return "There is no model at data/elsewhere/model"


def with_a_base_without_weights(learner: Learner) -> str:
    (learner.config.project_dir / "data" / "base" / "model.safetensors").unlink()
    return "not a whole model"


def with_nothing_exported(learner: Learner) -> str:
    (learner.target / TRANSCRIPT / "index.jsonl").unlink()
    return "Nothing was exported for transcript_correction"


def with_nothing_to_train_on(learner: Learner) -> str:
    index = learner.target / TRANSCRIPT / "index.jsonl"
    index.write_text(index.read_text().replace('"split": "train"', '"split": "test"'))
    return "The train split of transcript_correction is empty"


def with_a_step_far_too_large(learner: Learner) -> str:
    learner.write_params(training=learning.TRAINING | {"learning_rate": 1e30, "scheduler": "constant"})
    return "The loss is no longer a number"


def with_a_secret_in_its_words(learner: Learner) -> str:
    learner.write_params(base="./nowhere?token=s3cret")
    return "token=***"


@pytest.mark.parametrize(
    "broken",
    [without_base, with_a_base_that_is_not_there, with_a_base_without_weights, with_nothing_exported,
     with_nothing_to_train_on, with_a_step_far_too_large, with_a_secret_in_its_words],
)  # fmt: skip
def test_what_keeps_a_training_from_its_end_is_said_and_nothing_is_promoted(
    learner: Learner, broken: Callable[[Learner], str], capsys: pytest.CaptureFixture[str]
) -> None:
    problem = broken(learner)
    assert learner.retrain() in (1, 2)
    told = capsys.readouterr().err
    assert problem in told
    assert "→" in told
    (row,) = learner.trainings()
    assert (row["state"], problem in row["error"]) == ("failed", True)
    assert learner.versions() == []
    assert not list(learner.config.state_dir.glob("trainings/*/*"))


def test_what_people_said_is_not_shown_to_the_model_that_is_measured(
    learner: Learner, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lsloop.models.families import speech_ctc

    shown: set[str] = set()
    predict = speech_ctc.Predictor.predict

    def watched(self: Any, rows: Any) -> Any:
        shown.update(name for row in rows for name in row)
        return predict(self, rows)

    monkeypatch.setattr(speech_ctc.Predictor, "predict", watched)
    learner.write_params(training=learning.TRAINING | {"max_steps": 2})
    assert learner.retrain() == 0
    assert "media" in shown
    assert "transcript" not in shown


def test_too_small_a_test_split_promotes_nothing_and_force_does(
    learner: Learner, capsys: pytest.CaptureFixture[str]
) -> None:
    learner.write_params(minimum_test=99, training=learning.TRAINING | {"max_steps": 4})
    assert learner.retrain() == 0
    assert "minimum_test asks for 99" in capsys.readouterr().out
    assert not learner.versions()[0].in_use
    assert learner.retrain("--force-promote", "--reason", "a demonstration") == 0
    assert learner.versions()[0].in_use
    (told,) = versions.history(learner.ledger, learner.versions()[0].version)
    assert (told["actor"], told["reason"]) == ("linh", "a demonstration")


def test_gold_is_in_no_split(learner: Learner) -> None:
    before = reviewed.read(learner.target / TRANSCRIPT)
    with learner.ledger.transaction() as transaction:
        learnt, tested = before.splits["train"][0], before.splits["test"][0]
        for name in (learnt, tested):
            transaction.value("SELECT set_gold_standard(CAST(:id AS uuid), 1, 'lead')", id=name)
    learner.export()
    after = reviewed.read(learner.target / TRANSCRIPT)
    assert {learnt, tested}.isdisjoint(name for ids in after.splits.values() for name in ids)
    assert (set(before.splits["train"]) - {learnt}, set(before.splits["test"]) - {tested}) == (
        set(after.splits["train"]), set(after.splits["test"])
    )  # fmt: skip


def test_torchrun_trains_in_two_processes(learner: Learner, capsys: pytest.CaptureFixture[str]) -> None:
    learner.write_params(training=learning.TRAINING | {"max_steps": 10})
    assert learner.retrain("--json", "--no-promote", "--launcher", "torchrun", "--nproc-per-node", "2") == 0
    two = json.loads(capsys.readouterr().out)
    (version,) = learner.versions()
    assert (version.version, version.params["processes"]) == (two["version"], 2)
    assert version.metrics["new"] != version.metrics["old"]
