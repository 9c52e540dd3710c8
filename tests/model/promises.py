"""What must be true of a ledger whatever happened, and what each kind of deed may change."""

from collections import Counter
from typing import Any

from lsloop.records import result_hash
from model.picture import LIVE, Picture, is_ordinary
from model.studio import Store


def check_always(before: Picture, now: Picture) -> None:
    """After everything, whatever it was."""
    nothing_is_forgotten(before, now)
    one_live_task_and_lock_each(now)
    values_are_explained(now)
    held_values_change_visibly(before, now)


def nothing_is_forgotten(before: Picture, now: Picture) -> None:
    """No revision and no version of an answer ever changes or disappears."""
    for table in ("revisions", "history", "audit"):
        old, new = getattr(before, table), getattr(now, table)
        assert {key: new.get(key) for key in old} == old, f"{table} changed"
    assert before.annotations.keys() <= now.annotations.keys()
    assert before.tasks.keys() <= now.tasks.keys()
    assert before.conflicts.keys() <= now.conflicts.keys()


def one_live_task_and_lock_each(now: Picture) -> None:
    live = now.live_tasks()
    times = Counter((task["sample_id"], task["task_type"]) for task in live)
    assert not [each for each, count in times.items() if count > 1], "two live tasks of one sample"
    held = Counter((lock["sample_id"], lock["task_type"]) for lock in now.locks.values())
    assert not [each for each, count in held.items() if count > 1], "two live locks of one sample"
    locked = Counter(lock["task_key"] for lock in now.locks.values() if lock["task_key"])
    # A task that begins again while somebody else holds its sample has no lock until they let go.
    taken = {
        (lock["sample_id"], lock["task_type"]) for lock in now.locks.values() if lock["task_key"] is None
    }
    wanted = {task["id"] for task in live}
    waits = {task["id"] for task in live if (task["sample_id"], task["task_type"]) in taken}
    assert set(locked) <= wanted, "the lock of a task that is at its end"
    assert wanted - waits <= set(locked), "a live task without a lock"


def values_are_explained(now: Picture) -> None:
    """The current value of each field is one revision's: of those that count, the latest."""
    said: dict[tuple[Any, str], list[dict[str, Any]]] = {}
    for value in now.values.values():
        said.setdefault((value["sample_id"], value["field"]), []).append(value)
    for sample in now.samples.values():
        names = {field for id_, field in said if id_ == sample["id"]} | sample["fields"].keys()
        for name in names - {"media"}:
            revisions = sorted(said.get((sample["id"], name), []), key=lambda r: r["version"])
            assert [r["version"] for r in revisions] == list(range(1, len(revisions) + 1))
            held = sample["held"].get(name)
            speaks = revisions[-1] if held is None else revisions[held - 1]
            assert speaks["value"] == sample["fields"].get(name), f"{name} is not what its revision says"
            if held is None:
                assert speaks["origin"] not in ("human", "merged"), f"{name} of a person is not held"
                assert sample["fields"].get(name) == (sample["upstream"] or sample["fields"]).get(name)
            else:
                # After an undo the latest says again what the one that is held said.
                latest = [r for r in revisions if r["origin"] in ("human", "merged")][-1]
                assert speaks["origin"] in ("human", "merged")
                assert latest["value"] == speaks["value"], "a newer value of a person is not current"


def held_values_change_visibly(before: Picture, now: Picture) -> None:
    """A value of a person stays current until another one's takes its place, or its withdrawal is written
    down."""
    for id_, was in before.samples.items():
        sample = now.samples[id_]
        for name in was["held"].keys() | sample["held"].keys():
            old, new = was["held"].get(name), sample["held"].get(name)
            if old == new:
                assert was["fields"].get(name) == sample["fields"].get(name)
                continue
            assert any(
                key not in before.revisions and (r["sample_id"], r["field"]) == (id_, name)
                and r["value"] == sample["fields"].get(name)
                for key, r in now.revisions.items()
            ), "what people hold changed without a word"  # fmt: skip


def check_unchanged(before: Picture, now: Picture, *tables: str) -> None:
    for table in tables or Picture.__dataclass_fields__:
        assert getattr(before, table) == getattr(now, table), f"{table} changed"


def check_mirrors(now: Picture, store: Store, project: dict[str, Any]) -> None:
    """After a pull that nobody disturbed: the ledger knows every answer as Label Studio has it, and which
    tasks it has."""
    there = {task["id"]: task for task in store.tasks.values() if task["project"] == project["ls_project_id"]}
    keys = {str(key): task for key, task in now.tasks.items() if task["project_id"] == project["project_id"]}
    for task in there.values():
        ours = keys[task["data"]["task_key"]]
        given = {_version(a["id"], result_hash(a["result"]), a) for a in store.annotations_of(task)}
        known = {
            _version(a["ls_annotation_id"], a["result_hash"], a) for a in now.annotations.values()
            if a["task_key"] == ours["id"] and a["ls_task_id"] == task["id"] and a["deleted_at"] is None
        }  # fmt: skip
        assert known == given, "an answer that the ledger does not have as it is"
    for ours in keys.values():
        if ours["ls_task_id"] is not None and ours["gone_at"] is None:
            found = there.get(ours["ls_task_id"])
            assert found, "a deleted task that the ledger believes in"
            assert found["data"]["task_key"] == str(ours["id"]), "somebody else's task"


