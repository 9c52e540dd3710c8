"""Data folder as an upstream crawler would leave it.

It has clips and what a poor recogniser made of them. What was really said stays out of it, so that nothing
can leak into the product.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lsloop.demo.chance import stream
from lsloop.demo.language import Utterance, misheard, utterances
from lsloop.demo.speech import pitch, say, write_wav

HEARD = 0.4  # word error rate of the recogniser whose transcripts come with the clips
TRANSLATED = 0.15  # word error rate of the translations that come with them


def write(raw_dir: Path, count: int, seed: int) -> dict[str, str]:
    """Write `count` clips and `metadata.jsonl` into `raw_dir`.

    Returns what was said, by external id.
    """
    said = utterances(count, seed)
    (raw_dir / "audio").mkdir(parents=True, exist_ok=True)
    for utterance in said:
        record(raw_dir, utterance, seed, take=1)
    write_rows(raw_dir, [row(utterance, seed) for utterance in said])
    return {utterance.external_id: utterance.text for utterance in said}


def add(raw_dir: Path, more: Sequence[Utterance], seed: int) -> dict[str, str]:
    """Write more clips and their lines.

    Returns what was said, by external id.
    """
    for utterance in more:
        record(raw_dir, utterance, seed, take=1)
    write_rows(raw_dir, [*read_rows(raw_dir), *(row(utterance, seed) for utterance in more)])
    return {utterance.external_id: utterance.text for utterance in more}


def row(utterance: Utterance, seed: int) -> dict[str, Any]:
    """The utterance's line of `metadata.jsonl`."""
    rng = stream(seed, "recogniser", utterance.external_id)
    return {
        "external_id": utterance.external_id,
        "media": media(utterance.external_id),
        "transcript": misheard(utterance.text, HEARD, rng),
        "translation": misheard(utterance.translation, TRANSLATED, rng),
        "group": utterance.speaker,
        "source": "demo",
        "priority": int(utterance.language == "cs"),
    }


def media(external_id: str) -> str:
    """Name the place of the clip, relative to the raw data folder."""
    return f"audio/{external_id}.wav"


def record(raw_dir: Path, utterance: Utterance, seed: int, take: int) -> None:
    """Write the clip.

    The words are the same every time, every take has other timing and noise.
    """
    rng = stream(seed, "speech", utterance.external_id, take)
    sound = say(utterance.text, pitch(utterance.speaker, seed), rng)
    write_wav(raw_dir / media(utterance.external_id), sound)


def write_rows(raw_dir: Path, rows: list[dict[str, Any]]) -> None:
    """Write `metadata.jsonl` whole.

    Whoever reads it meanwhile sees the old one or the new one.
    """
    unfinished = raw_dir / "metadata.jsonl.part"
    lines = [json.dumps(line, ensure_ascii=False) + "\n" for line in rows]
    unfinished.write_text("".join(lines), encoding="utf-8")
    unfinished.replace(raw_dir / "metadata.jsonl")


def texts(raw_dir: Path, field: str) -> dict[str, str]:
    """Read what upstream says in one field, by external id."""
    return {row["external_id"]: row[field] for row in read_rows(raw_dir)}


def read_rows(raw_dir: Path) -> list[dict[str, Any]]:
    """The lines of `metadata.jsonl`."""
    text = (raw_dir / "metadata.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]
