"""What must be true after the run that follows a fault, and the people whose work must not be lost."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from lsloop.labelstudio import tasks
from world import TRANSCRIPT, World

LIVE = ("claimed", "open", "annotated", "conflicted")


@dataclass(frozen=True)
class Answer:
    """An annotation as its annotator submitted it."""

    ls_annotation_id: int
    external_id: str
    text: str


def in_label_studio(world: World, task_type: str = TRANSCRIPT) -> list[dict[str, Any]]:
    """Every task of the project that people are given, with its annotations."""
    return [task for task in all_there(world, task_type) if tasks.NOT_NEEDED not in task["data"]]


def all_there(world: World, task_type: str = TRANSCRIPT) -> list[dict[str, Any]]:
    """Every task of the project, those that were put away included."""
    return [task for page in tasks.changed(world.studio, project_id(world, task_type)) for task in page.tasks]


def project_id(world: World, task_type: str = TRANSCRIPT) -> int:
    return int(world.value("SELECT ls_project_id FROM projects WHERE task_type = :t", t=task_type))


def external_ids(world: World) -> dict[str, str]:
    return {
        str(row.sample_id): row.external_id
        for row in world.rows("SELECT sample_id, external_id FROM samples")
    }


def check_sent_once(world: World, task_type: str = TRANSCRIPT, samples: int | None = None) -> None:
    """Each sample (or `samples` of them) is in Label Studio exactly once, and the ledger knows it by its
    id."""
    names, there = external_ids(world), in_label_studio(world, task_type)
    times = Counter(names[task["data"]["sample_id"]] for task in there)
    assert [name for name, count in times.items() if count > 1] == [], "twice in Label Studio"
    assert len(times) == (len(names) if samples is None else samples), "missing in Label Studio"
    known = world.rows(
        "SELECT task_key, ls_task_id, state, sample_id FROM tasks WHERE task_type = :t AND state <>"
        " 'cancelled'",
        t=task_type,
    )
    assert {(str(row.task_key), row.ls_task_id, str(row.sample_id)) for row in known} == {
        (task["data"][tasks.KEY], task["id"], task["data"]["sample_id"]) for task in there
    }
    assert [row.task_key for row in known if row.state == "claimed"] == []
    check_locks(world)


def check_locks(world: World) -> None:
    """One live lock per live task, and no other lock of a task."""
    locks = world.rows("SELECT task_key FROM locks WHERE released_at IS NULL AND task_key IS NOT NULL")
    live = world.rows("SELECT task_key FROM tasks WHERE state = ANY (:live)", live=list(LIVE))
    assert Counter(row.task_key for row in locks) == Counter(row.task_key for row in live)


def answer(world: World, task: dict[str, Any], text: str = "") -> Answer:
    """Somebody submits a transcript, by default one that names its sample."""
    name = external_ids(world)[task["data"]["sample_id"]]
    text = text or f"heard in {name}"
    return Answer(int(world.annotate(task, text)["id"]), name, text)


def answer_all(world: World) -> list[Answer]:
    """Every task gets its answer."""
    return [answer(world, task) for task in in_label_studio(world)]


def check_received_once(world: World, answers: Iterable[Answer]) -> None:
    """Each answer is in the ledger exactly once, at its sample, and nothing else is."""
    held = world.rows(
        """SELECT ls_annotation_id, external_id, value ->> 'transcript' AS text
             FROM annotations JOIN tasks USING (task_key) JOIN samples USING (sample_id)
            WHERE annotations.deleted_at IS NULL"""
    )
    assert Counter(Answer(*row) for row in held) == Counter(answers)


def check_accepted(world: World, answers: Iterable[Answer]) -> None:
    """Each answer became its sample's value, by one revision, and its task is at its end."""
    expected = {one.external_id: one.text for one in answers}
    current = world.current()
    assert {name: current[name] for name in expected} == expected
    made = world.rows(
        "SELECT external_id FROM revisions JOIN samples USING (sample_id) WHERE origin = 'human'"
    )
    assert Counter(row.external_id for row in made) == Counter(expected.keys())
    check_locks(world)
