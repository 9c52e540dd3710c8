"""A training run: what ends it, what survives a kill, and that nothing but the data decides what is
learnt."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

import tiny_models
from lsloop import models
from lsloop.errors import LsloopError, UsageError
from lsloop.models import Row, Training, checkpoint
from lsloop.models.families import speech_ctc, speech_seq2seq

SETTINGS: dict[str, Any] = {
    "max_steps": 12, "learning_rate": 3e-3, "batch_size": 4, "save_steps": 4, "log_steps": 1,
    "scheduler": "cosine",
}  # fmt: skip


def settings(**more: Any) -> dict[str, Any]:
    return {**SETTINGS, **more}


def killed(rows: list[Row], training: Training, validation: Sequence[Row] = ()) -> int:
    """Train in a process of its own; the signal that ended it."""
    child = multiprocessing.get_context("fork").Process(
        target=speech_ctc.train, args=(rows, validation, training)
    )
    child.start()
    child.join(60)
    assert child.exitcode is not None
    return -child.exitcode


def die(*_: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture(scope="module")
def unbroken(ctc: str, rows: list[Row], tmp_path_factory: pytest.TempPathFactory) -> tuple[str, list[float]]:
    """The fingerprint and the losses of a run that nothing disturbed."""
    logged: list[Any] = []
    training = Training(ctc, tmp_path_factory.mktemp("unbroken"), SETTINGS, log=logged.append)
    return models.fingerprint(speech_ctc.train(rows, [], training)), tiny_models.losses(logged)


@pytest.fixture(scope="module")
def certain(rows: list[Row], tmp_path_factory: pytest.TempPathFactory) -> tuple[str, list[float]]:
    """A model without dropout, which falls otherwise in batches of another size, and its losses."""
    folder = tmp_path_factory.mktemp("certain")
    base = speech_ctc.fresh(folder / "base", tiny_models.ALPHABET)
    config = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps({**config, "conformer_conv_dropout": 0.0}))
    (base / checkpoint.SEAL).unlink()
    logged: list[Any] = []
    speech_ctc.train(rows, [], Training(str(base), folder / "run", SETTINGS, log=logged.append))
    return str(base), tiny_models.losses(logged)


def test_the_same_seed_gives_the_same_weights_and_another_one_others(
    ctc: str, rows: list[Row], out: Path, unbroken: tuple[str, list[float]]
) -> None:
    again = speech_ctc.train(rows, [], Training(ctc, out, SETTINGS))
    assert models.fingerprint(again) == unbroken[0]
    other = speech_ctc.train(rows, [], Training(ctc, out, SETTINGS, seed=1))
    assert models.fingerprint(other) != unbroken[0]
    assert sorted(path.name for path in out.iterdir()) == ["model", "run.json"]


def test_a_run_killed_between_checkpoints_goes_on_to_the_same_weights(
    ctc: str, rows: list[Row], out: Path, unbroken: tuple[str, list[float]]
) -> None:
    def kill_at_seven(logged: Mapping[str, float]) -> None:
        if logged["step"] == 7:
            die()

    assert killed(rows, Training(ctc, out, SETTINGS, log=kill_at_seven)) == signal.SIGKILL
    assert not (out / "model").exists()
    logged: list[Any] = []
    model = speech_ctc.train(rows, [], Training(ctc, out, SETTINGS, resume=True, log=logged.append))
    assert models.fingerprint(model) == unbroken[0]
    assert tiny_models.losses(logged) == unbroken[1][4:]  # it went on from the checkpoint of step 4
    assert (
        speech_ctc.train(rows, [], Training(ctc, out, SETTINGS, resume=True)) == model
    )  # nothing is left to do


@pytest.mark.parametrize("half_written", ["_save_optimizer_and_scheduler", "_save_rng_state"])
def test_a_checkpoint_that_a_kill_cut_short_is_not_gone_on_from(
    ctc: str, rows: list[Row], out: Path, unbroken: tuple[str, list[float]], monkeypatch: pytest.MonkeyPatch,
    half_written: str,
) -> None:  # fmt: skip
    def kill_at_eight(trainer: Any, folder: str) -> None:
        if folder.endswith("-8"):
            die()
        whole(trainer, folder)

    whole = getattr(transformers.Trainer, half_written)
    with monkeypatch.context() as patch:
        patch.setattr(transformers.Trainer, half_written, kill_at_eight)
        assert killed(rows, Training(ctc, out, SETTINGS)) == signal.SIGKILL
    assert (out / "checkpoints" / "checkpoint-8" / "model.safetensors").exists()
    logged: list[Any] = []
    model = speech_ctc.train(rows, [], Training(ctc, out, SETTINGS, resume=True, log=logged.append))
    assert models.fingerprint(model) == unbroken[0]
    assert tiny_models.losses(logged) == unbroken[1][4:]


def test_another_run_is_not_gone_on_with(ctc: str, rows: list[Row], out: Path) -> None:
    speech_ctc.train(rows, [], Training(ctc, out, settings(max_steps=1)))
    for training in (
        Training(ctc, out, settings(max_steps=2), resume=True),
        Training(ctc, out, settings(max_steps=1), resume=True, seed=1),
    ):
        with pytest.raises(UsageError, match="other settings"):
            speech_ctc.train(rows, [], training)
    with pytest.raises(UsageError, match="other rows"):
        speech_ctc.train(rows[1:], [], Training(ctc, out, settings(max_steps=1), resume=True))


def test_looking_at_the_validation_loss_changes_no_weights(
    ctc: str, rows: list[Row], out: Path, unbroken: tuple[str, list[float]]
) -> None:
    logged: list[Any] = []
    speech_ctc.train(rows, rows[:8], Training(ctc, out, settings(early_stopping=9), log=logged.append))
    assert tiny_models.losses(logged) == unbroken[1]
    assert len([entry for entry in logged if "eval_loss" in entry]) == 3


def test_it_stops_when_the_validation_loss_no_longer_falls_and_keeps_the_best_even_if_killed(
    ctc: str, rows: list[Row], out: Path, tmp_path: Path
) -> None:
    logged: list[Any] = []
    wrong = [
        {**row, "transcript": "q" * 9} for row in rows[:4]
    ]  # the more it learns, the worse it does on these
    told = settings(early_stopping=3, max_steps=40, save_steps=2)
    model = speech_ctc.train(rows, wrong, Training(ctc, out, told, log=logged.append))
    watched = [(entry["eval_loss"], entry["step"]) for entry in logged if "eval_loss" in entry]
    best, last = min(watched)[1], watched[-1][1]
    assert last == best + 6 < 40

    def kill_late(metrics: Mapping[str, float]) -> None:
        if metrics["step"] == best + 5:  # after two looks that were no better
            die()

    again = tmp_path / "again"
    assert killed(rows, Training(ctc, again, told, log=kill_late), wrong) == signal.SIGKILL
    logged.clear()
    resumed = speech_ctc.train(rows, wrong, Training(ctc, again, told, resume=True, log=logged.append))
    assert max(entry["step"] for entry in logged) == last
    assert models.fingerprint(resumed) == models.fingerprint(model)


@pytest.mark.parametrize(
    "bad", [[], [{"media": "gone.wav", "transcript": "a"}], [{"media": "x", "transcript": ""}]]
)
def test_an_empty_train_split_ends_the_run(ctc: str, out: Path, bad: list[Row]) -> None:
    with pytest.raises(LsloopError, match="train split is empty"):
        speech_ctc.train(bad, [], Training(ctc, out, SETTINGS))
    assert not (out / "model").exists()


def test_early_stopping_needs_a_validation_split(ctc: str, rows: list[Row], out: Path) -> None:
    with pytest.raises(LsloopError, match="validation split is empty"):
        speech_ctc.train(rows, [], Training(ctc, out, settings(early_stopping=1)))


def test_a_loss_that_is_no_number_ends_the_run_and_leaves_no_model(
    ctc: str, rows: list[Row], out: Path
) -> None:
    speech_ctc.train(rows, [], Training(ctc, out, settings(max_steps=1)))  # an older one is not left either
    for steps, at in ((9, 2), (1, 2)):  # noticed by the next loss, or at the end by the weights
        with pytest.raises(LsloopError, match=f"no longer a number, at step {at}"):
            speech_ctc.train(rows, [], Training(ctc, out, settings(learning_rate=1e38, max_steps=steps)))
        assert not (out / "model").exists()


def test_a_recording_that_is_damaged_within_ends_the_run_by_its_name(
    ctc: str, rows: list[Row], out: Path, tmp_path: Path
) -> None:
    import soundfile

    sound, rate = soundfile.read(rows[0]["media"])
    soundfile.write(tmp_path / "damaged.flac", sound, rate)
    content = (tmp_path / "damaged.flac").read_bytes()
    (tmp_path / "damaged.flac").write_bytes(content[: len(content) // 2])  # its header is whole
    with pytest.raises(LsloopError, match=r"damaged\.flac cannot be read"):
        speech_ctc.train(
            [{**rows[0], "media": str(tmp_path / "damaged.flac")}], [], Training(ctc, out, SETTINGS)
        )


@pytest.fixture
def small_memory(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Memory for a batch of so many and no more, as CUDA says it."""
    forward = transformers.Wav2Vec2BertForCTC.forward
    seen: list[int] = []

    def room_for(most: int) -> list[int]:
        def limited(model: Any, input_features: Any = None, **rest: Any) -> Any:
            seen.append(len(input_features))
            if len(input_features) > most:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
            return forward(model, input_features=input_features, **rest)

        monkeypatch.setattr(transformers.Wav2Vec2BertForCTC, "forward", limited)
        return seen

    return room_for


