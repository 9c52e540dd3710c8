"""One line of metadata.jsonl, taken whole or refused with the reason.

What is not understood never comes in halfway.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson

from lsloop.records import Sample
from lsloop.task_types import Kind
from lsloop.values.text import has_nul, is_nfc, nfc

OWN = {"external_id", "media", "group", "priority", "source"}
_LENGTH = 500  # characters of a name; PostgreSQL indexes at most 2,700 bytes
_INDEXED = 2600  # bytes of source and external_id together
_LONGEST = 64 * 2**20  # bytes of a line; PostgreSQL holds a quarter of a GB of JSON
_DEEPEST = 100  # levels; Label Studio and Python's own JSON give up soon after
_INT4, _INT8 = 2**31, 2**63
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_MANY_DIGITS = re.compile(r"\d{19}")


class Refused(ValueError):
    """The reason why a line cannot be taken.

    `name` is the external_id, where it could be read.
    """

    def __init__(self, reason: str, name: str = "") -> None:
        super().__init__(reason)
        self.name = name


@dataclass(frozen=True)
class Line:
    """What upstream says of a sample.

    `media` is as it was written, in whatever Unicode form.
    """

    source: str
    external_id: str
    fields: dict[str, Any]
    group: str | None
    priority: int
    media: str | None


def parsed(line: bytes, kinds: Mapping[str, Kind]) -> Line:
    """Parse a line, and hold it against the kinds of task that its fields are for.

    Raises Refused.
    """
    text, given = _object(line)
    name = ""
    try:
        name = _text(given, "external_id", required=True)
        given = _careful(text, given)
        name = nfc(name)
        source = _text(given, "source") or "default"
        if len(f"{source}{name}".encode()) > _INDEXED:
            raise Refused("source and external_id are too long together")
        fields = {key: value for key, value in given.items() if key not in OWN}
        for key, value in fields.items():
            if not isinstance(value, str):
                _check(key, value, kinds)
        return Line(
            source,
            name,
            fields,
            _text(given, "group") or None,
            _priority(given),
            _text(given, "media") or None,
        )
    except Refused as why:
        raise Refused(str(why), name) from why


def _object(line: bytes) -> tuple[str, dict[str, Any]]:
    """A line as text, and the object that it is."""
    if len(line) > _LONGEST:
        raise Refused(f"the line has {len(line):,} bytes; at most {_LONGEST:,} are possible")
    try:
        text = line.decode("utf-8").removeprefix(
            "\ufeff"
        )  # Windows editors begin files with a byte order mark
        given = orjson.loads(text)
    except UnicodeDecodeError as wrong:
        raise Refused(f"not UTF-8: byte 0x{line[wrong.start]:02x} at position {wrong.start + 1}") from wrong
    except orjson.JSONDecodeError as wrong:
        raise Refused(f"not JSON: {wrong.msg} at position {wrong.pos + 1}") from wrong
    if not isinstance(given, dict):
        raise Refused(f"not a JSON object but a {type(given).__name__}")
    return text, given


def _careful(text: str, given: dict[str, Any]) -> dict[str, Any]:
    """The object with its texts in normal form C.

    One text typed on two keyboards is one text. Nothing in it is lost.
    """
    # As many colons as keys: no key can be there twice. Most lines show so at a glance.
    if text.count(":") != len(given) or _MANY_DIGITS.search(text):
        _look_closely(text)
    if has_nul(text):
        raise Refused("a text contains the character NUL, which PostgreSQL cannot hold")
    if "\\u" not in text and (text.isascii() or is_nfc(text)):
        return given
    media = given.pop("media", None)
    normal = {nfc(key): _normal(value) for key, value in given.items()}
    if len(normal) < len(given):
        raise Refused("a key stands there twice, in two Unicode forms")
    return {**normal, "media": media} if media is not None else normal


def _look_closely(text: str) -> None:
    """Look for what a fast reader passes over in silence.

    That is a key that stands there twice, or a number that loses digits.
    """
    try:
        json.loads(text, object_pairs_hook=_once, parse_int=_int8)
    except RecursionError as wrong:
        raise Refused(f"values are nested more than {_DEEPEST} levels deep") from wrong


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise Refused(f"the key {twice!r:.60} stands there twice")
    return found


def _int8(digits: str) -> int:
    if len(digits) > 20 or not -_INT8 <= int(digits) < _INT8:
        raise Refused(f"the whole number {digits[:30]} has more than 64 bits: write it as a text")
    return int(digits)


def _check(name: str, value: Any, kinds: Mapping[str, Kind]) -> None:
    """Check that a value that is no text can be taken.

    The kinds of task that read, write or show it are asked.
    """
    if isinstance(value, list | dict) and not _is_shallow(value, _DEEPEST):
        raise Refused(f"{name} is nested more than {_DEEPEST} levels deep")
    for task_type, kind in kinds.items():
        sample = Sample(UUID(int=0), "", {name: value})
        for use in _uses(kind):
            try:
                use(sample)
            except Exception as wrong:  # whatever a kind, perhaps an installed one, makes of it
                reason = str(wrong).rstrip(".") or type(wrong).__name__
                raise Refused(f"{name} is nothing that {task_type} can take: {reason}") from wrong


def _uses(kind: Kind) -> tuple[Callable[[Sample], Any], ...]:
    return (lambda sample: kind.task_data(sample, None), kind.upstream_value)


def _is_shallow(value: Any, levels: int) -> bool:
    if not isinstance(value, list | dict):
        return True
    inner = value.values() if isinstance(value, dict) else value
    return levels > 0 and all(_is_shallow(item, levels - 1) for item in inner)


def _text(given: dict[str, Any], name: str, *, required: bool = False) -> str:
    value = given.get(name)
    if value is None and not required:
        return ""
    if isinstance(value, int) and not isinstance(value, bool) and name in {"external_id", "group"}:
        value = str(value)
    if not isinstance(value, str) or (required and not value.strip()):
        raise Refused(
            f"{name} is missing" if value in (None, "") else f"{name} must be a text, not {value!r:.40}"
        )
    if name == "media":
        return value
    if len(value) > _LENGTH:
        raise Refused(f"{name} has {len(value)} characters; at most {_LENGTH} are possible")
    if _CONTROL.search(value):
        raise Refused(f"{name} {value!r:.60} has a line break or another control character in it")
    return value


def _priority(given: dict[str, Any]) -> int:
    value = given.get("priority", 0)
    if not isinstance(value, int) or isinstance(value, bool) or not -_INT4 <= value < _INT4:
        raise Refused(f"priority must be a whole number, not {value!r:.40}")
    return value


def _normal(value: Any) -> Any:
    """Texts in normal form C, at any depth.

    Raises Refused where that is too deep.
    """
    try:
        return _normalised(value)
    except RecursionError as wrong:
        raise Refused(f"values are nested more than {_DEEPEST} levels deep") from wrong


def _normalised(value: Any) -> Any:
    if isinstance(value, str):
        return nfc(value)
    if isinstance(value, list):
        return [_normalised(item) for item in value]
    if isinstance(value, dict):
        return {nfc(name): _normalised(item) for name, item in value.items()}
    return value
