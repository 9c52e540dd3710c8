"""Read a transcript and its translation side by side and correct the translation.

A value: `translation`; `issues` (sorted), `rating` of the translation as it came (1–5 or None), `notes`. The
translation is empty exactly when the issue `source_unusable` is set: then there is nothing to translate.
"""

from html import escape
from typing import Any

from lsloop.records import Result, Sample, Value
from lsloop.values import agreement, evaluation, merging, regions
from lsloop.values.regions import Control
from lsloop.values.text import clean, is_blank

READS = ("transcript",)
WRITES = ("translation",)
UNIT = "characters"
NEEDS = {"translation": Control("textarea")}
UNUSABLE = "source_unusable"
MEASURES = (
    evaluation.sentence_chrf("translation"), evaluation.corpus_chrf("translation"),
    evaluation.bleu("translation"),
)  # fmt: skip


def task_data(sample: Sample, media_url: str | None) -> dict[str, Any]:
    """Source and translation, and a player where there is a recording."""
    return {
        "source_text": clean(sample.fields.get("transcript")),
        "translation": clean(sample.fields.get("translation")),
        "audio": media_url or "",
        # Label Studio's own player shows an empty waveform where there is no recording; this shows nothing.
        "player": f'<audio controls src="{escape(media_url)}"></audio>' if media_url else "",
        "candidates": "",
        "sample_id": str(sample.sample_id),
    }


def to_result(value: Value, config: str, sample: Sample) -> Result:
    """The value as regions.

    Raises ValueError when the label config has no place for the translation.
    """
    regions.require(config, NEEDS)
    return [
        *regions.text_region(config, "translation", clean(value.get("translation"))),
        *regions.choices_region(config, "issues", value.get("issues", [])),
        *regions.rating_region(config, "rating", value.get("rating")),
        *regions.text_region(config, "notes", clean(value.get("notes"))),
    ]


def from_result(result: Result, config: str) -> Value:
    """The regions as a value.

    Raises ValueError for an empty translation without `source_unusable`.
    """
    regions.require(config, NEEDS)
    issues = regions.read_choices(result, "issues")
    # The page hides the text box when the issue is set, but still sends what stood in it.
    translation = "" if UNUSABLE in issues else regions.read_text(result, "translation")
    if is_blank(translation) and UNUSABLE not in issues:
        raise regions.Nothing(f"The translation is empty and the issue {UNUSABLE!r} is not set.")
    return {
        "translation": translation,
        "issues": issues,
        "rating": regions.read_rating(result, "rating"),
        "notes": regions.read_text(result, "notes"),
    }


def upstream_value(sample: Sample) -> Value | None:
    """The translation as it came, without remarks."""
    translation = clean(sample.fields.get("translation"))
    if not translation:
        return None
    return {"translation": translation, "issues": [], "rating": None, "notes": ""}


def agree(a: Value, b: Value) -> float:
    """The chrF of the translations, averaged over both directions."""
    return agreement.chrf_agreement(clean(a.get("translation")), clean(b.get("translation")))


def errors(value: Value, reference: Value) -> tuple[int, int]:
    """Characters, as chrF counts them.

    Good translations differ in the forms of their words.
    """
    return agreement.character_errors(clean(value.get("translation")), clean(reference.get("translation")))


def merge(base: Value, ours: Value, theirs: Value) -> Value | None:
    """Merge the translations word by word and the issues as sets.

    Of rating and notes, ours come first.
    """
    was, a, b = (clean(value.get("translation")) for value in (base, ours, theirs))
    translation = merging.words(was, a, b)
    issues = merging.items(*(value.get("issues") for value in (base, ours, theirs)))
    if translation is None or bool(translation) == (UNUSABLE in issues):
        return None
    return {
        "translation": translation,
        "issues": issues,
        "rating": merging.whole(*(value.get("rating") for value in (base, ours, theirs))),
        "notes": merging.whole(*(clean(value.get("notes")) for value in (base, ours, theirs))),
    }


def question(sample: Sample) -> dict[str, Any]:
    """A sentence."""
    return {"sample_id": str(sample.sample_id), "transcript": clean(sample.fields.get("transcript"))}


def answer(said: Value, sample: Sample) -> Value:
    """The answer as it was said, in the value's own names.

    A model of translation answers in these.
    """
    return said


def training_rows(sample: Sample, value: Value) -> list[dict[str, Any]]:
    """A sentence and its translation."""
    said = {"translation": clean(value.get("translation")), "issues": value.get("issues", [])}
    return [question(sample) | said]
