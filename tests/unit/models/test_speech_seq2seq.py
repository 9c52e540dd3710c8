"""A Whisper learns what is said in its language, hears long recordings in pieces, and takes a prompt."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import tiny_models
from lsloop.errors import UsageError
from lsloop.models import Job, Row, Training, choosing
from lsloop.models.families import SHIPPED, speech_seq2seq

SETTINGS = {"max_steps": 40, "learning_rate": 2e-3, "save_steps": 0, "log_steps": 5, "language": "vi"}


@pytest.fixture(scope="module")
def trained(whisper: str, rows: list[Row], tmp_path_factory: pytest.TempPathFactory) -> tuple[str, list[Any]]:
    logged: list[Any] = []
    out = tmp_path_factory.mktemp("whisper-run")
    folder = speech_seq2seq.train(rows, [], Training(whisper, out, SETTINGS, log=logged.append))
    return str(folder), logged


def test_a_few_steps_lower_the_loss(trained: tuple[str, list[Any]], rows: list[Row]) -> None:
    folder, logged = trained
    assert tiny_models.losses(logged)[-1] < tiny_models.losses(logged)[0] / 2
    assert choosing.family(Job("transcript_correction"), str(folder)) is SHIPPED["speech_seq2seq"]


def test_it_answers_every_row_in_order_and_the_same_in_any_batch(
    trained: tuple[str, list[Any]], rows: list[Row], tmp_path: Path
) -> None:
    asked = [rows[0], {"media": str(tmp_path / "missing.wav")}, *rows[1:7]]
    alone = speech_seq2seq.load(trained[0], "cpu", {"batch_size": 1}).predict(asked)
    together = speech_seq2seq.load(trained[0], "cpu", {"batch_size": 3}).predict(asked)
    assert [guess.value for guess in together] == [guess.value for guess in alone]
    assert [index for index, guess in enumerate(together) if guess.problem] == [1]
    for one, other in zip(alone, together, strict=True):
        if other.problem is None:
            assert one.score == pytest.approx(other.score, abs=1e-3)
            assert 0 < other.score < 1  # type: ignore[operator]
            assert other.uncertainty == pytest.approx(1 - other.score)  # type: ignore[operator]
            assert set(one.value or {}) == {"transcript", "quality_flags", "confidence", "notes"}


def test_the_language_it_learnt_under_is_kept(trained: tuple[str, list[Any]], rows: list[Row]) -> None:
    predictor = speech_seq2seq.load(trained[0], "cpu")
    told = speech_seq2seq.load(trained[0], "cpu", {"language": "vi"})
    assert predictor.model.generation_config.language == "vi"
    assert predictor.predict(rows[:4]) == told.predict(rows[:4])
    assert predictor.predict([{**rows[0], "language": "en"}]) != predictor.predict(rows[:1])


def test_a_long_recording_is_heard_in_pieces(
    trained: tuple[str, list[Any]], rows: list[Row], tmp_path: Path
) -> None:
    sound, rate = soundfile.read(rows[0]["media"], dtype="float32")
    piece = np.pad(sound, (0, 2 * rate - len(sound))) if len(sound) < 2 * rate else sound[: 2 * rate]
    soundfile.write(tmp_path / "once.wav", piece, rate)
    soundfile.write(tmp_path / "twice.wav", np.concatenate([piece, piece]), rate)
    once, twice = speech_seq2seq.load(trained[0], "cpu").predict(
        [{"media": str(tmp_path / name)} for name in ("once.wav", "twice.wav")]
    )
    assert once.value
    assert twice.value
    assert twice.value["transcript"] == f"{once.value['transcript']} {once.value['transcript']}"


@pytest.mark.parametrize("beams", [1, 2])
def test_a_prompt_is_no_part_of_the_answer(
    trained: tuple[str, list[Any]], rows: list[Row], beams: int
) -> None:
    predictor = speech_seq2seq.load(trained[0], "cpu", {"num_beams": beams})
    prompts = ["qzw", None, "qzw " * 90]  # letters that nobody says
    asked = [{**row, "prompt": prompt} for row, prompt in zip(rows[:3], prompts, strict=True)]
    guesses = predictor.predict(asked)
    assert not any("qzw" in guess.value["transcript"] for guess in guesses if guess.value)
    assert {guess.problem for guess in guesses} <= {None, "The model heard no words."}
    assert all(0 < float(guess.score or 0) <= 1 for guess in guesses)
    assert guesses[1] == predictor.predict(rows[1:2])[0]


def test_a_multilingual_model_is_not_trained_without_a_language(
    whisper: str, rows: list[Row], out: Path
) -> None:
    with pytest.raises(UsageError, match="one language"):
        speech_seq2seq.train(rows, [], Training(whisper, out))
