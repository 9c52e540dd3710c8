"""Tell in words what the ledger cannot keep as it is.

Such an answer stays as text.
"""

import json
from dataclasses import replace
from typing import Any

import orjson

from lsloop.records import Annotation
from lsloop.values.text import has_nul

MOST = 16 * 2**20
"""Characters of an answer that are kept as text."""

_LARGEST = 200 * 2**20  # bytes: PostgreSQL takes 256 MiB in one text of a document


def why_not(result: Any) -> str | None:
    """Say why this cannot be kept as JSON; None where it can.

    PostgreSQL, or whoever reads it later, is to take it.
    """
    try:
        document = orjson.dumps(result)
    except (TypeError, ValueError, RecursionError) as error:
        return _told(str(error))
    if len(document) > _LARGEST:
        return f"It is too long to be kept: {len(document) / 2**20:.0f} MiB."
    if b"\\u0000" in document and has_nul(document.decode()):
        return "It holds the character NUL, which no text in PostgreSQL can."
    if not isinstance(result, list):
        return "Its result is not a list of regions."
    return None


def aside(found: Annotation, why: str) -> Annotation:
    """The annotation with what is in it kept as text."""
    return replace(
        found, result=[], value=None, problem=as_text(why), says_nothing=False, raw=raw(found.result)
    )


def raw(result: Any) -> str:
    """JSON as text, in ASCII alone, so that every character of it can be kept."""
    try:
        return json.dumps(result)[:MOST]
    except (ValueError, TypeError, RecursionError):
        return as_text(f"({type(result).__name__})")


def as_text(words: str) -> str:
    """Words that PostgreSQL can keep."""
    return words.replace("\0", "\\u0000").encode("utf-8", "backslashreplace").decode()


def _told(words: str) -> str:
    known = {
        "64-bit": "It holds a whole number of more than 64 bits.",
        "ecursion": "It is nested too deeply.",
        "surrogate": "It holds half a character (a surrogate without its pair).",
        "UTF-8": "It holds half a character (a surrogate without its pair).",
    }
    return next((told for name, told in known.items() if name in words), f"It cannot be kept: {words}.")
