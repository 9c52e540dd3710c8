"""Hear a recording and correct its transcript.

A value: `transcript`; `quality_flags` (sorted), `confidence` (1–5 or None), `notes`. The transcript is empty
exactly when the flag `no_speech` is set: a recording without speech is an answer, an empty box is a slip.
"""

from typing import Any

from lsloop.records import Result, Sample, Value
from lsloop.values import agreement, evaluation, merging, regions
from lsloop.values.regions import Control
from lsloop.values.text import clean, is_blank

READS = ("media",)
WRITES = ("transcript",)
UNIT = "words"
NEEDS = {"transcription": Control("textarea")}
NO_SPEECH = "no_speech"
MEASURES = (evaluation.word_error_rate("transcript"), evaluation.character_error_rate("transcript"))


def task_data(sample: Sample, media_url: str | None) -> dict[str, Any]:
    """The recording, and the transcript as it came."""
    return {
        "audio": media_url or "",
        "text": clean(sample.fields.get("transcript")),
        "candidates": "",
        "sample_id": str(sample.sample_id),
    }


def to_result(value: Value, config: str, sample: Sample) -> Result:
    """The value as regions.

    Raises ValueError when the label config has no place for the transcript.
    """
    regions.require(config, NEEDS)
    return [
        *regions.text_region(config, "transcription", clean(value.get("transcript"))),
        *regions.choices_region(config, "quality_flags", value.get("quality_flags", [])),
        *regions.rating_region(config, "confidence", value.get("confidence")),
        *regions.text_region(config, "notes", clean(value.get("notes"))),
    ]


def from_result(result: Result, config: str) -> Value:
    """The regions as a value.

    Raises ValueError when the transcript is empty and `no_speech` is not set.
    """
    regions.require(config, NEEDS)
    flags = regions.read_choices(result, "quality_flags")
    # The page hides the text box when the flag is set, but still sends what stood in it.
    transcript = "" if NO_SPEECH in flags else regions.read_text(result, "transcription")
    if is_blank(transcript) and NO_SPEECH not in flags:
        raise regions.Nothing(f"The transcript is empty and the flag {NO_SPEECH!r} is not set.")
    return {
        "transcript": transcript,
        "quality_flags": flags,
        "confidence": regions.read_rating(result, "confidence"),
        "notes": regions.read_text(result, "notes"),
    }


def upstream_value(sample: Sample) -> Value | None:
    """The transcript as it came, without remarks."""
    transcript = clean(sample.fields.get("transcript"))
    if not transcript:
        return None
    return {"transcript": transcript, "quality_flags": [], "confidence": None, "notes": ""}


def agree(a: Value, b: Value) -> float:
    """1 − word edit distance ÷ words of the longer transcript."""
    return agreement.word_agreement(clean(a.get("transcript")), clean(b.get("transcript")))


def errors(value: Value, reference: Value) -> tuple[int, int]:
    """What the word error rate is made of."""
    return agreement.word_errors(clean(value.get("transcript")), clean(reference.get("transcript")))


def merge(base: Value, ours: Value, theirs: Value) -> Value | None:
    """Merge the transcripts word by word and the flags as sets.

    Of confidence and notes, ours come first.
    """
    was, a, b = (clean(value.get("transcript")) for value in (base, ours, theirs))
    transcript = merging.words(was, a, b)
    flags = merging.items(*(value.get("quality_flags") for value in (base, ours, theirs)))
    if transcript is None or bool(transcript) == (NO_SPEECH in flags):
        return None
    return {
        "transcript": transcript,
        "quality_flags": flags,
        "confidence": merging.whole(*(value.get("confidence") for value in (base, ours, theirs))),
        "notes": merging.whole(*(clean(value.get("notes")) for value in (base, ours, theirs))),
    }


def question(sample: Sample) -> dict[str, Any]:
    """A recording."""
    return {"sample_id": str(sample.sample_id), "media": sample.media_path, "duration": sample.duration}


def answer(said: Value, sample: Sample) -> Value:
    """The answer as it was said, in the value's own names.

    A model of speech answers in these.
    """
    return said


def training_rows(sample: Sample, value: Value) -> list[dict[str, Any]]:
    """A recording and what is said in it."""
    said = {"transcript": clean(value.get("transcript")), "quality_flags": value.get("quality_flags", [])}
    return [question(sample) | said]
