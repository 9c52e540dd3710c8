"""A hundred kinds of poison: what a record may hold that no column, parser or rule foresees.

Each is JSON as text, because much of it no serialiser would write. `answers` are annotations as Label Studio
might give them out; `bodies` are HTTP bodies. Tests give them to a step among good records, and all good ones
must come in.
"""

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Poison:
    """A field of an annotation and the JSON text that stands there; None: the field is missing."""

    name: str
    field: str
    text: str | None


BIG = "9" * 30
NAMES = (
    "transcription",
    "quality_flags",
    "confidence",
    "notes",
    "language",
    "tags",
    "audio_quality",
    "nobody",
)
WRONG = {
    "null": "null", "true": "true", "a number": "7", "a long number": BIG,
    "1e999": "1e999", "-1e300": "-1e300", "NaN": "NaN", "text": '"text"', "an empty list": "[]",
    "a list": "[1, null, []]",
    "an object": '{"a": {"b": 1}}', "NUL": '"a\\u0000b"', "half a pair": '"\\ud83d"',
    "turned pair": '"\\udc00\\ud800"',
    "300 deep": "[" * 300 + "]" * 300,
}  # fmt: skip
NO_JSON = {"an endless number": "1" * 5000, "5000 deep": "[" * 5000 + "]" * 5000, "cut off": '{"a": [1, '}
"""What makes the whole document unreadable."""
TEXTS = {
    "NUL": "a\\u0000b", "half a pair": "xin \\ud83d chào", "low half": "\\udc41",
    "controls": "\\u0001\\u0002\\u001b[31m",
    "bidi": "\\u202eabc\\u2066", "a million": "x" * 1_000_000, "a million lines": "x\\n" * 300_000,
    "combining": "e" + "\\u0301" * 5000, "not a character": "\\uffff\\ufffe",
    "quotes": "'; DROP TABLE samples; -- \\\\\\\"",
    "copy": "\\\\.\\n\\\\N\\t", "percent": "%s %(a)s :name $1 {0}",
}  # fmt: skip


def region(name: str = "transcription", text: str = "heard", **raw: str) -> str:
    """One region as JSON text; `raw` replaces or adds members, given as JSON text."""
    kept = {
        "id": '"t"', "from_name": json.dumps(name), "to_name": '"audio"', "type": '"textarea"',
        "value": f'{{"text": ["{text}"]}}',
    }  # fmt: skip
    return "{" + ", ".join(f'"{key}": {value}' for key, value in {**kept, **raw}.items()) + "}"


def answers() -> list[Poison]:
    """Annotations that are wrong in every field, and results that are wrong in every place."""
    fields = (
        "id", "result", "was_cancelled", "ground_truth", "lead_time", "completed_by", "updated_by",
        "created_at",
        "updated_at", "task",
    )  # fmt: skip
    made = [Poison(f"{field} is {name}", field, text) for field in fields for name, text in WRONG.items()]
    made += [Poison(f"{field} is missing", field, None) for field in fields]
    made += [
        Poison(f"{field} is {text}", field, f'"{text}"')
        for field in ("created_at", "updated_at")
        for text in ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "10000-01-01T00:00:00Z", "yesterday", "")
    ]
    made += [
        Poison(f"lead_time is {text}", "lead_time", text)
        for text in ("-5", "1e300", "1.7976931348623157e308", '"5"')
    ]
    made += [Poison(f"result is {name}", "result", text) for name, text in NO_JSON.items()]
    made += [Poison(f"lead_time is {name}", "lead_time", text) for name, text in NO_JSON.items()]
    return made + [Poison(f"result: {name}", "result", f"[{text}]") for name, text in _regions()]


def _regions() -> Iterator[tuple[str, str]]:
    for member, (name, text) in itertools.product(
        ("id", "from_name", "to_name", "type", "value", "meta"), WRONG.items()
    ):
        yield f"{member} is {name}", region(**{member: text})
    for name, text in WRONG.items():
        yield f"text is {name}", region(value=f'{{"text": {text}}}')
        yield f"one text is {name}", region(value=f'{{"text": ["heard", {text}]}}')
        yield (
            f"a choice is {name}",
            region("quality_flags", type='"choices"', value=f'{{"choices": [{text}]}}'),
        )
        yield f"a rating is {name}", region("confidence", type='"rating"', value=f'{{"rating": {text}}}')
        yield f"a region is {name}", text
        yield f"a key beside is {name}", region(meta=f'{{"a\\u0000": {text}}}')
    for name, text in TEXTS.items():
        yield f"text: {name}", region(text=text)
    for name in NAMES:
        yield f"{name} is a text area", region(name)
        yield f"{name} ten times", ", ".join([region(name)] * 10)


def bodies() -> dict[str, bytes]:
    """Bodies of a webhook that are no event, or hold what no column takes."""
    found = {f"a body that is {name}": text.encode() for name, text in (WRONG | NO_JSON).items()}
    found |= {
        f"an event whose annotation is {name}": (
            f'{{"action": "ANNOTATION_CREATED", "annotation": {text}}}'.encode()
        )
        for name, text in WRONG.items()
    }
    found |= {
        f"an event whose action is {name}": f'{{"action": {text}}}'.encode() for name, text in WRONG.items()
    }
    for name, text in WRONG.items():
        about = (
            '{"action": "ANNOTATION_CREATED", "annotation": {"id": 1, "task": 1}, "project": {"id":'
            f" {text}}}}}"
        )
        found[f"an event whose project is {name}"] = about.encode()
    return found | {
        "nothing": b"", "not UTF-8": b'{"action": "\xff\xfe"}', "cut off": b'{"action": "ANNOT',
        "two": b"{}{}",
        "UTF-16": '{"action": "x"}'.encode("utf-16"), "a BOM": b'\xef\xbb\xbf{"action": "x"}',
        "only NUL": b"\x00" * 50,
        "the same key a thousand times": b"{" + b", ".join([b'"action": "x"'] * 1000) + b"}",
        "objects 300 deep": b'{"a":' * 300 + b"1" + b"}" * 300,
        "objects 3000 deep": b'{"a":' * 3000 + b"1" + b"}" * 3000,
    }  # fmt: skip
