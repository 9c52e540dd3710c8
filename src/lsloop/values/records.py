"""Regions as records: all that Label Studio stores under one id.

A record says where it is and what was said of it: `on` (the name of the object tag), `where` (geometry),
`answers` (control → answer; None of a control that only draws), and `more` (what Label Studio adds and that
carries meaning). Ids are not part of it: a relation, or a region inside another, names records by their place
in the list.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from lsloop.records import Result
from lsloop.values import shapes
from lsloop.values.controls import Codec, canonical

Record = dict[str, Any]

KEPT = (
    "original_width", "original_height", "original_length", "image_rotation", "item_index", "meta", "score",
    "origin", "readonly", "hidden", "locked", "is_positive", "parentID",
)  # fmt: skip
"""What Label Studio adds to a region beside its value."""

PROVENANCE = ("score", "origin")
"""What says how a region came to be, not what it is."""

DIGITS = 4  # of coordinates that are told apart: a ten-thousandth of a percent, a tenth of a millisecond


def gathered(items: Iterable[Mapping[str, Any]], codecs: Mapping[str, Codec]) -> dict[str, Record]:
    """The records of a result's region items by Label Studio's id.

    `codecs` are by the name of the control.
    """
    found: dict[str, Record] = {}
    for number, item in enumerate(items):
        record = found.setdefault(
            str(item.get("id") or f"item {number}"), {"where": {}, "answers": {}, "more": {}}
        )
        name, value = str(item["from_name"]), dict(item["value"])
        codec = codecs.get(name)
        record["on"] = str(item.get("to_name") or "")
        answer = value.pop(codec.key, None) if codec else None
        record["answers"][name] = codec.normal(answer) if codec and answer is not None else None
        record["where"] |= rounded(value)
        record["more"] |= {
            key: item[key] for key in KEPT if item.get(key) is not None and item[key] is not False
        }
    return found


def given(record: Any, codecs: Mapping[str, Codec]) -> Record:
    """A record that somebody wrote by hand, in the form that is compared.

    Raises ValueError for what is none.
    """
    parts: Record = {"on": "", "where": {}, "answers": {}, "more": {}} | (
        record if isinstance(record, dict) else {}
    )
    if not parts["on"] or any(not isinstance(parts[name], dict) for name in ("where", "answers", "more")):
        raise ValueError("A region is an object with `on`, `where` and `answers`.")
    said = {
        name: codecs[name].normal(answer) if name in codecs and answer is not None else answer
        for name, answer in parts["answers"].items()
    }
    return {**parts, "where": rounded(parts["where"]), "answers": said}


def ordered(found: Mapping[str, Record]) -> tuple[list[Record], dict[str, int]]:
    """Records sorted by what they are, and the place of each id among them.

    Messages are sorted by when they were written.
    """
    ids = sorted(found, key=lambda i: (_moment(found[i]), identity(found[i]), canonical(found[i]["more"])))
    places = {region_id: place for place, region_id in enumerate(ids)}
    return [_placed(found[region_id], places) for region_id in ids], places


def _moment(record: Record) -> float:
    """The moment when a message was written; 0 for what has no such time."""
    written_at = [said.get("createdAt") for said in record["answers"].values() if isinstance(said, dict)]
    return next((float(moment) for moment in written_at if isinstance(moment, int | float)), 0.0)


def _placed(record: Record, places: Mapping[str, int]) -> Record:
    parent = record["more"].get("parentID")
    if parent not in places:
        return record
    return {**record, "more": {**record["more"], "parentID": places[parent]}}


def written(record: Record, region_id: str, types: Mapping[str, str], codecs: Mapping[str, Codec]) -> Result:
    """A record as the result items of one region.

    `types` are by the name of the control.
    """
    more = dict(record.get("more", {}))
    if isinstance(more.get("parentID"), int):
        more["parentID"] = name_of(more["parentID"])
    return [
        {"id": region_id, "from_name": name, "to_name": record["on"], "type": types[name], **more,
         "value": {
             **record["where"],
             **({} if answer is None or name not in codecs else {codecs[name].key: answer}),
         }}
        for name, answer in record["answers"].items()
        if name in types
    ]  # fmt: skip


def name_of(place: int) -> str:
    """The id of a record in a prediction.

    Label Studio's page wants text.
    """
    return f"region-{place}"


def identity(record: Record) -> str:
    """The content of a record, without how it came to be.

    It is equal for two that say the same.
    """
    more = {
        key: value for key, value in record.get("more", {}).items() if key not in (*PROVENANCE, "parentID")
    }
    return canonical([record["on"], record["where"], record["answers"], more])


def likeness(a: Record, b: Record, codecs: Mapping[str, Codec]) -> float:
    """The likeness of two records, from 0 to 1.

    Their overlap times the mean agreement of what was said of them.
    """
    if a["on"] != b["on"] or a["more"].get("item_index") != b["more"].get("item_index"):
        return 0.0
    names = a["answers"].keys() | b["answers"].keys()
    said = [_said(a["answers"], b["answers"], name, codecs) for name in sorted(names)]
    return round(shapes.overlap(a["where"], b["where"]) * (sum(said) / len(said) if said else 1.0), 9)


def _said(a: Mapping[str, Any], b: Mapping[str, Any], name: str, codecs: Mapping[str, Codec]) -> float:
    ours, theirs = a.get(name), b.get(name)
    if ours == theirs:
        return 1.0
    return (
        codecs[name].agree(ours, theirs)
        if name in codecs and ours is not None and theirs is not None
        else 0.0
    )


def matched(
    a: Sequence[Record], b: Sequence[Record], codecs: Mapping[str, Codec]
) -> list[tuple[int, int, float]]:
    """The matched pairs of records that make the sum of likeness largest.

    A pair is (place in a, place in b, likeness); unlike ones are no pair. Kuhn, "The Hungarian method for the
    assignment problem" (1955).
    """
    if not a or not b:
        return []
    from scipy.optimize import linear_sum_assignment

    likenesses = [[likeness(one, other, codecs) for other in b] for one in a]
    rows, columns = linear_sum_assignment(likenesses, maximize=True)
    pairs = ((int(i), int(j)) for i, j in zip(rows, columns, strict=True))
    return [(i, j, likenesses[i][j]) for i, j in pairs if likenesses[i][j] > 0]


def agree(a: Sequence[Record], b: Sequence[Record], codecs: Mapping[str, Codec]) -> float:
    """Twice the likeness of the matched records ÷ all records of both.

    1 for two empty lists.
    """
    if not a and not b:
        return 1.0
    return min(1.0, 2 * sum(score for *_, score in matched(a, b, codecs)) / (len(a) + len(b)))


def errors(
    answer: Sequence[Record], reference: Sequence[Record], codecs: Mapping[str, Codec]
) -> tuple[int, int]:
    """Count the records that are wrong, and all records of the reference.

    Wrong are those that are missing, too many or half unlike.
    """
    right = sum(score >= 0.5 for *_, score in matched(answer, reference, codecs))
    return max(len(answer), len(reference)) - right, len(reference)


def merge(base: Sequence[Record], ours: Sequence[Record], theirs: Sequence[Record]) -> list[Record] | None:
    """Merge records: with what either side added, without what either took out.

    None where two changes meet in one place.
    """
    was, a, b = ({identity(one): one for one in side} for side in (base, ours, theirs))
    if a.keys() == b.keys():
        return list(ours)
    if _clash([v for k, v in {**was, **a}.items() if (k in was) != (k in a)],
              [v for k, v in {**was, **b}.items() if (k in was) != (k in b)]):  # fmt: skip
        return None
    kept = (was.keys() & a.keys() & b.keys()) | (a.keys() - was.keys()) | (b.keys() - was.keys())
    found = {**was, **b, **a}
    return [found[name] for name in sorted(kept)]


def with_parents_named(side: Sequence[Record]) -> list[Record]:
    """Records whose `parentID` says what the parent is.

    It says so instead of its place, which a merge changes.
    """
    return [
        _with_parent(one, lambda place: identity(side[place]) if place < len(side) else None) for one in side
    ]


def with_parents_placed(merged: Sequence[Record]) -> list[Record]:
    """The inverse of `with_parents_named`, of the records of a merge.

    One whose parent is gone has none.
    """
    places = places_of(merged)
    return [_with_parent(one, places.get) for one in merged]


def places_of(side: Sequence[Record]) -> dict[str, int]:
    """The place of each record by what it is."""
    return {identity(one): place for place, one in enumerate(side)}


def _with_parent(record: Record, known_as: Callable[[Any], Any]) -> Record:
    more = record.get("more", {})
    if "parentID" not in more:
        return record
    parent = known_as(more["parentID"])
    kept = {key: part for key, part in more.items() if key != "parentID"}
    return {**record, "more": kept if parent is None else {**kept, "parentID": parent}}


def _clash(ours: Sequence[Record], theirs: Sequence[Record]) -> bool:
    """Say whether a change of one side meets another change of the other side."""
    return any(
        identity(one) != identity(other)
        and one["on"] == other["on"]
        and shapes.may_meet(one["where"], other["where"])
        for one in ours
        for other in theirs
    )


def rounded(value: Any) -> Any:
    if isinstance(value, float):
        near = round(value, DIGITS)
        return int(near) if near.is_integer() else near
    if isinstance(value, dict):
        return {key: rounded(one) for key, one in value.items()}
    return [rounded(one) for one in value] if isinstance(value, list) else value
