"""Promises of lsloop about answers and values.

Nothing is there twice, nothing is lost or changed, and everything is explained.
"""

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any
from uuid import UUID

from lsloop.demo.proof import Check, Seen, World, agree, first, origin
from lsloop.demo.shift import Submission, standing
from lsloop.values.text import counted, words

Place = tuple[UUID, int]
"""A task's key and the number of an annotation in it."""


def promises(world: World, seen: Seen) -> list[Check]:
    """Check what became of the answers."""
    kept = {one.place for one in standing(world.submitted)}
    taken_back = {one.place for one in world.submitted} - kept
    return [
        Check(
            f"{counted(len(world.submitted), 'version')} of annotations, each in the ledger exactly once",
            _received_once(world, seen),
        ),
        Check(
            "every revision is what its annotator submitted, or a merge of it", first(_foreign(world, seen))
        ),
        Check("every current value is explained by a revision", first(_unexplained(world, seen))),
        Check(
            "no human value was lost: it stands, or what took its place says why",
            first([*_unaccounted(world, seen), *_displaced(seen)]),
        ),
        Check(
            f"none of {len(taken_back)} skipped or deleted answers is a value",
            first(_stands(seen, taken_back)),
        ),
        Check("no answer to a probe is a value", first(_probed(seen))),
    ]


def _received_once(world: World, seen: Seen) -> str:
    given = _by_place((one.place, _version(one)) for one in world.submitted)
    held = _by_place(
        ((row.task_key, row.ls_annotation_id), (row.annotator, row.was_cancelled, row.deleted, row.result))
        for row in seen.annotation_versions
    )
    return first(
        f"annotation {place[1]}: {len(given.get(place, []))} submitted, {len(held.get(place, []))} "
        "in the ledger"
        for place in {*given, *held}
        if given.get(place) != held.get(place)
    )


def _version(one: Submission) -> tuple[Any, ...]:
    return one.annotator, one.text is None, one.deleted, one.result


def _by_place(versions: Iterable[tuple[Place, Any]]) -> dict[Place, list[Any]]:
    found: dict[Place, list[Any]] = {}
    for place, version in versions:
        found.setdefault(place, []).append(version)
    return found


def _foreign(world: World, seen: Seen) -> Iterator[str]:
    """Revisions in people's names that nobody submitted."""
    texts = _by_place(
        (one.place, (one.annotator, one.text)) for one in world.submitted if one.text is not None
    )
    for row in seen.revisions:
        given = texts.get(_place(row), [])
        is_own = (row.actor, row.value) in given
        if (row.origin == "human" and not is_own) or (
            row.origin == "merged" and not _is_merge(world, seen, row, given)
        ):
            yield f"{row.external_id} says {row.value!r} in the name of {row.actor}"


def _is_merge(world: World, seen: Seen, row: Any, given: Iterable[tuple[str, str]]) -> bool:
    """Tell whether each word is the annotator's, or upstream's for this sample."""
    said = [text for annotator, text in given if annotator == row.actor]
    upstream = [
        r.value for r in seen.revisions if r.external_id == row.external_id and r.origin == "upstream"
    ]
    known = {word for text in (*said, *upstream, world.came[origin(row.external_id)]) for word in words(text)}
    return bool(said) and set(words(row.value)) <= known


def _place(row: Any) -> Place:
    return row.task_key, row.ls_annotation_id


def _unexplained(world: World, seen: Seen) -> Iterator[str]:
    """Yield values that are neither what people hold nor what upstream says now.

    The latter counts only where people hold no revision.
    """
    revisions = {name: list(rows) for name, rows in groupby(seen.revisions, key=lambda row: row.external_id)}
    for row in seen.current:
        own = revisions.get(row.external_id, [])
        held = [one for one in own if one.held]
        right = held[0].value if held else world.upstream[origin(row.external_id)]
        is_written = any(one.value == row.value for one in own if one.held or not held)
        if row.value != right or not is_written or (held and held[0].origin == "upstream"):
            yield f"{row.external_id} says {row.value!r}, its revision {right!r}"


def _unaccounted(world: World, seen: Seen) -> Iterator[str]:
    """Yield answers that decide their task without a revision or a conflict."""
    known = {_place(row) for row in (*seen.revisions, *seen.conflicts)}
    for row in seen.tasks:
        spoken = [] if row.is_gold_probe else _speaking(world, seen, row)
        if spoken and not any(one.place in known for one in spoken):
            yield (
                f"nobody knows what became of {spoken[0].text!r}, "
                f"which {spoken[0].annotator} said of {row.external_id}"
            )


def _speaking(world: World, seen: Seen, task: Any) -> list[Submission]:
    """Return the answers that decide a task.

    These are those to its adjudication, else its own if they are enough and agree.
    """
    asked = {row.task_key for row in seen.tasks if row.adjudicates == task.task_key}
    answers = standing(world.submitted)
    decided = [one for one in answers if one.task_key in asked]
    own = [one for one in answers if one.task_key == task.task_key]
    return decided or (own if len(own) >= task.overlap and agree(world, own) else [])


def _displaced(seen: Seen) -> Iterator[str]:
    """Values of people in whose place another one is without a reason."""
    for name, rows in groupby(seen.revisions, key=lambda row: row.external_id):
        history = list(rows)
        for at, row in enumerate(history):
            if row.origin in ("human", "merged") and not row.held and not _is_explained(history[at + 1 :]):
                yield f"{name} said {row.value!r} by {row.actor}, and nothing says why it does not any more"


def _is_explained(later: Iterable[Any]) -> bool:
    """Tell whether the revision that took a value's place says why.

    One that upstream was kept aside with took nobody's place.
    """
    following = [row for row in later if not (row.reason or "").startswith("kept aside")]
    return bool(following and following[0].reason)


def _stands(seen: Seen, taken_back: set[Place]) -> Iterator[str]:
    for row in seen.revisions:
        if row.held and row.origin == "human" and _place(row) in taken_back:
            yield f"{row.external_id} says {row.value!r}, by annotation {row.ls_annotation_id}"


def _probed(seen: Seen) -> Iterator[str]:
    probes = {row.task_key for row in seen.tasks if row.is_gold_probe}
    for row in seen.revisions:
        if row.task_key in probes:
            yield f"{row.external_id} says {row.value!r}, by annotation {row.ls_annotation_id}"
