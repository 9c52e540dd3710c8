"""Retrain: the command against a bare Trainer script that does the same with the same data."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks import bare_training
from benchmarks.place import KIND, Place, fresh_ledger
from benchmarks.rows import Row, at_most, told
from benchmarks.timing import alternately
from lsloop.demo import language, speech
from lsloop.demo.chance import stream

CLIPS, TESTED, STEPS = 400, 100, 300


def speed(place: Place) -> Iterator[Row]:
    """Seconds from the start of the process to the decision, both ways."""
    with fresh_ledger(place) as url, tempfile.TemporaryDirectory(prefix="lsloop-bench-") as folder:
        yield from measured(Path(folder), url, place.sizes.rounds)


def measured(folder: Path, database_url: str, rounds: int) -> Iterator[Row]:
    """In an empty folder, on an empty ledger. Each round trains with another seed."""
    from lsloop.models.families import speech_ctc

    speech_ctc.fresh(folder / "data" / "base", sorted(set("".join(language.WORDS))))
    export(folder / "data" / "reviewed" / KIND)
    reports: dict[str, list[dict[str, Any]]] = {"bare": [], "retrain": []}
    taken = alternately(
        {
            "retrain": lambda turn: reports["retrain"].append(retrain(folder, database_url, turn)),
            "bare": lambda turn: reports["bare"].append(script(folder, turn)),
        },
        rounds,
    )
    for one, other in zip(reports["retrain"], reports["bare"], strict=True):
        if abs(one["metrics"]["new"]["wer"] - other["wer"]) > 0.1:
            raise RuntimeError(
                f"the two did not train the same: WER {one['metrics']['new']['wer']} and {other['wer']}"
            )
    what = f"`lsloop retrain`: {STEPS} steps on {CLIPS - TESTED} clips, two models measured on {TESTED}"
    yield told(what, min(taken["retrain"]), "s")
    yield told("a bare Trainer script that does the same", min(taken["bare"]), "s")
    yield at_most(f"{what} / a bare Trainer script", min(taken["retrain"]) / min(taken["bare"]), 1.05)


def retrain(folder: Path, database_url: str, seed: int) -> dict[str, Any]:
    """The command, in a process of its own; what it answers."""
    model = {
        "base": "data/base",
        "start": "base",
        "seed": seed,
        "training": dict(bare_training.SETTINGS, max_steps=STEPS),
    }
    params = {"task_types": {KIND: {}}, "models": {KIND: model}}
    (folder / "params.yaml").write_text(json.dumps(params), encoding="utf-8")
    command = [
        "-m",
        "lsloop",
        "-C",
        str(folder),
        "--quiet",
        "--json",
        "retrain",
        "--task-type",
        KIND,
        "--no-promote",
    ]
    found: dict[str, Any] = json.loads(_answer(command, DATABASE_URL=database_url))
    return found


def script(folder: Path, seed: int) -> dict[str, Any]:
    """The script, in a process of its own; what it prints."""
    data, out = folder / "data" / "reviewed" / KIND, folder / f"bare-{seed}"
    given = [str(folder / "data" / "base"), str(data), str(out), str(seed), str(STEPS)]
    found: dict[str, Any] = json.loads(_answer(["-m", bare_training.__name__, *given]).splitlines()[-1])
    return found


def _answer(command: list[str], **env: str) -> str:
    done = subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, env={**os.environ, **env}
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    return done.stdout


def export(folder: Path) -> None:
    """A reviewed tree of made-up speech, as an export leaves it."""
    lines = []
    for number, said in enumerate(language.utterances(CLIPS, 0)):
        name, split = f"{number:08}-0000-4000-8000-000000000000", "test" if number < TESTED else "train"
        (folder / name).mkdir(parents=True)
        voice = speech.say(said.text, speech.pitch(said.speaker, 0), stream(0, number))
        speech.write_wav(folder / name / "audio.wav", voice)
        row = {"sample_id": name, "media": "clip.wav", "transcript": said.text, "quality_flags": []}
        document = {"media": {"file": "audio.wav"}, "training_row": row, "split": split}
        (folder / name / "metadata.json").write_text(json.dumps(document), encoding="utf-8")
        lines.append(
            {"sample_id": name, "split": split, "gold": False, "group": said.speaker, "layout": "tree/1"}
        )
    (folder / "index.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
