"""Gold and several annotators in a real Label Studio: what annotators see, and what comes of it."""

from dataclasses import replace
from typing import Any

import pytest

from lsloop.config import Gold, TaskType
from lsloop.labelstudio import projects, tasks
from lsloop.ledger import gold, quality
from world import TRANSCRIPT, World, clips, transcript


def settings(world: World, **sections: Any) -> World:
    return replace(
        world, config=replace(world.config, params=world.config.params.model_copy(update=sections))
    )


def shape(value: Any) -> Any:
    """Which keys and kinds of values there are, without what they say."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    return [shape(inner) for inner in value] if isinstance(value, list) else type(value).__name__


@pytest.fixture
def golden(world: World) -> World:
    """Ten ordinary samples and ten gold ones, half of what is sent, in Label Studio."""
    world = settings(world, gold=Gold(ratio=0.5, window=2))
    world.ingest(clips(20))
    for i in range(1, 11):
        sample_id = world.value(
            "SELECT sample_id FROM samples WHERE external_id = :id", id=f"clip-{i * 2:03}"
        )
        gold.set_standard(world.ledger, sample_id, 1, "lead", {"transcript": f"right {i * 2}"})
    pushed = world.push(limit=20)
    assert (pushed.sent, pushed.probes) == (20, 10)
    return world


def test_nothing_in_label_studio_tells_a_probe_from_another_task(golden: World) -> None:
    is_probe = {
        row.external_id: row.is_gold_probe
        for row in golden.rows("SELECT external_id, is_gold_probe FROM tasks JOIN samples USING (sample_id)")
    }
    there = golden.tasks()
    full = {name: dict(golden.studio.get(f"api/tasks/{task['id']}/")) for name, task in there.items()}
    probes = [full[name] for name in full if is_probe[name]]
    ordinary = [full[name] for name in full if not is_probe[name]]
    assert (len(probes), len(ordinary)) == (10, 10)
    assert {repr(shape(task)) for task in probes} == {repr(shape(task)) for task in ordinary}
    same = (
        "meta",
        "overlap",
        "is_labeled",
        "project",
        "total_annotations",
        "total_predictions",
        "created_at",
    )
    seen = [{key: str(task.get(key))[:16] for key in same} for task in (*probes, *ordinary)]
    assert all(one == seen[0] for one in seen), seen
    shown = {name: task["predictions"][0] for name, task in full.items()}
    assert {one["model_version"] for one in shown.values()} == {"upstream"}
    for name, one in shown.items():  # what upstream says, as everywhere
        (region,) = one["result"]
        assert region["value"]["text"] == [f"xin chào meeting {int(name[-3:])}"]
        assert "right" not in repr(full[name])
        assert "gold" not in repr({**full[name], "project": None}).lower()


def test_answers_to_probes_are_scored_and_never_accepted(golden: World) -> None:
    linh = golden.annotator("linh")
    probes = {row.ls_task_id for row in golden.rows("SELECT ls_task_id FROM tasks WHERE is_gold_probe")}
    for name, task in golden.tasks().items():
        golden.annotate(task, f"right {int(name[-3:])}" if task["id"] in probes else "heard", by=linh)
    assert golden.pull().received.outcomes == {"accepted": 10, "probed": 10}
    (row,) = quality.annotators(golden.ledger)
    assert (row["answered"], row["gold"], row["n"], row["mean"], row["errors"]) == (20, 10, 10, 1, 0)
    assert sorted(set(golden.current().values())) == [
        "heard",
        *sorted(f"xin chào meeting {i}" for i in range(2, 21, 2)),
    ]


def test_three_people_are_asked_compared_and_somebody_decides(world: World) -> None:
    world = settings(world, task_types={TRANSCRIPT: TaskType(overlap=2, agreement=0.7)})
    world.ingest(clips(3))
    world.push()
    there = world.tasks()
    ls_project = projects.get(world.studio, world.ls_project_id)
    assert ls_project is not None
    assert ls_project["maximum_annotations"] == 2
    an, binh = world.annotator("an"), world.annotator("binh")
    for by, text in ((an, "một hai ba bốn"), (binh, "một hai ba năm")):
        world.annotate(there["clip-001"], text, by=by)
    for by, text in ((an, "một hai ba"), (binh, "<b>x</b> y & z")):
        world.annotate(there["clip-002"], text, by=by)
    world.annotate(there["clip-003"], "một", by=an)
    assert world.pull().received.outcomes == {"accepted": 1, "adjudication": 1, "annotated": 1}
    assert world.current()["clip-001"] == "một hai ba bốn"
    pushed = world.push()
    assert (pushed.sent, pushed.adjudications) == (1, 1)
    decider = world.value("SELECT ls_task_id FROM tasks WHERE adjudicates IS NOT NULL")
    task = dict(world.studio.get(f"api/tasks/{decider}/"))
    assert "<b>A</b>" in task["data"]["candidates"]
    assert "&lt;b&gt;x&lt;/b&gt; y &amp; z" in task["data"]["candidates"]
    assert task["predictions"][0]["result"][0]["value"]["text"] == ["một hai ba"]
    assert (task["overlap"], world.studio.get(f"api/tasks/{there['clip-003']['id']}/")["overlap"]) == (1, 2)
    assert "@" not in task["data"]["candidates"]  # nobody's name
    tasks.annotate(world.studio, decider, transcript("một hai ba!"))
    assert world.pull().received.outcomes == {"accepted": 1}
    assert world.current()["clip-002"] == "một hai ba!"
    assert world.push().sent == 0


def test_an_adjudication_that_nobody_needs_any_more_is_put_away(world: World) -> None:
    world = settings(world, task_types={TRANSCRIPT: TaskType(overlap=2, agreement=0.7)})
    world.ingest(clips(1))
    world.push()
    task = world.tasks()["clip-001"]
    world.annotate(task, "a b c", by=world.annotator("an"))
    other = world.annotate(task, "x y z", by=world.annotator("binh"))
    world.pull()
    world.push()
    decider = world.value("SELECT ls_task_id FROM tasks WHERE adjudicates IS NOT NULL")
    tasks.update_annotation(world.studio, other["id"], ground_truth=True)
    world.pull()
    assert world.current()["clip-001"] == "x y z"
    there = tasks.place(world.studio, world.ls_project_id, [decider])
    assert tasks.is_put_away(there[decider]), "it is asked of nobody, and deleted by nobody"
    assert world.pull().gone == 0
