"""Conflicts: what upstream changed under an annotator's hands.

They are merged where that is safe, decided, and undone.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from lsloop.config import Conflicts
from lsloop.errors import Refused
from lsloop.ledger import Ledger, conflicts
from lsloop.ledger.conflicts import Conflict
from lsloop.records import Project, Strategy, Value
from lsloop.task_types import Kind
from lsloop.values import merging

BY_RULE = "lsloop"
"""Who decides what the settings decide."""

UNCHECKED = "unchecked"
"""The remark of a merged revision: what of it the annotator was not shown."""


@dataclass
class Decided:
    """What became of some conflicts.

    It holds the decided ones, and those that stay open with the reason.
    """

    decided: list[int] = field(default_factory=list)
    reflowed: dict[int, UUID] = field(default_factory=dict)
    left: dict[int, str] = field(default_factory=dict)


def merged(kind: Kind, conflict: Conflict) -> Value | None:
    """Merge both sides' changes in one value.

    None where they overlap, or where what the annotator judged from has changed.
    """
    if conflict.ours is None or not set(conflict.fields) <= set(kind.WRITES):
        return None
    base, theirs = (_written(kind, side["fields"]) for side in (conflict.base, conflict.theirs))
    try:
        return kind.merge(base, conflict.ours, theirs)
    except (
        Exception
    ):  # what upstream says cannot be understood, so nothing can be merged with it; people look
        return None


def unchecked(conflict: Conflict, value: Value) -> dict[str, list[Any]]:
    """What came from the other side of a merge, by field.

    The annotator was not shown it, so nobody checked it.
    """
    ours = conflict.ours or {}
    found = {name: merging.added(ours.get(name), value.get(name)) for name in conflict.writes}
    return {name: what for name, what in found.items() if what}


def why_not_merged(kind: Kind, conflict: Conflict) -> str:
    """Say in words why `merged` gives nothing."""
    judged_from = sorted(set(conflict.fields) - set(kind.WRITES))
    if judged_from:
        return f"{', '.join(judged_from)} changed, which the annotator judged from"
    return f"both sides changed the same part of {', '.join(conflict.fields)}"


def resolve(
    ledger: Ledger,
    kind: Kind,
    conflict: Conflict,
    strategy: Strategy,
    *,
    actor: str,
    reason: str | None = None,
) -> UUID | None:
    """Decide one conflict as it was read; answer the new sample of `pending_reflow`.

    Raises Refused when it cannot be merged, or when either side moved since it was read.
    """
    value = merged(kind, conflict) if strategy == "merged" else None
    if strategy == "merged" and value is None:
        raise Refused(
            f"Conflict {conflict.conflict_id} cannot be merged: {why_not_merged(kind, conflict)}.",
            "Decide with --strategy human_wins, crawler_wins or pending_reflow.",
        )
    return conflicts.resolve(
        ledger, conflict, strategy, actor=actor, reason=reason, merged=_remembered(conflict, value)
    )


def resolve_all(
    ledger: Ledger,
    kind_of: Callable[[str], Kind],
    these: Iterable[Conflict],
    strategy: Strategy,
    *,
    actor: str,
    reason: str | None = None,
    advance: Callable[[int], None] = lambda done: None,
) -> Decided:
    """Decide many conflicts in one way, each in a transaction of its own.

    Those that cannot be decided stay open.
    """
    done = Decided()
    for conflict in these:
        try:
            child = resolve(
                ledger, kind_of(conflict.task_type), conflict, strategy, actor=actor, reason=reason
            )
        except Refused as refusal:
            done.left[conflict.conflict_id] = refusal.problem
        else:
            done.decided.append(conflict.conflict_id)
            if child is not None:
                done.reflowed[conflict.conflict_id] = child
        advance(1)
    return done


def by_rule(ledger: Ledger, project: Project, kind: Kind, rules: Conflicts) -> dict[str, int]:
    """Decide what the settings decide; answer how many in which way.

    What is left is for people. Two people's answers are never decided so, nor anything that somebody has
    undone.
    """
    done: Counter[str] = Counter()
    hopeless: list[Conflict] = []
    for conflict in conflicts.undecided(ledger, project):
        if not conflict.fields:
            conflicts.settle(ledger, conflict)
        elif strategy := _rule(conflict, rules):
            value = merged(kind, conflict) if strategy == "merged" else None
            if strategy == "merged" and value is None:
                hopeless.append(conflict)
            else:
                done[strategy] += _decided(ledger, conflict, strategy, value)
    conflicts.tried(ledger, hopeless)
    return {strategy: count for strategy, count in done.items() if count}


def _rule(conflict: Conflict, rules: Conflicts) -> Strategy | None:
    """The configured strategy; None where people are to decide.

    None, too, where a merge was tried in vain.
    """
    judged_from = set(conflict.fields) - set(conflict.writes)
    strategy = rules.media if judged_from else rules.text
    if strategy == "open" or "people" in conflict.moved.values():
        return None
    return None if strategy == "merged" and conflict.tried == conflict.seen else strategy


def _decided(ledger: Ledger, conflict: Conflict, strategy: Strategy, value: Value | None) -> bool:
    try:
        conflicts.resolve(
            ledger, conflict, strategy, actor=BY_RULE, reason="as params.yaml says",
            merged=_remembered(conflict, value),
        )  # fmt: skip
    except Refused:  # a side moved this moment: the next pull decides on what it says then
        return False
    return True


def _remembered(conflict: Conflict, value: Value | None) -> Value | None:
    """A merge with the remark which of it nobody checked.

    The remark stays with the revision, and in what is exported.
    """
    if value is None:
        return None
    found = unchecked(conflict, value)
    return {**value, UNCHECKED: found} if found else value


def _written(kind: Kind, fields: Value) -> Value:
    return {name: value for name, value in fields.items() if name in kind.WRITES}
