"""How much sound is in a file: what can be decoded of it, whatever it is called and whatever its header says."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from lsloop import media

RATE = 16_000


def clip(path: Path, seconds: float = 3.0) -> Path:
    """A recording in the format that its suffix names."""
    wave = np.random.default_rng(0).normal(0, 0.1, int(RATE * seconds)).astype(np.float32)
    kinds = {".opus": ("OGG", "OPUS"), ".oga": ("OGG", "VORBIS"), ".aif": ("AIFF", None)}
    form, subtype = kinds.get(path.suffix, (None, None))
    soundfile.write(path, wave, RATE, format=form, subtype=subtype)
    return path


@pytest.mark.parametrize("suffix", ["wav", "flac", "mp3", "ogg", "oga", "opus", "aiff", "aif", "au", "caf", "w64"])
def test_every_sound_that_can_be_decoded_has_a_duration(tmp_path: Path, suffix: str) -> None:
    there = clip(tmp_path / f"clip.{suffix}")
    assert media.duration(there) == pytest.approx(3.0, abs=0.01)
    assert media.duration(there.rename(tmp_path / "without-suffix")) == pytest.approx(3.0, abs=0.01)
    assert media.duration((tmp_path / "without-suffix").rename(tmp_path / "clip.raw")) == pytest.approx(3.0, abs=0.01)


@pytest.mark.parametrize("suffix", ["flac", "mp3", "ogg", "opus", "wav", "aiff", "caf"])
@pytest.mark.parametrize("harm", ["cut", "hole"])
def test_a_duration_is_what_a_reader_gets_or_there_is_none(tmp_path: Path, suffix: str, harm: str) -> None:
    there = clip(tmp_path / f"clip.{suffix}")
    whole = there.read_bytes()
    half = len(whole) // 2
    there.write_bytes(whole[:half] if harm == "cut" else whole[:half] + bytes(1024) + whole[half + 1024 :])
    try:
        heard: float | None = len(soundfile.read(there)[0]) / RATE
    except soundfile.SoundFileError:
        heard = None
    assert media.duration(there) == heard


def test_what_is_no_sound_has_no_duration(tmp_path: Path) -> None:
    made = {"empty.wav": b"", "riff.wav": b"RIFF" + bytes(100), "text.mp3": b"hello", "page.png": b"\x89PNG", "a.txt": b"x"}
    for name, content in made.items():
        (tmp_path / name).write_bytes(content)
    assert [media.duration(tmp_path / name) for name in [*made, "missing.wav", "."]] == [None] * 7


def test_the_table_knows_what_a_file_is() -> None:
    assert [media.kind_of(name) for name in (".OPUS", ".aiff", ".png", ".mp4", "", ".xyz")] == [
        "audio", "audio", "image", "media", "media", "media",
    ]  # fmt: skip
