"""Models small enough to learn in a test: made from a config, with random weights, without a network."""

from pathlib import Path
from typing import Any

from lsloop.demo import language, speech
from lsloop.demo.chance import stream
from lsloop.models import Row

ALPHABET = sorted(set("".join(language.WORDS)))


def recordings(folder: Path, count: int, seed: int = 0) -> list[Row]:
    """Clips of the demo's language, and what is said in them."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for number, said in enumerate(language.utterances(count, seed)):
        path = folder / f"{seed}-{number:03d}.wav"
        speech.write_wav(path, speech.say(said.text, speech.pitch(said.speaker, seed), stream(seed, number)))
        rows.append({"sample_id": path.stem, "media": str(path), "transcript": said.text})
    return rows


def losses(logged: list[dict[str, Any]]) -> list[float]:
    """The losses that a training logged, oldest first."""
    return [entry["loss"] for entry in logged if "loss" in entry]
