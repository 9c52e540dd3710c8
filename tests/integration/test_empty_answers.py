"""An answer is one only when it says something; else it is kept, named, and its sample offered to somebody
else."""

from typing import Any

import pytest

from lsloop.labelstudio import tasks
from lsloop.labelstudio.client import LabelStudio
from lsloop.ledger import problems
from world import TRANSCRIPT, World, clips, transcript

pytestmark = pytest.mark.studio

EMPTY = [
    "",
    " \n\t",
    "\u200b",
    "\u200b\ufeff",
    "\u00a0\u3000",
    "\u0301\u0309",
    "\u2060\u00ad",
    "\u3164",
    "\u2800",
]


def next_task(world: World, who: LabelStudio) -> int | None:
    """The task that Label Studio offers somebody who presses “Label All Tasks”."""
    from lsloop.errors import Refused

    try:
        return int(who.get(f"api/projects/{world.ls_project_id}/next")["id"])
    except Refused:
        return None


def test_an_answer_that_says_nothing_is_kept_named_and_its_sample_offered_to_somebody_else(
    world: World,
) -> None:
    world.ingest(clips(len(EMPTY) + 2))
    world.push(limit=100)
    there = list(world.tasks().values())
    hasty, other = world.annotator("hasty"), world.annotator("other")
    made = [world.annotate(task, text, by=hasty) for task, text in zip(there, EMPTY, strict=False)]
    nothing = tasks.annotate(hasty, there[-2]["id"], [])
    world.annotate(there[-1], "", by=hasty, was_cancelled=True)
    pulled = world.pull()
    assert (pulled.offered, len(pulled.problems)) == (len(EMPTY) + 1, len(EMPTY) + 1)
    assert world.states() == {"open": len(there)}, "nobody has said anything of any of them"
    assert world.rows("SELECT 1 FROM revisions") == []
    listed, total = problems.listed(world.ledger, task_type=TRANSCRIPT)
    assert total == len(EMPTY) + 1
    assert {one["annotator"].split("-")[0] for one in listed} == {"hasty"}
    assert all("empty" in one["reason"] and one["ls_task_id"] for one in listed)
    assert {a["id"] for task in world.tasks().values() for a in task["annotations"]} > {a["id"] for a in made}
    assert world.pull().offered == 0, "Label Studio is told once"

    offered = {next_task(world, other)}
    assert offered <= {task["id"] for task in there}
    for task in there[:2]:
        world.annotate(task, "heard", by=other)
    pulled = world.pull()
    assert pulled.received.outcomes == {"accepted": 2}

    tasks.update_annotation(hasty, made[2]["id"], result=transcript("mended"))
    tasks.update_annotation(hasty, nothing["id"], result=transcript("mended, too"))
    pulled = world.pull()
    assert pulled.received.outcomes == {"accepted": 2}
    assert world.current()["clip-003"] == "mended"
    ids = {task["id"] for task in (there[2], there[-2])}
    overlaps = {number: world.studio.get(f"api/tasks/{number}/")["overlap"] for number in ids}
    assert set(overlaps.values()) == {1}, "nobody else is asked any more"
    _, total = problems.listed(world.ledger, task_type=TRANSCRIPT)
    assert total == len(EMPTY) + 1 - 2


def test_an_accepted_answer_that_is_emptied_is_withdrawn_and_offered_again(world: World) -> None:
    world.ingest(clips(1))
    world.push()
    (task,) = world.tasks().values()
    hasty, other = world.annotator("hasty"), world.annotator("other")
    made = world.annotate(task, "heard", by=hasty)
    world.pull()
    tasks.update_annotation(hasty, made["id"], result=[])
    pulled = world.pull()
    assert (pulled.received.outcomes, pulled.offered) == ({"withdrawn": 1}, 1)
    assert world.current()["clip-001"] == "xin chào meeting 1"
    assert next_task(world, other) == task["id"]
    world.annotate(task, "heard by another", by=other)
    assert world.pull().received.outcomes == {"accepted": 1}


def test_segments_that_cannot_be_are_no_answer(world: World) -> None:
    world.ingest(clips(8))
    world.rows("UPDATE samples SET duration = 1.0 RETURNING 1")
    world.push("audio_segmentation")
    number = world.value("SELECT ls_project_id FROM projects WHERE task_type = 'audio_segmentation'")
    there = [task["id"] for page in tasks.changed(world.studio, number) for task in page.tasks]

    def marked(start: Any, end: Any) -> list[dict[str, Any]]:
        value = {"start": start, "end": end, "labels": ["Vietnamese"]}
        return [{"id": "a", "from_name": "language", "to_name": "audio", "type": "labels", "value": value}]

    given = [
        [],
        marked(0, 9999),
        marked(0.5, 0.5),
        marked(0.8, 0.2),
        marked(-1, 0.5),
        marked(0, 1.5),
        marked(0, 1.1),
    ]
    for task, result in zip(there, given, strict=False):
        tasks.annotate(world.studio, task, result)
    pulled = world.pull("audio_segmentation")
    assert pulled.received.outcomes == {"accepted": 1}, "a player counts the padding of a recording, too"
    assert pulled.offered == 6
    listed, _ = problems.listed(world.ledger, task_type="audio_segmentation")
    assert sorted(one["reason"] for one in listed)[-1].startswith("The segment")
    assert sum("the recording is 1 s long" in one["reason"] for one in listed) == 2
