"""Values of every kind, as people and models may give them, in the form `from_result` gives them back."""

import unicodedata
from typing import Any
from uuid import UUID

from hypothesis import strategies as st

from lsloop import resources
from lsloop.records import Sample, Value
from lsloop.task_types import audio_segmentation
from lsloop.values import regions
from lsloop.values.text import clean, is_blank

SAMPLE = Sample(UUID(int=7), "clip-7", {"transcript": "xin chào", "translation": "hello"}, "clips/7.wav")

WORDS = [
    "hôm",
    "nay",
    "học",
    "machine",
    "learning",
    "phở",
    "Nguyễn",
    "42",
    "3,5",
    "<b>",
    "&amp;",
    "]]>",
    "🎧",
    "“ừ”",
]


def template(kind: str) -> str:
    return resources.template(kind)


def nfd(value: Any) -> Any:
    """`value` with every text in it as a keyboard that types accents apart would give it."""
    if isinstance(value, str):
        return unicodedata.normalize("NFD", value)
    if isinstance(value, list):
        return [nfd(part) for part in value]
    return {key: nfd(part) for key, part in value.items()} if isinstance(value, dict) else value


def _texts(least: int) -> st.SearchStrategy[str]:
    spoken = st.lists(st.sampled_from(WORDS), min_size=1, max_size=12)
    long = st.integers(1, 3).map(lambda times: " ".join(WORDS * 20 * times))
    lines = st.lists(spoken.map(" ".join), max_size=3).map("\n".join)
    anything = st.text(st.characters(exclude_categories=("Cs",)))
    texts = st.one_of(lines, lines.map(nfd), anything, long).map(clean)
    return texts.filter(lambda text: not is_blank(text)) if least else texts


def _some(kind: str, control: str, without: str = "") -> st.SearchStrategy[list[str]]:
    values = [value for value in regions.controls(template(kind))[control].values if value != without]
    return st.sets(st.sampled_from(values)).map(sorted)


STARS = st.none() | st.integers(1, 5)


def _text_kind(kind: str, field: str, flags: str, empty: str, stars: str) -> st.SearchStrategy[Value]:
    """Values whose text is empty exactly when the flag that says so is set."""
    remarks = {stars: STARS, "notes": _texts(0)}
    full = {field: _texts(1), flags: _some(kind, flags, without=empty)}
    none = {field: st.just(""), flags: _some(kind, flags).map(lambda own: sorted({*own, empty}))}
    return st.fixed_dictionaries({**full, **remarks}) | st.fixed_dictionaries({**none, **remarks})


def _segment(start: int, length: int, language: str, tags: list[str]) -> dict[str, Any]:
    return {"start": start / 1000, "end": (start + length) / 1000, "language": language, "tags": tags}


def _in_order(segments: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(segments, key=lambda s: (s["start"], s["end"], s["language"], s["tags"]))


_SEGMENTS = st.lists(
    st.builds(
        _segment,
        st.integers(0, 20_000),
        st.integers(1, 5_000),
        st.sampled_from(audio_segmentation.LANGUAGES),
        _some("audio_segmentation", "tags"),
    ),
    min_size=1,
    max_size=6,
    unique_by=repr,
)

VALUES: dict[str, st.SearchStrategy[Value]] = {
    "transcript_correction": _text_kind(
        "transcript_correction", "transcript", "quality_flags", "no_speech", "confidence"
    ),
    "translation_review": _text_kind(
        "translation_review", "translation", "issues", "source_unusable", "rating"
    ),
    "audio_segmentation": st.fixed_dictionaries(
        {"segments": _SEGMENTS.map(_in_order), "audio_quality": STARS}
    ),
}
