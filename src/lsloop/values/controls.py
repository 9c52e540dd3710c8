"""A codec per Label Studio control: compares, counts, merges and shows answers.

An answer is in one form. Formats: Label Studio 1.23, "Tags" in its documentation; `key` is where the answer
stands in a result's `value`.
"""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from lsloop.values import agreement, merging
from lsloop.values.text import clean, nfc

Pair = tuple[int, int]
"""Wrong parts of an answer, and all parts of its reference."""


@dataclass(frozen=True)
class Codec:
    """The way in which one kind of control is understood.

    `normal` raises ValueError for what the control cannot have answered. `agree` is symmetric, in [0, 1], and
    1 for equal answers. `merge` answers None where both sides changed the same part in different ways.
    """

    key: str
    unit: str
    normal: Callable[[Any], Any]
    agree: Callable[[Any, Any], float]
    errors: Callable[[Any, Any], Pair]
    merge: Callable[[Any, Any, Any], Any]
    show: Callable[[Any], str]


def same(a: Any, b: Any) -> float:
    """1 for equal answers, else 0."""
    return float(a == b)


def whole(base: Any, ours: Any, theirs: Any) -> Any:
    """One side's change of what cannot be divided.

    None where both changed it in different ways.
    """
    if ours in (theirs, base):
        return theirs
    return ours if theirs == base else None


def one_wrong(answer: Any, reference: Any) -> Pair:
    """Count one part, right or wrong."""
    return int(answer != reference), 1


def plain(value: Any) -> str:
    """Text as it is, everything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)


def canonical(value: Any) -> str:
    """One text for equal JSON values, to sort and compare by."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def _texts(value: Any) -> list[str]:
    found = [value] if isinstance(value, str) else value
    if not isinstance(found, list) or not all(isinstance(text, str) for text in found):
        raise ValueError("A text is expected.")
    return [text for text in map(clean, found) if text]


def _joined(texts: Sequence[str]) -> str:
    return "\n".join(texts)


def _merged_texts(base: list[str], ours: list[str], theirs: list[str]) -> list[str] | None:
    if max(map(len, (base, ours, theirs))) > 1:
        found: list[str] | None = whole(base, ours, theirs)
        return found
    merged = merging.words(_joined(base), _joined(ours), _joined(theirs))
    return None if merged is None else _texts(merged)


TEXT = Codec(
    "text", "words", _texts,
    lambda a, b: agreement.word_agreement(_joined(a), _joined(b)),
    lambda a, b: agreement.word_errors(_joined(a), _joined(b)),
    _merged_texts, _joined,
)  # fmt: skip


def _path(value: Any) -> str | list[str]:
    if isinstance(value, str):
        return nfc(value)
    if isinstance(value, list) and value and all(isinstance(part, str) for part in value):
        return [nfc(part) for part in value]
    raise ValueError("A choice is expected.")


def _set(value: Any) -> list[Any]:
    """Choices, labels or paths of a tree: sorted, each once.

    A path of one step is the same as the step.
    """
    found = [value] if isinstance(value, str) else value
    if not isinstance(found, list):
        raise ValueError("A list of choices is expected.")
    steps = [_path(one) for one in found]
    once = {canonical(one): one[0] if isinstance(one, list) and len(one) == 1 else one for one in steps}
    return sorted({canonical(one): one for one in once.values()}.values(), key=canonical)


def _taxonomy(value: Any) -> list[list[str]]:
    """Paths of a tree, each a list of steps, sorted."""
    return [[one] if isinstance(one, str) else one for one in _set(value)]


def dice(a: Sequence[Any], b: Sequence[Any]) -> float:
    """Twice what both hold ÷ what they hold together (Dice 1945).

    1 for two empty ones.
    """
    ours, theirs = Counter(map(canonical, a)), Counter(map(canonical, b))
    total = ours.total() + theirs.total()
    return 2 * (ours & theirs).total() / total if total else 1.0


def set_errors(answer: Sequence[Any], reference: Sequence[Any]) -> Pair:
    """Count the missing and extra members, and all members of the reference."""
    ours, theirs = Counter(map(canonical, answer)), Counter(map(canonical, reference))
    return ((ours - theirs) + (theirs - ours)).total(), theirs.total()


