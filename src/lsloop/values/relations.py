"""Relations between regions: from which to which, which way, under which labels.

A relation names its regions by their place among the records (see records.py). Places differ from answer to
answer, and so relations are compared by the regions that they join.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from lsloop.values import controls, records
from lsloop.values.controls import Codec, canonical
from lsloop.values.records import Record

Relation = Mapping[str, Any]
Side = tuple[Sequence[Relation], Sequence[Record]]
"""The relations of an answer, and its regions."""

ARROWS = {"right": "→", "left": "←", "bi": "↔"}


def given(relations: Any) -> list[Any]:
    """Relations that somebody wrote by hand.

    Raises ValueError for what is none.
    """
    if not isinstance(relations, list) or not all(map(_is_relation, relations)):
        raise ValueError("A relation is an object with `from` and `to`, the places of two regions.")
    return relations


def _is_relation(one: Any) -> bool:
    return isinstance(one, dict) and all(type(one.get(end)) is int for end in ("from", "to"))


def directed(relation: Relation) -> dict[str, Any]:
    """A relation in one form.

    It goes from left to right, or both ways; its labels are sorted, each once.
    """
    ends, way = [relation["from"], relation["to"]], relation.get("direction", "right")
    if way == "left":
        ends, way = ends[::-1], "right"
    elif way == "bi":
        ends = sorted(ends, key=canonical)
    labels = relation.get("labels")
    said = sorted(set(map(str, labels))) if isinstance(labels, list) else []
    return {**relation, "from": ends[0], "to": ends[1], "direction": way, "labels": said}


def agree(a: Side, b: Side, codecs: Mapping[str, Codec]) -> float:
    """Twice the likeness of the matched relations ÷ all relations of both."""
    total = len(a[0]) + len(b[0])
    return min(1.0, 2 * sum(_likenesses(a, b, codecs)) / total) if total else 1.0


def errors(answer: Side, reference: Side, codecs: Mapping[str, Codec]) -> controls.Pair:
    """Count the relations that are wrong, and all relations of the reference.

    Wrong are those that are missing, too many, between other regions, or half unlike.
    """
    right = sum(likeness >= 0.5 for likeness in _likenesses(answer, reference, codecs))
    return max(len(answer[0]), len(reference[0])) - right, len(reference[0])


def _likenesses(a: Side, b: Side, codecs: Mapping[str, Codec]) -> list[float]:
    """The likeness of each pair of relations between the same regions.

    Regions are the same where they are matched, and at least half alike.
    """
    if a == b:
        return [1.0] * len(a[0])
    ours, theirs = sorted((a, b), key=lambda side: canonical([*side]))  # a tie must not depend on the order
    names = {i: j for i, j, how in records.matched(ours[1], theirs[1], codecs) if how >= 0.5}
    renamed = [
        directed({**one, "from": names[one["from"]], "to": names[one["to"]]})
        for one in ours[0]
        if one["from"] in names and one["to"] in names
    ]
    left = [directed(one) for one in theirs[0]]
    found = []
    for one in sorted(renamed, key=canonical):
        alike = [likeness(one, other) for other in left]
        best = max(alike, default=0.0)
        if best > 0:
            found.append(best)
            left.pop(alike.index(best))
    return found


def likeness(a: Relation, b: Relation) -> float:
    """The likeness of two relations in one form.

    It is 0 between other regions, else half and half of their labels.
    """
    if _ends(a) != _ends(b):
        return 0.0
    return (1 + controls.dice(a["labels"], b["labels"])) / 2


def _ends(relation: Relation) -> str:
    return canonical([relation["from"], relation["to"], relation["direction"]])


def merge(
    base: Sequence[Relation], ours: Sequence[Relation], theirs: Sequence[Relation]
) -> list[dict[str, Any]] | None:
    """Merge relations whose ends say what the regions are.

    None where both sides changed what joins the same regions in different ways.
    """
    was, a, b = (_by_ends(side) for side in (base, ours, theirs))
    found: list[dict[str, Any]] = []
    for ends in sorted({*was, *a, *b}):
        sides = [list(map(directed, side.get(ends, []))) for side in (was, a, b)]
        merged = controls.whole(*sides)
        if merged is None:
            return None
        found += a[ends] if merged and merged == sides[1] else b[ends] if merged else []
    return found


def _by_ends(side: Sequence[Relation]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for one in sorted(side, key=lambda one: canonical(directed(one))):
        ends = sorted(map(canonical, (one["from"], one["to"])))
        found.setdefault(canonical(ends), []).append(dict(one))
    return found


def shown(relation: Relation) -> str:
    """One relation on one line, its regions counted from 1."""
    arrow = ARROWS.get(str(relation.get("direction", "right")), "→")
    labels = ", ".join(map(str, relation.get("labels") or ()))
    return f"region {relation['from'] + 1} {arrow} region {relation['to'] + 1}" + (
        f": {labels}" if labels else ""
    )
