"""Attribution is to who said it: an answer that somebody else edited is theirs; what an event told is in
the history."""

import json
from typing import Any

import orjson
import pytest

from lsloop import loop
from lsloop.labelstudio import tasks
from lsloop.ledger import events, gold
from world import World, clips, transcript

pytestmark = pytest.mark.studio


@pytest.fixture
def pushed(world: World) -> World:
    world.ingest(clips(3))
    world.push()
    return world


def actor(world: World) -> str:
    """Who said what was accepted last, without what makes the name unique."""
    said = world.value("SELECT actor FROM revisions WHERE origin = 'human' ORDER BY revision_id DESC LIMIT 1")
    return str(said).split("-")[0]


def test_an_answer_that_somebody_else_edited_is_theirs(pushed: World) -> None:
    an, binh = pushed.annotator("an"), pushed.annotator("binh")
    there = pushed.tasks()
    first = pushed.annotate(there["clip-001"], "said by An", by=an)
    pushed.pull()
    assert actor(pushed) == "an"
    tasks.update_annotation(binh, first["id"], result=transcript("said by Bình"))
    assert pushed.pull().received.outcomes == {"accepted": 1}
    assert actor(pushed) == "binh"
    rows = pushed.rows("SELECT annotator, edited_by FROM annotations")
    assert [(row.annotator.split("-")[0], row.edited_by.split("-")[0]) for row in rows] == [("an", "binh")]
    versions = pushed.rows("SELECT edited_by FROM annotation_history ORDER BY version")
    assert [row.edited_by and row.edited_by.split("-")[0] for row in versions] == [None, "binh"]
    answered = {row["annotator"].split("-")[0] for row in _annotators(pushed)}
    assert answered == {"binh"}, "Bình's text is not counted as An's"

    second = pushed.annotate(there["clip-002"], "first", by=an)
    tasks.update_annotation(binh, second["id"], result=transcript("edited before anybody looked"))
    pushed.pull()
    assert actor(pushed) == "binh"
    tasks.update_annotation(an, second["id"], result=transcript("An again"))
    pushed.pull()
    assert actor(pushed) == "an"

    third = pushed.annotate(there["clip-003"], "right", by=an)
    pushed.pull()
    tasks.update_annotation(binh, third["id"], ground_truth=True)
    pushed.pull()
    assert actor(pushed) == "an", "who marks an answer as right has not said it"


def _annotators(world: World) -> list[dict[str, Any]]:
    from lsloop.ledger import quality

    return quality.annotators(world.ledger, None)


def test_gold_scores_nobody_for_an_answer_that_somebody_else_edited(world: World) -> None:
    world.ingest(clips(4))
    for number in range(1, 4):
        sample = gold.find_sample(world.ledger, f"clip-00{number}", None)
        gold.set_standard(world.ledger, sample, 1.0, "lead", {"transcript": f"right {number}"})
    ratio = world.config.params.gold.model_copy(update={"ratio": 0.9})
    from dataclasses import replace

    params = world.config.params.model_copy(update={"gold": ratio})
    world = replace(world, config=replace(world.config, params=params))
    world.push(limit=4)
    probes = {row.ls_task_id for row in world.rows("SELECT ls_task_id FROM tasks WHERE is_gold_probe")}
    assert probes
    an, binh = world.annotator("an"), world.annotator("binh")
    for number in probes:
        made = tasks.annotate(an, number, transcript("wrong"))
        tasks.update_annotation(binh, made["id"], result=transcript("right 1"))
    world.pull()
    assert world.rows("SELECT 1 FROM gold_scores") == []
    made = {row.ls_annotation_id for row in world.rows("SELECT ls_annotation_id FROM annotations")}
    for number in made:
        tasks.update_annotation(an, number, result=transcript("An's own"))
    world.pull()
    scored = {row.annotator.split("-")[0] for row in world.rows("SELECT annotator FROM gold_scores")}
    assert scored == {"an"}


def deliver(world: World, action: str, **told: Any) -> None:
    body = json.dumps({"action": action, "project": {"id": world.ls_project_id}, **told}).encode()
    events.store(world.ledger, "/webhook", body, orjson.loads(body))


def as_told(world: World, number: int) -> dict[str, Any]:
    """An annotation as an event of Label Studio tells of it."""
    found: dict[str, Any] = world.studio.get(f"api/annotations/{number}/")
    return found


def history(world: World) -> list[tuple[str, bool]]:
    rows = world.rows(
        """SELECT h.value ->> 'transcript' AS text, h.told FROM annotation_history h
           JOIN annotations USING (annotation_id)
            WHERE h.deleted_at IS NULL ORDER BY annotation_id, h.version"""
    )
    return [(row.text, row.told) for row in rows]


def test_every_version_that_an_event_told_of_is_in_the_history(pushed: World) -> None:
    there = pushed.tasks()
    task = there["clip-001"]
    made = pushed.annotate(task, "first")
    deliver(pushed, "ANNOTATION_CREATED", annotation=as_told(pushed, made["id"]), task=task)
    for text in ("second", "third"):
        tasks.update_annotation(pushed.studio, made["id"], result=transcript(text))
        deliver(pushed, "ANNOTATION_UPDATED", annotation=as_told(pushed, made["id"]), task=task)
    gone = pushed.annotate(there["clip-002"], "deleted before anybody looked")
    deliver(pushed, "ANNOTATION_CREATED", annotation=as_told(pushed, gone["id"]), task=there["clip-002"])
    tasks.delete_annotation(pushed.studio, gone["id"])
    deliver(pushed, "ANNOTATIONS_DELETED", annotations=[{"id": gone["id"]}])
    foreign = {**task, "data": {**task["data"], tasks.KEY: "somebody else's"}}
    odd = {**as_told(pushed, made["id"]), "id": "x"}
    deliver(pushed, "ANNOTATION_CREATED", annotation=[odd, 7, None], task=[foreign, None])

    done = loop.process_events(pushed.ledger, pushed.studio, pushed.config)
    assert (done.postponed, done.ignored) == (0, 1)
    assert history(pushed) == [
        ("third", False), ("first", True), ("second", True), ("deleted before anybody looked", True),
    ]  # fmt: skip
    assert pushed.current()["clip-001"] == "third", "what is told is never what is"
    assert pushed.current()["clip-002"] == "xin chào meeting 2"
    assert pushed.states() == {"accepted": 1, "open": 2}
    before = history(pushed)
    deliver(pushed, "ANNOTATION_UPDATED", annotation=as_told(pushed, made["id"]), task=task)
    loop.process_events(pushed.ledger, pushed.studio, pushed.config)
    assert pushed.pull(full=True).received.edited == 0
    assert history(pushed) == before, "what is known is not written down again"
