"""Recordings as models hear them: any rate, any number of channels, and one sentence for what cannot be
heard."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from lsloop.models import Row, _audio
from lsloop.models.families import speech_ctc


def tone(rate: int, hertz: float = 440, seconds: float = 1) -> NDArray[np.float32]:
    return np.sin(2 * np.pi * hertz * np.arange(int(rate * seconds)) / rate).astype(np.float32)


@pytest.mark.parametrize(("source", "target"), [(8000, 16000), (44100, 16000), (48000, 16000), (16000, 8000)])
def test_a_tone_stays_the_same_tone_at_another_rate(source: int, target: int) -> None:
    heard = _audio.resample(tone(source), source, target)
    assert len(heard) == target
    assert np.abs(heard - tone(target))[100:-100].max() < 0.001


def test_what_the_lower_rate_cannot_hold_is_silent() -> None:
    assert np.abs(_audio.resample(tone(44100, hertz=12_000), 44100, 16000))[100:-100].max() < 0.02


def test_stereo_and_8_khz_are_heard_and_the_unreadable_is_a_problem_of_its_row(
    tmp_path: Path, ctc: str, rows: list[Row]
) -> None:
    mono, rate = soundfile.read(rows[0]["media"], dtype="float32")
    files = {
        "stereo.wav": (np.stack([mono, mono], axis=1), rate),
        "telephone.wav": (_audio.resample(mono, rate, 8000), 8000),
        "flac.flac": (mono, rate),
        "click.wav": (mono[:40], rate),
        "zero.wav": (mono[:0], rate),
        "infinite.wav": (np.full(4000, np.inf, np.float32), rate),
    }
    for name, (sound, its_rate) in files.items():
        soundfile.write(
            tmp_path / name, sound, its_rate, subtype="PCM_16" if name == "flac.flac" else "FLOAT"
        )
    (tmp_path / "corrupt.wav").write_bytes(b"RIFF" + bytes(100))
    (tmp_path / "cut.flac").write_bytes((tmp_path / "flac.flac").read_bytes()[:60])
    names = [*files, "corrupt.wav", "cut.flac", "missing.wav"]
    asked: list[Row] = [{"media": str(tmp_path / name)} for name in names] + [{"media": None}, rows[0]]
    guesses = speech_ctc.load(ctc, "cpu", {"batch_size": 3}).predict(asked)
    said = {name: guess.problem for name, guess in zip([*names, "none", "good"], guesses, strict=True)}
    heard = {name for name, problem in said.items() if problem is None}
    assert heard == {"stereo.wav", "telephone.wav", "flac.flac", "click.wav", "good"}
    assert "zero length" in str(said["zero.wav"])
    assert "missing" in str(said["missing.wav"])
    assert "corrupt.wav cannot be read" in str(said["corrupt.wav"])
    assert "not numbers" in str(said["infinite.wav"])
    assert said["none"] == "The sample has no recording."
    assert guesses[0].value == guesses[-1].value  # two equal channels sound like one
