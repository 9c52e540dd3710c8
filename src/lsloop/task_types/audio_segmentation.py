"""Mark spans of a recording with their language and tags.

They say who speaks which language when. A value: `segments`, sorted by time, each `{"start", "end",
"language", "tags"}` with seconds to the millisecond and sorted tags; `audio_quality` (1–5 or None). There is
at least one segment, if only of silence.
"""

from collections.abc import Iterable
from functools import partial
from typing import Any

from lsloop.records import Result, Sample, Value
from lsloop.values import agreement, merging, regions
from lsloop.values.evaluation import Measure
from lsloop.values.regions import Control
from lsloop.values.text import clean

READS = ("media",)
WRITES = ("segments",)
UNIT = "milliseconds"
LANGUAGES = ("Vietnamese", "English", "Code-Switched", "Silence", "Noise")
NEEDS = {"language": Control("labels", values=LANGUAGES)}

Segment = dict[str, Any]
Mark = tuple[int, int, str, tuple[str, ...]]
"""A segment to compare: start and end in milliseconds, language, sorted tags."""


def task_data(sample: Sample, media_url: str | None) -> dict[str, Any]:
    """The recording, and its transcript to find one's way."""
    return {
        "audio": media_url or "",
        "text": clean(sample.fields.get("transcript")),
        "candidates": "",
        "sample_id": str(sample.sample_id),
    }


def to_result(value: Value, config: str, sample: Sample) -> Result:
    """The value as regions.

    Raises ValueError for a segment without length or with no control for it.
    """
    regions.require(config, NEEDS)
    numbered = enumerate(_segments(_marks(value.get("segments"))))
    marked = [part for number, segment in numbered for part in _regions(config, f"segment-{number}", segment)]
    return marked + regions.rating_region(config, "audio_quality", value.get("audio_quality"))


def from_result(result: Result, config: str) -> Value:
    """The regions as a value.

    Raises ValueError for nothing marked, no language, or no length.
    """
    regions.require(config, NEEDS)
    tags = {str(tag.get("id")): regions.strings(tag, "choices") for tag in regions.answers(result, "tags")}
    marked = [
        _segment(mark, tags.pop(str(mark.get("id")), [])) for mark in regions.answers(result, "language")
    ]
    if tags:
        raise ValueError("A segment has tags but no language.")
    if not marked:
        raise regions.Nothing("No segment is marked.")
    quality = regions.read_rating(result, "audio_quality")
    return {"segments": _segments(_marks(marked)), "audio_quality": quality}


def impossible(value: Value, duration: float) -> str | None:
    """Say why these segments cannot be of a recording of so many seconds.

    None where they can.
    """
    # A player counts the padding of a compressed recording, which a header leaves out.
    latest = max((segment["end"] for segment in value["segments"]), default=0.0)
    if latest <= duration + max(0.25, 0.02 * duration):
        return None
    return f"A segment ends at {latest:g} s, and the recording is {duration:g} s long."


def upstream_value(sample: Sample) -> Value | None:
    """The segments as they came.

    Raises ValueError when one of them cannot be understood.
    """
    segments = _segments(_marks(sample.fields.get("segments")))
    return {"segments": segments, "audio_quality": None} if segments else None


def _shared(answer: Value, reference: Value, only: str | None = None) -> tuple[int, int]:
    """The parts of frame F1, of one language or of all.

    They count time instead of frames, so that F1 holds for any frame length.
    """
    spans = ([m[:3] for m in _marks(v.get("segments")) if only in (None, m[2])] for v in (answer, reference))
    return agreement.time_shared(*spans)


MEASURES = (
    Measure("frame_f1", _shared),
    *(Measure(f"frame_f1_{name.lower()}", partial(_shared, only=name)) for name in LANGUAGES),
)


def agree(a: Value, b: Value) -> float:
    """Time-weighted F1 of the languages."""
    ours, theirs = (_marks(value.get("segments")) for value in (a, b))
    return agreement.time_agreement((mark[:3] for mark in ours), (mark[:3] for mark in theirs))


def errors(value: Value, reference: Value) -> tuple[int, int]:
    """What the diarization error rate is made of, with languages for speakers."""
    ours, theirs = (_marks(one.get("segments")) for one in (value, reference))
    return agreement.time_errors((mark[:3] for mark in ours), (mark[:3] for mark in theirs))


def merge(base: Value, ours: Value, theirs: Value) -> Value | None:
    """The segments with both sides' changes.

    None where these meet in time and are not the same.
    """
    was, a, b = (_marks(value.get("segments")) for value in (base, ours, theirs))
    merged = (was & a & b) | (a - was) | (b - was)
    if _clash(was ^ a, was ^ b) or not merged:
        return None
    quality = merging.whole(*(value.get("audio_quality") for value in (base, ours, theirs)))
    return {"segments": _segments(merged), "audio_quality": quality}


def question(sample: Sample) -> dict[str, Any]:
    """A recording."""
    return {"sample_id": str(sample.sample_id), "media": sample.media_path, "duration": sample.duration}


def answer(said: Value, sample: Sample) -> Value:
    """The answer as it was said: a model of audio answers in the value's own names."""
    return said


def training_rows(sample: Sample, value: Value) -> list[dict[str, Any]]:
    """A recording and its segments."""
    return [question(sample) | {"segments": value.get("segments", [])}]


def _regions(config: str, region_id: str, segment: Segment) -> Result:
    """A span with its language and, under the same id, its tags."""
    span = {"start": segment["start"], "end": segment["end"]}
    tags = {**span, "choices": segment["tags"]}
    return [
        *regions.region(config, "language", {**span, "labels": [segment["language"]]}, region_id),
        *(regions.region(config, "tags", tags, region_id) if segment["tags"] else []),
    ]


def _segment(answer: dict[str, Any], tags: list[str]) -> Segment:
    span, labels = answer["value"], regions.strings(answer, "labels")
    if len(labels) != 1:
        where = f"{span.get('start')}–{span.get('end')} s"
        raise ValueError(f"The segment {where} has {len(labels)} languages instead of one.")
    return {"start": span.get("start"), "end": span.get("end"), "language": labels[0], "tags": tags}


def _segments(marks: Iterable[Mark]) -> list[Segment]:
    return [
        {"start": start / 1000, "end": end / 1000, "language": language, "tags": list(tags)}
        for start, end, language, tags in sorted(marks)
    ]


def _marks(segments: Iterable[Segment] | None) -> set[Mark]:
    if segments and not isinstance(segments, list):
        raise ValueError(f"A segment needs to be in a list: {segments!r}.")
    return {_mark(segment) for segment in segments or ()}


def _mark(segment: Segment) -> Mark:
    try:
        start, end = round(float(segment["start"]) * 1000), round(float(segment["end"]) * 1000)
        language, tags = str(segment["language"]), tuple(sorted(set(segment.get("tags") or ())))
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"A segment needs start and end in seconds and a language: {segment!r}.") from error
    if not 0 <= start < end:
        raise regions.Nothing(f"The segment {start / 1000}–{end / 1000} s has no length or starts before 0.")
    return start, end, language, tags


def _clash(ours: set[Mark], theirs: set[Mark]) -> bool:
    """Return whether a change of one side meets a change of the other in time.

    A change that both made is none.
    """
    return _meet(ours - theirs, theirs) or _meet(theirs - ours, ours)


def _meet(a: set[Mark], b: set[Mark]) -> bool:
    return any(one[0] < two[1] and two[0] < one[1] for one in a for two in b)
