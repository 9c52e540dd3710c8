"""Each broken promise about answers and values is found: a small world in which all hold, broken in one
place."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from small_world import AN, BINH, SUBMITTED, WORLD, altered, human, seen, upstream, version

from lsloop.demo.proof import Seen
from lsloop.demo.values import promises

VERSIONS, REVISED, EXPLAINED, KEPT, TAKEN_BACK, PROBES = range(6)


def broken(found: Seen) -> list[int]:
    return [at for at, check in enumerate(promises(WORLD, found)) if check.broken]


def test_nothing_is_broken_where_every_promise_holds() -> None:
    assert broken(seen()) == []
    assert promises(WORLD, seen())[VERSIONS].promise.startswith(f"{len(SUBMITTED)} versions of annotations")
    assert promises(WORLD, seen())[TAKEN_BACK].promise == "none of 2 skipped or deleted answers is a value"


Change = Callable[[list[Any]], list[Any]]


@pytest.mark.parametrize(
    "change",
    [
        lambda versions: versions[1:],
        lambda versions: [*versions, versions[0]],
        lambda versions: [*versions[:2], *versions[3:]],
        lambda versions: [*versions[:2], versions[4], versions[3], versions[2], *versions[5:]],
        lambda versions: [*versions[:11], altered(versions[11], deleted=False), *versions[12:]],
        lambda versions: [altered(versions[0], annotator=BINH), *versions[1:]],
        lambda versions: [altered(versions[0], result=[]), *versions[1:]],
        lambda versions: [altered(versions[0], task_key=versions[-1].task_key), *versions[1:]],
        lambda versions: versions[:-1],
    ],
    ids=[
        "lost",
        "twice",
        "first version lost",
        "order",
        "deletion unseen",
        "annotator",
        "result",
        "task",
        "probe's lost",
    ],
)
def test_an_annotation_version_that_is_not_exactly_once_in_the_ledger_is_found(change: Change) -> None:
    versions = [version(one) for one in SUBMITTED]
    assert broken(replace(seen(), annotation_versions=change(versions))) == [VERSIONS]


def revised(name: str, number: int, **changes: Any) -> Seen:
    """What the ledger says if the revision that annotation `number` made last were another one."""
    found = [one for one in seen().revisions if one.ls_annotation_id == number][-1]
    own = {"value": changes["value"]} if "value" in changes and found.held else {}
    return replace(
        seen(),
        revisions=[altered(one, **changes) if one == found else one for one in seen().revisions],
        current=[altered(one, **own) if one.external_id == name else one for one in seen().current],
    )


@pytest.mark.parametrize(
    "found",
    [
        revised("agreed", 1, value="tôi bán cá."),
        revised("agreed", 1, actor=BINH),
        revised("deleted", 9, value="tôi"),
        revised("merged", 10, value="tôi bán sữa nay"),
        revised("merged", 10, actor=BINH),
    ],
    ids=["value", "annotator", "old value", "merge with a new word", "merge of another's answer"],
)
def test_a_revision_that_is_not_what_was_submitted_is_found(found: Seen) -> None:
    assert REVISED in broken(found)


@pytest.mark.parametrize(
    ("name", "value"),
    [("edited", "tôi bán cá"), ("late", "tôi mua cá"), ("merged", "tôi mua cá nay"), ("gold", "x")],
)
def test_a_current_value_without_its_revision_is_found(name: str, value: str) -> None:
    current = [altered(one, value=value) if one.external_id == name else one for one in seen().current]
    assert broken(replace(seen(), current=current)) == [EXPLAINED]


def test_a_sample_that_missed_what_upstream_said_last_is_found() -> None:
    revisions = [one for one in seen().revisions if one.value != "họ mua cá"]
    assert broken(replace(seen(), revisions=revisions)) == [EXPLAINED]


def without(number: int) -> Seen:
    """The ledger if nothing had become of an annotation."""
    gone = [one for one in seen().revisions if one.ls_annotation_id == number and one.held]
    kept = {one.external_id for one in gone}
    return replace(
        seen(),
        revisions=[one for one in seen().revisions if one not in gone],
        current=[altered(one, value=WORLD.upstream[one.external_id]) if one.external_id in kept else one
                 for one in seen().current],
        conflicts=[one for one in seen().conflicts if one.ls_annotation_id != number],
    )  # fmt: skip


@pytest.mark.parametrize("number", [1, 7, 10, 12], ids=["agreed", "decided", "merged", "in conflict"])
def test_an_answer_that_decides_its_task_and_of_which_nothing_became_is_found(number: int) -> None:
    assert broken(without(number)) == [KEPT]


@pytest.mark.parametrize("number", [3, 9], ids=["edited", "deleted"])
def test_a_human_value_that_goes_without_a_reason_is_found(number: int) -> None:
    name = {3: "edited", 9: "deleted"}[number]
    revisions = [altered(one, reason=None) if one.external_id == name else one for one in seen().revisions]
    assert broken(replace(seen(), revisions=revisions)) == [KEPT]


def test_a_human_value_overwritten_by_upstream_is_found() -> None:
    over = [altered(one, held=False) if one.external_id == "agreed" else one for one in seen().revisions]
    current = [
        altered(one, value="tôi mua cá") if one.external_id == "agreed" else one for one in seen().current
    ]
    assert broken(replace(seen(), revisions=over, current=current)) == [KEPT]


def test_what_upstream_said_beside_a_value_that_people_hold_took_nobodys_place() -> None:
    world = replace(WORLD, upstream={**WORLD.upstream, "agreed": "họ"})
    aside = upstream("agreed", "họ", reason="kept aside: people hold this field")
    found = replace(seen(), revisions=[*seen().revisions[:2], aside, *seen().revisions[2:]])
    assert not any(check.broken for check in promises(world, found))


@pytest.mark.parametrize(("name", "number"), [("skipped", 8), ("deleted", 9)])
def test_a_skipped_or_deleted_answer_that_stands_as_a_value_is_found(name: str, number: int) -> None:
    standing = human(name, "họ", number, actor=AN)
    others = [one for one in seen().revisions if one.external_id != name]
    current = [altered(one, value="họ") if one.external_id == name else one for one in seen().current]
    found = replace(
        seen(), revisions=sorted([*others, standing], key=lambda one: str(one.external_id)), current=current
    )
    assert TAKEN_BACK in broken(found)


def test_an_answer_to_a_probe_that_became_a_value_is_found() -> None:
    current = [
        altered(one, value="tôi bán trà") if one.external_id == "gold" else one for one in seen().current
    ]
    probed = human("gold", "tôi bán trà", 14)
    at = next(at for at, one in enumerate(seen().revisions) if one.external_id == "gold") + 1
    revisions = [*seen().revisions[:at], probed, *seen().revisions[at:]]
    assert broken(replace(seen(), revisions=revisions, current=current)) == [PROBES]
