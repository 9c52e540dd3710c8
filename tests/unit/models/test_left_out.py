"""Rows that nothing can be learnt from: each is left out with its reason, and the training goes on."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import tiny_models
from lsloop.errors import LsloopError
from lsloop.models import Row, Training
from lsloop.models.families import speech_ctc, speech_seq2seq, translation
from lsloop.models.training import process

ONE = {"max_steps": 1, "batch_size": 4, "save_steps": 0}


def damaged(folder: Path) -> dict[str, Path]:
    """Recordings that say at their beginning that all is well, and others that are none."""
    folder.mkdir(parents=True, exist_ok=True)
    wave = np.random.default_rng(0).normal(0, 0.1, 16_000).astype(np.float32)
    made: dict[str, Path] = {}
    for suffix in ("flac", "mp3", "caf"):
        made[f"cut {suffix}"] = there = folder / f"cut.{suffix}"
        soundfile.write(there, np.tile(wave, 4), 16_000)
        whole = there.read_bytes()
        there.write_bytes(
            whole[: len(whole) // 2] if suffix != "mp3" else whole[:5000] + bytes(2048) + whole[7048:]
        )
    plain = {
        "empty": b"",
        "text": b"hello",
        "riff": b"RIFF" + bytes(100),
        "json": b"{}",
        "zip": b"PK\x03\x04" + bytes(50),
    }
    for name, content in plain.items():
        made[name] = folder / f"{name}.wav"
        made[name].write_bytes(content)
    soundfile.write(folder / "nan.wav", np.full(4000, np.nan, np.float32), 16_000, subtype="FLOAT")
    soundfile.write(folder / "inf.wav", np.full(4000, np.inf, np.float32), 16_000, subtype="FLOAT")
    soundfile.write(folder / "zero.wav", wave[:0], 16_000)
    (folder / "folder.wav").mkdir()
    return made | {name: folder / f"{name}.wav" for name in ("nan", "inf", "zero", "folder", "missing")}


def left_out(out: Path) -> dict[str, str]:
    return {one["name"]: one["reason"] for one in process.left_out(out)}


@pytest.mark.parametrize("family", ["ctc", "whisper"])
def test_recordings_and_transcripts_that_cannot_be_learnt_from_are_named(
    family: str, rows: list[Row], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    sounds = damaged(tmp_path / "bad")
    bad: dict[str, Any] = {name: {"media": str(path), "transcript": "xin"} for name, path in sounds.items()}
    texts = {
        "none": None, "number": 7, "list": ["a"], "object": {}, "blank": " ", "long": "a " * 50_000,
        "bool": True,
        "nan": math.nan,
    }  # fmt: skip
    bad |= {f"text {name}": {"media": rows[0]["media"], "transcript": text} for name, text in texts.items()}
    bad |= {"no media": {"transcript": "a"}, "no transcript": {"media": rows[0]["media"]}}
    bad |= {"nothing": {}, "null": {"media": None}}
    if family == "ctc":
        bad["text long"]["transcript"] = "a" * 50_000
    given = [*rows, *({"sample_id": f"id {name}", "external_id": name, **row} for name, row in bad.items())]
    model, module = request.getfixturevalue(family), speech_ctc if family == "ctc" else speech_seq2seq
    out, logged = tmp_path / "run", list[Any]()
    settings = ONE if family == "ctc" else {**ONE, "language": "vi"}
    module.train(given, given[:20], Training(model, out, settings, log=logged.append))
    assert set(left_out(out)) == set(bad)
    assert logged[0]["left_out"] == len(bad) > 20
    assert left_out(out)["cut flac"] == (
        "The recording of cut flac (cut.flac) cannot be read: it is no sound file or a damaged one."
    )
    assert "missing" in left_out(out)["missing"]
    asked = [{**row, "transcript": None} for row in given if "media" in row]
    guesses = module.load(model, "cpu").predict(asked)
    unread = {row.get("external_id") for row, guess in zip(asked, guesses, strict=True) if guess.unreadable}
    assert unread >= {*sounds, "null"}
    assert not unread & {f"text {name}" for name in texts}


def test_sentences_that_cannot_be_learnt_from_are_named(marian: str, tmp_path: Path) -> None:
    good = {"transcript": "xin chào", "translation": "hello"}
    wrong: list[Any] = [None, 7, "", " ", ["x"], {}, True, "x " * 5000, 1e300, b"x"]
    bad = [{**good, name: value} for name in good for value in wrong] + [{}, {"transcript": "a"}]
    named = [{"sample_id": str(i), "external_id": f"bad {i}", **row} for i, row in enumerate(bad)]
    given = [*tiny_models.sentences(40), *named]
    translation.train(given, [], Training(marian, tmp_path / "run", ONE))
    assert len(left_out(tmp_path / "run")) == len(bad)


def test_a_training_ends_when_most_of_the_recordings_cannot_be_read(
    ctc: str, rows: list[Row], out: Path
) -> None:
    gone = [{**row, "media": f"/nowhere/{i}.wav"} for i, row in enumerate(rows)]
    with pytest.raises(
        LsloopError, match=r"Of 42 samples, 40 cannot be read. The first: The recording 0.wav is missing"
    ):
        speech_ctc.train([*gone, *rows[:2]], [], Training(ctc, out, ONE))
    assert len(json.loads((out / process.LEFT_OUT).read_text())) == 40