def merged_set(base: Sequence[Any], ours: Sequence[Any], theirs: Sequence[Any]) -> list[Any]:
    """The set with everything that either side added, less what either took out."""
    found = {canonical(one): one for one in (*base, *ours, *theirs)}
    kept = merging.items(*(list(map(canonical, side)) for side in (base, ours, theirs)))
    return sorted((found[name] for name in kept), key=canonical)


def _shown_set(value: Sequence[Any]) -> str:
    return ", ".join(one if isinstance(one, str) else " / ".join(one) for one in value)


def _of_set(key: str, unit: str, normal: Callable[[Any], list[Any]] = _set) -> Codec:
    return Codec(key, unit, normal, dice, set_errors, merged_set, _shown_set)


def _number(value: Any) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value or abs(value) > 1e300:
        raise ValueError("A number is expected.")
    return int(value) if float(value).is_integer() and abs(value) < 2**53 else value


def _closeness(a: float, b: float) -> float:
    """1 for equal numbers, falling with their difference relative to the larger."""
    return 1.0 if a == b else max(0.0, 1 - abs(a - b) / max(abs(a), abs(b)))


def _of_number(key: str) -> Codec:
    return Codec(key, "numbers", _number, _closeness, one_wrong, whole, plain)


def _one_text(value: Any) -> str:
    found = value[0] if isinstance(value, list) and len(value) == 1 else value
    if not isinstance(found, str):
        raise ValueError("One text is expected.")
    return nfc(found)


def _whole(key: str, unit: str, normal: Callable[[Any], Any]) -> Codec:
    return Codec(key, unit, normal, same, one_wrong, whole, plain)


def _ranking(value: Any) -> Any:
    """A list in order, or a bucket's name → its list in order."""
    if isinstance(value, list) or (
        isinstance(value, dict) and all(isinstance(v, list) for v in value.values())
    ):
        return value
    raise ValueError("A ranking is expected.")


def _ordered_pairs(value: Any) -> list[Any]:
    """The order of items in pairs, and the bucket of each.

    Which item stands before which, and what is in which bucket.
    """
    buckets: Mapping[str, list[Any]] = value if isinstance(value, dict) else {"": value}
    inside = [[name, "holds", item] for name, items in buckets.items() for item in items]
    before = [[name, a, b] for name, items in buckets.items() for a, b in combinations(items, 2)]
    return inside + before


RANKER = Codec(
    "ranker", "items", _ranking,
    lambda a, b: dice(_ordered_pairs(a), _ordered_pairs(b)),
    lambda a, b: set_errors(_ordered_pairs(a), _ordered_pairs(b)),
    whole, plain,
)  # fmt: skip


def anything(value: Any) -> Any:
    """Keep the answer as it came, whatever it is."""
    return value


def verbatim(key: str) -> Codec:
    """The codec of what nobody knows.

    The answer is kept as it came, compared by equality and shown as JSON.
    """
    return _whole(key, "answers", anything)


def _message(value: Any) -> str:
    """A message as who says what."""
    if isinstance(value, dict) and isinstance(value.get("content"), str):
        return f"{value.get('role', 'somebody')}: {value['content']}"
    return plain(value)


_LABELLED = (
    "labels", "rectanglelabels", "polygonlabels", "keypointlabels", "ellipselabels", "brushlabels",
    "bitmasklabels", "vectorlabels", "ocrlabels", "hypertextlabels", "paragraphlabels", "timeserieslabels",
    "timelinelabels",
)  # fmt: skip

CODECS: Mapping[str, Codec] = {
    "textarea": TEXT,
    "choices": _of_set("choices", "choices"),
    "taxonomy": _of_set("taxonomy", "choices", _taxonomy),
    "rating": _of_number("rating"),
    "number": _of_number("number"),
    "datetime": _whole("datetime", "answers", _one_text),
    "pairwise": _whole("selected", "answers", _one_text),
    "ranker": RANKER,
    **{name: _of_set(name, "labels") for name in _LABELLED},
    "videorectangle": _of_set("labels", "labels"),
    "chat": Codec("chatmessage", "messages", anything, same, one_wrong, whole, _message),
}
"""By the control's tag in small letters."""

DRAWN = ("rectangle", "polygon", "keypoint", "ellipse", "brush", "bitmask", "vector", "magicwand")
"""Controls that only draw: what is answered is where the region is."""

MARKING = frozenset({*_LABELLED, "videorectangle", "chat", *DRAWN})
"""Controls whose answers are regions of what is shown."""
