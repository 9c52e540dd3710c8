"""An answer to a label config as one value.

It is read, written, compared, merged and shown by the codecs of its controls.

A value holds each control that answers for the whole task under its name, all `regions` (see records.py), the
`relations` between them, and under `other`, as it came, what no codec knows. What is empty is not in it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from lsloop.records import Result, Value
from lsloop.values import controls, placing, records, relations
from lsloop.values.controls import Codec, Pair, canonical
from lsloop.values.regions import Control

REGIONS, RELATIONS, OTHER = "regions", "relations", "other"
FIELDS = "fields"


@dataclass(frozen=True)
class Answers:
    """The answers that the controls of a label config give.

    `tags` are the controls by name.
    """

    tags: Mapping[str, Control]
    renamed: Mapping[str, str] = field(default_factory=dict)
    """The names of the value by the names of the controls, where they differ."""

    @cached_property
    def codecs(self) -> dict[str, Codec]:
        """The codec of each control that one is known of."""
        known = controls.CODECS
        return {name: known[tag.type] for name, tag in self.tags.items() if tag.type in known}

    @cached_property
    def writes(self) -> tuple[str, ...]:
        """The names that an answer may hold.

        They are the controls of the whole task, regions where something can be marked, and `other`.
        """
        marks = any(tag.type in controls.MARKING for tag in self.tags.values())
        own = [self._name(name) for name, tag in self.tags.items() if self._is_for_task(name, tag)]
        parts = ((REGIONS, marks or self._has_regions), (OTHER, bool(self.unknown)))
        return (*own, *(self._name(name) for name, has in parts if has))

    @cached_property
    def unknown(self) -> tuple[str, ...]:
        """The controls that no codec is known of."""
        return tuple(name for name, tag in self.tags.items() if not self._has_codec(name, tag))

    @cached_property
    def _has_regions(self) -> bool:
        return any(tag.per_region for tag in self.tags.values())

    def _has_codec(self, name: str, tag: Control) -> bool:
        return name in self.codecs or tag.type in controls.DRAWN

    def _is_for_task(self, name: str, tag: Control) -> bool:
        return name in self.codecs and tag.type not in controls.MARKING and not tag.per_region

    def _name(self, control: str) -> str:
        return self.renamed.get(control, control)

    def read(self, result: Result) -> Value:
        """A result as a value.

        Raises ValueError with one sentence for what a control cannot have answered.
        """
        if not isinstance(result, list) or not all(isinstance(item, dict) for item in result):
            raise ValueError("The result is not a list of regions.")
        known = [item for item in result if self._is_known(item)]
        for item in known:
            self._check(item["from_name"], item["value"])
        inside = {item.get("id") for item in known if self._is_region(item)} - {None}
        regions = [item for item in known if self._is_region(item) or item.get("id") in inside]
        value = self._of_task([item for item in known if item not in regions])
        found, places = records.ordered(records.gathered(regions, self.codecs))
        related = [item for item in result if item.get("type") == "relation"]
        rest = [item for item in result if item not in known and item not in related]
        joined, loose = _relations(related, places)
        parts = {REGIONS: found, RELATIONS: joined, OTHER: [*rest, *loose]}
        return value | {self._name(name): part for name, part in parts.items() if part}

    def _is_known(self, item: Mapping[str, Any]) -> bool:
        name = item.get("from_name")
        tag = self.tags.get(name) if isinstance(name, str) else None
        if tag is None or not isinstance(item.get("value"), dict):
            return False
        return self._has_codec(str(name), tag)

    def _check(self, name: str, value: Mapping[str, Any]) -> None:
        """Raise ValueError for an answer that the control does not offer."""
        tag, codec = self.tags[name], self.codecs.get(name)
        given = value.get(codec.key) if codec else None
        if given is None:
            return
        if tag.type == "rating" and not (type(given) in (int, float) and given in range(1, tag.most + 1)):
            raise ValueError(
                f"The rating {name!r} is {given!r}; it must be a whole number from 1 to {tag.most}."
            )
        if tag.type == "choices" and tag.values:
            steps = [step for one in _listed(given) for step in _listed(one)]
            if alien := [step for step in steps if isinstance(step, str) and step not in tag.values]:
                raise ValueError(f"{name!r} has no choice {', '.join(map(repr, alien))}.")

    def _is_region(self, item: Mapping[str, Any]) -> bool:
        """Say whether an item describes a place in what is shown."""
        tag = self.tags[item["from_name"]]
        codec = self.codecs.get(item["from_name"])
        place = item["value"].keys() - {codec.key if codec else None}
        return bool(place) or "item_index" in item or tag.per_region or tag.type in controls.MARKING

    def _of_task(self, items: Iterable[Mapping[str, Any]]) -> Value:
        value: Value = {}
        for item in items:
            name = item["from_name"]
            codec = self.codecs[name]
            try:
                answer = codec.normal(item["value"].get(codec.key))
            except ValueError as error:
                raise ValueError(f"The answer {name!r} is not understood. {error}") from error
            before = value.get(self._name(name), [])
            value[self._name(name)] = (
                codec.normal([*before, *answer]) if before and isinstance(before, list) else answer
            )
        return {name: answer for name, answer in value.items() if answer != []}

    def write(self, value: Value) -> Result:
        """The inverse of `read`.

        What the label config has no control for is left out, but for `other`.
        """
        own = [part for name in self.tags for part in self._written(name, value.get(self._name(name)))]
        types = {
            name: tag.type for name, tag in self.tags.items()
        }  # of a chat, too: the page says `chatmessage`
        regions = value.get(self._name(REGIONS), [])
        marked = [
            item
            for place, record in enumerate(regions)
            for item in records.written(record, records.name_of(place), types, self.codecs)
        ]
        joined = [_related(one, len(regions)) for one in value.get(self._name(RELATIONS), [])]
        return [*own, *marked, *joined, *value.get(self._name(OTHER), [])]

    def _written(self, name: str, answer: Any) -> Result:
        tag = self.tags[name]
        if answer in (None, []) or not self._is_for_task(name, tag):
            return []
        codec = self.codecs[name]
        item = {"id": name, "from_name": name, "to_name": tag.to_name, "type": tag.type}
        return [item | {"value": {codec.key: codec.normal(answer)}}]

    def normal(self, value: Value) -> Value:
        """The one form of equal answers.

        Raises ValueError as `read` does.
        """
        return self.read(self.write(value))

    def given(self, value: Value) -> Value:
        """A value that somebody wrote by hand, in the form that is compared.

        Raises ValueError as `read` does.
        """
        return {name: self._given(name, part) for name, part in value.items() if part is not None}

    def _given(self, name: str, part: Any) -> Any:
        if name == self._name(REGIONS):
            return [records.given(record, self.codecs) for record in part]
        if name == self._name(RELATIONS):
            return relations.given(part)
        return self._codec(name).normal(part)

    def agree(self, a: Value, b: Value) -> float:
        """The mean agreement of the parts that either value has.

        It is symmetric, in [0, 1], and 1 for equal values.
        """
        scores = [
            relations.agree(self._side(a), self._side(b), self.codecs)
            if name == self._name(RELATIONS)
            else self._agree(name, a.get(name), b.get(name))
            for name in self._parts(a, b)
        ]
        return sum(scores) / len(scores) if scores else 1.0

    def _agree(self, name: str, a: Any, b: Any) -> float:
        if a == b:
            return 1.0
        if name == self._name(REGIONS):
            return records.agree(a or [], b or [], self.codecs)
        if a is None or b is None:
            return 0.0
        return self._codec(name).agree(a, b)

    def _side(self, value: Value) -> relations.Side:
        """The relations of a value, and the regions that they join."""
        return value.get(self._name(RELATIONS)) or [], value.get(self._name(REGIONS)) or []

    def _parts(self, *values: Value) -> list[str]:
        names = dict.fromkeys(
            name for value in values for name, part in value.items() if part not in (None, [])
        )
        return sorted(names)

    def _codec(self, name: str) -> Codec:
        """The codec of a part of a value.

        What no codec knows is compared as a whole.
        """
        if name == self._name(OTHER):
            return _LISTS
        return self._by_part.get(name, _UNKNOWN)

    @cached_property
    def _by_part(self) -> dict[str, Codec]:
        return {self._name(name): codec for name, codec in self.codecs.items()}

    @cached_property
    def unit(self) -> str:
        """The unit in which errors are counted.

        It is the unit that all parts share, else `fields`, each of which is right or wrong. A region counts
        as one of `fields`, and a relation as one of `regions`.
        """
        units = {self._unit(name) for name in self.writes}
        return units.pop() if len(units) == 1 else FIELDS

    def _unit(self, name: str) -> str:
        return REGIONS if name == self._name(REGIONS) else self._codec(name).unit

    def errors(self, answer: Value, reference: Value) -> Pair:
        """Wrong, missing and extra units, and all units of the reference."""
        counted = [
            relations.errors(self._side(answer), self._side(reference), self.codecs)
            if name == self._name(RELATIONS)
            else self._counted(name, answer.get(name), reference.get(name))
            for name in self._parts(answer, reference)
        ]
        return sum(wrong for wrong, _ in counted), sum(total for _, total in counted)

    def _counted(self, name: str, answer: Any, reference: Any) -> Pair:
        if name == self._name(REGIONS):
            return records.errors(answer or [], reference or [], self.codecs)
        if self.unit == FIELDS and name in self._by_part:
            return int(answer != reference), int(reference not in (None, []))
        return self._of_part(self._codec(name), answer, reference)

    def _of_part(self, codec: Codec, answer: Any, reference: Any) -> Pair:
        """The errors of one part, by the codec.

        A part that is not there is an empty one, where there can be one.
        """
        empty = next((type(one)() for one in (answer, reference) if isinstance(one, list | dict)), None)
        ours, theirs = (empty if one is None else one for one in (answer, reference))
        if ours is None or theirs is None:
            return 1, int(theirs is not None)
        return codec.errors(ours, theirs)

    def merge(self, base: Value, ours: Value, theirs: Value) -> Value | None:
        """Merge both sides' changes of `base` in one value.

        None where they clash and people must look.
        """
        if ours == theirs or theirs == base:
            return self._filled(ours)
        if ours == base:
            return self._filled(theirs)
        was, a, b = map(self._named, (base, ours, theirs))
        merged = {
            name: self._merged(name, was.get(name), a.get(name), b.get(name))
            for name in self._parts(was, a, b)
        }
        return None if _CLASH in merged.values() else self._placed(self._filled(merged))

    @staticmethod
    def _filled(value: Value) -> Value:
        return {name: part for name, part in value.items() if part not in (None, [])}

    def _named(self, value: Value) -> Value:
        """A value whose relations and parents name regions by what they are.

        They do not say at which place of the list a region is.
        """
        found = self._filled(value)
        regions = found.get(self._name(REGIONS), [])
        names = {place: name for name, place in records.places_of(regions).items()}
        joined = [_renamed(one, names) for one in found.get(self._name(RELATIONS), [])]
        parts = {REGIONS: records.with_parents_named(regions), RELATIONS: joined}
        return found | {self._name(name): part for name, part in parts.items() if part}

    def _placed(self, merged: Value) -> Value | None:
        """The inverse of `_named`, of a merge.

        None where a relation joins a region that the other side took out.
        """
        regions = merged.get(self._name(REGIONS), [])
        places = records.places_of(regions)
        joined = [_renamed(one, places) for one in merged.get(self._name(RELATIONS), [])]
        if any(None in (one["from"], one["to"]) for one in joined):
            return None
        parts = {REGIONS: records.with_parents_placed(regions), RELATIONS: sorted(joined, key=canonical)}
        return merged | {self._name(name): part for name, part in parts.items() if part}

    def _merged(self, name: str, base: Any, ours: Any, theirs: Any) -> Any:
        if ours == theirs or theirs == base:
            return ours
        if ours == base:
            return theirs
        if name == self._name(REGIONS):
            found: Any = records.merge(base or [], ours or [], theirs or [])
        elif name == self._name(RELATIONS):
            found = relations.merge(base or [], ours or [], theirs or [])
        elif base is None or ours is None or theirs is None:
            return _CLASH
        else:
            found = self._codec(name).merge(base, ours, theirs)
        return _CLASH if found is None else found

    def show(self, value: Value) -> str:
        """A value for people: a line per part."""
        return "\n".join(
            f"{name}: {'; '.join(_listed(part))}" for name, part in sorted(self.readable(value).items())
        )

    def readable(self, value: Value) -> dict[str, str | list[str]]:
        """The parts of a value as texts.

        Regions, and relations between them, are a list of one each.
        """
        return {name: self._readable(name, part) for name, part in value.items() if part not in (None, [])}

    def _readable(self, name: str, part: Any) -> str | list[str]:
        if name == self._name(REGIONS):
            return [placing.shown(record, self.codecs) for record in part]
        if name == self._name(RELATIONS):
            return [relations.shown(one) for one in part]
        return self._codec(name).show(part)


def _listed(given: Any) -> list[Any]:
    return given if isinstance(given, list) else [given]


_CLASH = object()

_UNKNOWN = controls.verbatim("")

_LISTS = Codec(
    "",
    "answers",
    controls.anything,
    controls.dice,
    controls.set_errors,
    controls.merged_set,
    controls.plain,
)


def _relations(items: Sequence[Mapping[str, Any]], places: Mapping[str, int]) -> tuple[list[Any], list[Any]]:
    """Relations by the places of their records, sorted, and those without a region.

    The latter name a region which is not there.
    """
    joined, loose = [], []
    for item in items:
        ends = places.get(str(item.get("from_id"))), places.get(str(item.get("to_id")))
        rest = {key: part for key, part in item.items() if key not in ("from_id", "to_id", "type")}
        if None in ends:
            loose.append(dict(item))
        else:
            joined.append({"from": ends[0], "to": ends[1], **rest})
    return sorted(joined, key=canonical), loose


def _renamed(relation: Mapping[str, Any], names: Mapping[Any, Any]) -> dict[str, Any]:
    """A relation whose ends have other names; None where there is none."""
    return {**relation, "from": names.get(relation["from"]), "to": names.get(relation["to"])}


def _related(relation: Mapping[str, Any], regions: int) -> dict[str, Any]:
    ends = relation["from"], relation["to"]
    if not all(isinstance(end, int) and 0 <= end < regions for end in ends):
        raise ValueError(f"A relation names region {ends[0]} and {ends[1]}; there are {regions}.")
    rest = {key: part for key, part in relation.items() if key not in ("from", "to")}
    return {
        "type": "relation",
        "from_id": records.name_of(ends[0]),
        "to_id": records.name_of(ends[1]),
        **rest,
    }