def _version(id_: int, digest: str, a: dict[str, Any]) -> tuple[int, str, bool, bool]:
    return id_, digest, a["was_cancelled"], a["ground_truth"]


def standing_versions(store: Store, project: dict[str, Any]) -> set[tuple[str, int, str, bool, bool]]:
    """(task key, answer, …) of all that a pull finds now: from then on the ledger must have it."""
    return {
        (task["data"]["task_key"], *_version(a["id"], result_hash(a["result"]), a))
        for task in store.tasks.values() if task["project"] == project["ls_project_id"]
        for a in store.annotations_of(task)
    }  # fmt: skip


def check_kept(now: Picture, seen: set[tuple[str, int, str, bool, bool]]) -> None:
    """Every version of an answer that ever stood when a pull came is in the history."""
    kept = set()
    for version in now.history.values():
        answer = now.annotations[version["annotation_id"]]
        kept.add(
            (str(answer["task_key"]), *_version(answer["ls_annotation_id"], version["result_hash"], version))
        )
    assert seen <= kept, "a version of an answer that the ledger does not have"


def check_sent_once(now: Picture, store: Store, project: dict[str, Any]) -> None:
    """After a push that nobody disturbed: people are given each task once, and no sample is at work there
    twice."""
    by_key: dict[str, list[dict[str, Any]]] = {}
    for task in store.tasks.values():
        if task["project"] == project["ls_project_id"]:
            by_key.setdefault(task["data"]["task_key"], []).append(task)
    for twins in by_key.values():
        idle = [one for one in twins if not store.annotations_of(one) and "not_needed" not in one["data"]]
        answered = [one for one in twins if store.annotations_of(one)]
        assert len(idle) + bool(answered) <= 1, "given to people twice"
    ours = {str(key): task for key, task in now.tasks.items() if task["project_id"] == project["project_id"]}
    assert by_key.keys() <= ours.keys()
    assert not [task for task in ours.values() if task["state"] == "claimed"], "claimed and not sent"


def check_shown(now: Picture, store: Store) -> None:
    """What the ledger believes that annotators were shown, they were shown."""
    names = {
        "transcript_correction": ("text", "transcript"),
        "translation_review": ("source_text", "transcript"),
    }
    for task in now.tasks.values():
        versions = store.shown.get((str(task["id"]), task["ls_task_id"] or 0))
        if task["state"] in LIVE and task["state"] != "claimed" and versions and is_ordinary(task):
            shown, name = names[task["task_type"]]
            # A copy that came late may show what was sent before: its answers are held against that, too.
            believed = {base["fields"].get(name, "") for base in (task["base"], *task["earlier"])}
            assert believed & {data[shown] for data in versions}, "the base was not shown"


def check_settled(now: Picture, project: dict[str, Any]) -> None:
    """After a pull of tasks that need one answer: each answer is a value, or waits where people see it."""
    if now.quarantines:
        return
    open_conflicts = {c["task_key"]: c for c in now.conflicts.values() if c["status"] == "open"}
    for task in now.tasks.values():
        if task["project_id"] != project["project_id"] or not is_ordinary(task) or task["overlap"] > 1:
            continue
        if task["state"] in ("claimed", "cancelled", "resolved"):
            continue
        answers = {a["id"]: a for a in now.standing(task)}
        conflict = open_conflicts.get(task["id"])
        if conflict:
            # With no answer left people decide on the last one.
            assert not answers or conflict["annotation_id"] in answers
        elif answers:
            assert task["state"] == "accepted", f"an answered task is {task['state']}"
            speaks = answers.get(task["accepted_annotation_id"])
            assert speaks, "accepted is an answer that does not stand"
            assert speaks["result_hash"] == task["accepted_hash"], "an edit was not taken"
            assert speaks["ground_truth"] or not any(a["ground_truth"] for a in answers.values())
        else:
            assert task["state"] in ("open", "annotated", "parked"), (
                f"a task without an answer is {task['state']}"
            )
            _nothing_is_held_by(now, task)


def _nothing_is_held_by(now: Picture, task: dict[str, Any]) -> None:
    sample = now.samples[task["sample_id"]]
    for name in task["writes"]:
        revision = now.held_revision(sample, name)
        assert not revision or revision["task_key"] != task["id"], "a value whose answer is gone"