def test_training_with_less_memory_learns_the_same_in_smaller_parts(
    rows: list[Row], out: Path, certain: tuple[str, list[float]], small_memory: Any
) -> None:
    logged: list[Any] = []
    sizes = small_memory(2)
    speech_ctc.train(rows, [], Training(certain[0], out, SETTINGS, log=logged.append))
    assert set(sizes) == {4, 2}
    assert tiny_models.losses(logged) == pytest.approx(certain[1], rel=1e-3)


def test_no_memory_for_a_single_row_ends_the_run(
    ctc: str, rows: list[Row], out: Path, small_memory: Any
) -> None:
    small_memory(0)
    with pytest.raises(LsloopError, match="more memory than there is"):
        speech_ctc.train(rows, [], Training(ctc, out, SETTINGS))
    assert not (out / "model").exists()


def test_predicting_with_less_memory_answers_the_same_in_smaller_batches(
    ctc: str, rows: list[Row], small_memory: Any
) -> None:
    answers = speech_ctc.load(ctc, "cpu").predict(rows[:20])
    sizes = small_memory(3)
    predictor = speech_ctc.load(ctc, "cpu", {"batch_size": 16})
    assert [guess.value for guess in predictor.predict(rows[:20])] == [guess.value for guess in answers]
    assert sizes[:4] == [16, 8, 4, 2]
    assert set(sizes[4:]) == {2}  # it does not try the large ones again
    small_memory(0)
    guesses = predictor.predict(rows[:2])
    assert [guess.problem for guess in guesses] == ["It needs more memory than there is."] * 2


