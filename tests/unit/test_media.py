"""How much sound is in a file: what can be decoded of it, whatever it is called and whatever its header
says."""

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from lsloop import media
from lsloop.media import sound
from lsloop.media.measuring import measure
from media_files import picture

RATE = 16_000


def clip(path: Path, seconds: float = 3.0) -> Path:
    """A recording in the format that its suffix names."""
    wave = np.random.default_rng(0).normal(0, 0.1, int(RATE * seconds)).astype(np.float32)
    kinds = {".opus": ("OGG", "OPUS"), ".oga": ("OGG", "VORBIS"), ".aif": ("AIFF", None)}
    form, subtype = kinds.get(path.suffix, (None, None))
    soundfile.write(path, wave, RATE, format=form, subtype=subtype)
    return path


@pytest.mark.parametrize(
    "suffix", ["wav", "flac", "mp3", "ogg", "oga", "opus", "aiff", "aif", "au", "caf", "w64"]
)
def test_every_sound_that_can_be_decoded_has_a_duration(tmp_path: Path, suffix: str) -> None:
    there = clip(tmp_path / f"clip.{suffix}")
    assert sound.duration(there) == pytest.approx(3.0, abs=0.01)
    assert sound.duration(there.rename(tmp_path / "without-suffix")) == pytest.approx(3.0, abs=0.01)
    assert sound.duration((tmp_path / "without-suffix").rename(tmp_path / "clip.raw")) == pytest.approx(
        3.0, abs=0.01
    )


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
    assert sound.duration(there) == heard


def test_what_is_no_sound_has_no_duration(tmp_path: Path) -> None:
    made = {
        "empty.wav": b"",
        "riff.wav": b"RIFF" + bytes(100),
        "text.mp3": b"hello",
        "page.png": b"\x89PNG",
        "a.txt": b"x",
    }
    for name, content in made.items():
        (tmp_path / name).write_bytes(content)
    assert [sound.duration(tmp_path / name) for name in [*made, "missing.wav", "."]] == [None] * 7


def test_the_table_knows_what_a_file_is() -> None:
    assert [media.kind_of(name) for name in (".OPUS", ".aiff", ".png", ".mp4", "", ".xyz")] == [
        "audio", "audio", "image", "media", "media", "media",
    ]  # fmt: skip


def made(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def film(path: Path, seconds: float = 1.0) -> Path:
    import cv2

    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 10.0, (64, 48))
    for _ in range(int(10 * seconds)):
        writer.write(np.zeros((48, 64, 3), np.uint8))
    writer.release()
    return path


def paper(pages: int) -> bytes:
    from PIL import Image

    with io.BytesIO() as there:
        sheets = [Image.new("RGB", (20, 30)) for _ in range(pages)]
        sheets[0].save(there, "PDF", save_all=True, append_images=sheets[1:])
        return there.getvalue()


def test_pictures_films_and_papers_are_measured_as_they_are_shown(tmp_path: Path) -> None:
    for orientation, size in ((1, (40, 30)), (6, (30, 40))):
        exif = Image.Exif()
        exif[0x0112] = orientation
        there = made(tmp_path / "a.jpg", picture(size=(40, 30), format="JPEG", exif=exif))
        found = measure(there)
        assert ((found.width, found.height), found.problem) == (size, None)
    found = measure(film(tmp_path / "a.mp4"))
    assert (found.width, found.height, found.frame_rate, found.frames, found.duration) == (
        64,
        48,
        10.0,
        10,
        1.0,
    )
    found = measure(made(tmp_path / "a.pdf", paper(3)))
    assert (found.pages, found.media_type, found.problem) == (3, "application/pdf", None)
    found = measure(clip(tmp_path / "a.flac", 0.5))
    assert (found.duration, found.media_type, found.problem) == (0.5, "audio/flac", None)


def test_a_suffix_that_lies_counts_for_nothing(tmp_path: Path) -> None:
    found = measure(made(tmp_path / "a.wav", picture()))
    assert (found.media_type, found.width, found.problem) == ("image/png", 4, None)
    found = measure(film(tmp_path / "a.mp4").rename(tmp_path / "a.jpg"))
    assert (found.media_type, found.frames) == ("video/mp4", 10)
    found = measure(made(tmp_path / "a", paper(1)), "b.mp3")
    assert (found.media_type, found.pages) == ("application/pdf", 1)
    found = measure(clip(tmp_path / "a.ogg", 0.5).rename(tmp_path / "a.bin"))
    assert (found.media_type, found.duration) == ("audio/ogg", pytest.approx(0.5, abs=0.01))


def test_what_nobody_can_see_or_hear_says_why(tmp_path: Path) -> None:
    whole = picture(size=(300, 300), format="JPEG", quality=95)
    bad = {
        "cut.jpg": whole[: len(whole) // 2], "junk.png": b"junk", "cut.png": picture(size=(99, 99))[:60],
        "a.wav": b"junk",
        "a.mp4": b"\0\0\0\x20ftypisom" + bytes(100), "a.pdf": b"%PDF-1.4 junk", "b.mp3": b"junk",
        "c.webp": b"RIFF....WEBP",
    }  # fmt: skip
    found = {name: measure(made(tmp_path / name, content)).problem for name, content in bad.items()}
    assert all(found.values()), found
    fine = {
        "a.txt": b"text", "a.xyz": b"anything", "a.m4a": b"\0\0\0\x20ftypM4A " + bytes(9),
        "late.jpg": whole + bytes(9999),
    }  # fmt: skip
    assert {
        name: measure(made(tmp_path / name, content)).problem for name, content in fine.items()
    } == dict.fromkeys(fine)
