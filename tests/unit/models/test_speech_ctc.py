"""A CTC model learns what is said, and answers the same after it was saved and loaded."""

from pathlib import Path
from typing import Any

import pytest

import tiny_models
from lsloop import models
from lsloop.models import Row, Training, speech_ctc

SETTINGS = {"max_steps": 30, "learning_rate": 4e-3, "save_steps": 0, "log_steps": 5, "warmup": 0.1}


@pytest.fixture(scope="module")
def trained(ctc: str, rows: list[Row], tmp_path_factory: pytest.TempPathFactory) -> tuple[str, list[Any]]:
    logged: list[Any] = []
    out = tmp_path_factory.mktemp("ctc-run")
    folder = speech_ctc.train(rows, [], Training(ctc, out, SETTINGS, log=logged.append))
    return str(folder), logged


def test_a_few_steps_lower_the_loss(trained: tuple[str, list[Any]], rows: list[Row]) -> None:
    folder, logged = trained
    assert logged[0] == {"step": 0, "rows": len(rows), "left_out": 0}
    assert tiny_models.losses(logged)[-1] < tiny_models.losses(logged)[0] / 2
    assert models.family("transcript_correction", folder) is speech_ctc


def test_it_answers_every_row_in_order_and_the_same_in_any_batch(
    trained: tuple[str, list[Any]], rows: list[Row]
) -> None:
    alone = speech_ctc.load(trained[0], "cpu", {"batch_size": 1}).predict(rows[:12])
    together = speech_ctc.load(trained[0], "cpu", {"batch_size": 5}).predict(rows[:12])
    assert [guess.value for guess in together] == [guess.value for guess in alone]
    assert len({guess.score for guess in together}) == len(together)
    for one, other in zip(alone, together, strict=True):
        assert one.score == pytest.approx(other.score, abs=1e-3)
        assert 0 <= other.uncertainty <= 1  # type: ignore[operator]
        assert set(one.value or {}) == {"transcript", "quality_flags", "confidence", "notes"}


def test_silence_is_an_answer(trained: tuple[str, list[Any]], tmp_path: Path) -> None:
    import numpy as np
    import soundfile

    soundfile.write(tmp_path / "silence.wav", np.zeros(8000), 16000)
    (guess,) = speech_ctc.load(trained[0]).predict([{"media": str(tmp_path / "silence.wav")}])
    assert guess.value is not None
    assert (guess.value["transcript"] == "") == (guess.value["quality_flags"] == ["no_speech"])