def test_lora_learns_in_small_matrices_and_is_a_whole_model_in_the_end(
    whisper: str, rows: list[Row], out: Path
) -> None:
    lora = {"r": 4, "alpha": 8, "target_modules": ["q_proj", "v_proj", "fc1"]}
    told = settings(lora=lora, learning_rate=1e-2, language="vi", gradient_checkpointing=True, max_steps=8)
    logged: list[Any] = []
    model = speech_seq2seq.train(rows, [], Training(whisper, out, told, log=logged.append))
    assert tiny_models.losses(logged)[-1] < tiny_models.losses(logged)[0] - 0.3
    assert not list(model.glob("adapter*"))
    checkpoint.check(str(model))
    base = transformers.AutoModelForSpeechSeq2Seq.from_pretrained(whisper).state_dict()
    learnt = transformers.AutoModelForSpeechSeq2Seq.from_pretrained(model).state_dict()
    changed = {name.split(".")[-2] for name in base if not torch.equal(base[name], learnt[name])}
    assert changed == {"q_proj", "v_proj", "fc1"}
    with pytest.raises(UsageError, match="lora settings"):
        speech_seq2seq.train(rows, [], Training(whisper, out, {**told, "lora": {"rank": 4}}))


def test_the_curves_of_a_run_are_drawn_in_a_dvc_project_only(
    ctc: str, rows: list[Row], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    speech_ctc.train(rows, [], Training(ctc, tmp_path / "run", settings(max_steps=2)))
    assert not (tmp_path / "run" / "live").exists()
    assert not (tmp_path / ".dvc").exists()


def test_two_processes_learn_what_one_learns(
    rows: list[Row], out: Path, certain: tuple[str, list[float]], tmp_path: Path
) -> None:
    told = tmp_path / "told.json"
    told.write_text(json.dumps({"base": certain[0], "out": str(out), "settings": SETTINGS, "rows": rows}))
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [*launcher, str(Path(tiny_models.__file__).with_name("one_of_several.py")), str(told)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    logged = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert [entry["step"] for entry in logged].count(
        12
    ) == 2  # only one of them tells: the last loss, and the end
    assert tiny_models.losses(logged) == pytest.approx(certain[1], rel=1e-3)
    checkpoint.check(str(out / "model"))
    assert sorted(path.name for path in out.iterdir()) == ["model", "run.json"]
