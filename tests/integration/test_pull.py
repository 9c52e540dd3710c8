"""Pull: everything that people did, once, whoever did it and however often it is asked for."""

import pytest

from lsloop import loop
from lsloop.config import Pull
from lsloop.errors import UsageError
from lsloop.labelstudio import tasks
from lsloop.progress import Progress
from world import TRANSCRIPT, World, clips, transcript


@pytest.fixture
def pushed(world: World) -> World:
    """Five samples, sent."""
    world.ingest(clips(5))
    world.push()
    return world


def test_an_answer_becomes_a_revision_with_who_said_it_and_in_what_time(pushed: World) -> None:
    made = pushed.annotate(pushed.tasks()["clip-002"], "xin chào mọi người")
    pulled = pushed.pull()
    assert (pulled.received.added, pulled.received.outcomes) == (1, {"accepted": 1})
    assert pushed.current()["clip-002"] == "xin chào mọi người"
    assert pushed.history("clip-002") == [
        (1, "xin chào meeting 2", "upstream"),
        (2, "xin chào mọi người", "human"),
    ]
    (row,) = pushed.rows("SELECT * FROM annotations")
    assert (row.ls_annotation_id, row.lead_time, row.result) == (made["id"], 2.5, made["result"])
    assert "@" in row.annotator
    assert pushed.states() == {"open": 4, "accepted": 1}
    assert pushed.value("SELECT count(*) FROM locks WHERE released_at IS NULL") == 4


def test_pulling_again_changes_nothing(pushed: World) -> None:
    pushed.annotate(pushed.tasks()["clip-001"], "a")
    pushed.pull()
    before = pushed.rows("SELECT * FROM annotations"), pushed.rows("SELECT * FROM revisions")
    for options in ({}, {"full": True}):
        received = pushed.pull(**options).received
        assert (received.added, received.edited, received.removed, received.outcomes) == (0, 0, 0, {})
    assert (pushed.rows("SELECT * FROM annotations"), pushed.rows("SELECT * FROM revisions")) == before


def test_a_confirmed_value_is_held_too(pushed: World) -> None:
    pushed.annotate(pushed.tasks()["clip-001"], "xin chào meeting 1")
    pushed.pull()
    assert pushed.history("clip-001")[-1] == (2, "xin chào meeting 1", "human")
    pushed.ingest([{**clips(1)[0], "transcript": "crawled anew"}])
    assert pushed.current()["clip-001"] == "xin chào meeting 1"


def test_an_edit_is_a_new_revision_and_the_old_version_stays(pushed: World) -> None:
    made = pushed.annotate(pushed.tasks()["clip-001"], "first")
    pushed.pull()
    tasks.update_annotation(pushed.studio, made["id"], result=transcript("second"))
    assert pushed.pull().received.edited == 1
    assert [value for _, value, _ in pushed.history("clip-001")] == ["xin chào meeting 1", "first", "second"]
    versions = pushed.rows("SELECT value ->> 'transcript' AS text FROM annotation_history ORDER BY version")
    assert [row.text for row in versions] == ["first", "second"]


def test_a_deleted_annotation_withdraws_its_value_visibly(pushed: World) -> None:
    made = pushed.annotate(pushed.tasks()["clip-001"], "heard")
    pushed.pull()
    tasks.delete_annotation(pushed.studio, made["id"])
    pulled = pushed.pull()
    assert (pulled.received.removed, pulled.received.outcomes) == (1, {"withdrawn": 1})
    assert pushed.current()["clip-001"] == "xin chào meeting 1"
    assert pushed.history("clip-001")[1:] == [(2, "heard", "human"), (3, "xin chào meeting 1", "upstream")]
    assert (
        pushed.value("SELECT reason FROM revisions WHERE version = 3")
        == "its annotation was deleted in Label Studio"
    )
    assert pushed.value("SELECT deleted_at FROM annotations") is not None
    assert pushed.states() == {"open": 5}
    pushed.annotate(pushed.tasks()["clip-001"], "heard again")
    assert pushed.pull().received.outcomes == {"accepted": 1}


def test_a_skipped_task_is_counted_and_never_a_value(pushed: World) -> None:
    pushed.annotate(pushed.tasks()["clip-001"], "", was_cancelled=True)
    pulled = pushed.pull()
    assert (pulled.received.added, pulled.received.outcomes) == (1, {})
    assert pushed.value("SELECT skips FROM tasks WHERE skips > 0") == 1
    assert pushed.rows("SELECT * FROM revisions") == []


def test_a_draft_is_not_an_answer(pushed: World) -> None:
    task = pushed.tasks()["clip-001"]
    pushed.studio.post(f"api/tasks/{task['id']}/drafts", json={"result": transcript("half"), "lead_time": 1})
    assert pushed.pull(full=True).received.added == 0


def test_the_first_of_two_annotators_is_accepted_and_the_other_is_kept(pushed: World) -> None:
    task = pushed.tasks()["clip-001"]
    other = pushed.annotator("linh")
    pushed.annotate(task, "by one")
    pushed.annotate(task, "by another", by=other)
    pushed.pull()
    assert pushed.current()["clip-001"] == "by one"
    annotators = {
        row.annotator: row.value["transcript"]
        for row in pushed.rows("SELECT annotator, value FROM annotations")
    }
    assert sorted(annotators.values()) == ["by another", "by one"]
    assert len(annotators) == 2
    assert any(name.startswith("linh-") for name in annotators)


def test_an_annotation_marked_as_ground_truth_wins_at_once(pushed: World) -> None:
    task = pushed.tasks()["clip-001"]
    pushed.annotate(task, "by one")
    made = pushed.annotate(task, "right", by=pushed.annotator("lead"))
    tasks.update_annotation(pushed.studio, made["id"], ground_truth=True)
    pushed.pull()
    assert pushed.current()["clip-001"] == "right"


def test_a_change_upstream_while_people_worked_is_a_conflict_and_nothing_is_lost(pushed: World) -> None:
    task = pushed.tasks()["clip-001"]
    pushed.ingest(
        [{**row, "transcript": "crawled anew"} if i == 0 else row for i, row in enumerate(clips(5))]
    )
    pushed.annotate(task, "heard")
    outcomes = pushed.pull().received.outcomes
    assert outcomes.get("accepted", 0) == 0
    assert pushed.value("SELECT value ->> 'transcript' FROM annotations") == "heard"
    row = pushed.rows("SELECT * FROM conflicts")[0]
    assert (row.base["fields"], row.ours["transcript"], row.theirs["fields"]) == (
        {"transcript": "xin chào meeting 1"}, "heard", {"transcript": "crawled anew"},
    )  # fmt: skip


def test_a_change_upstream_in_what_nobody_looked_at_is_no_conflict(pushed: World) -> None:
    task = pushed.tasks()["clip-001"]
    pushed.ingest([{**row, "translation": "new"} for row in clips(5)])
    pushed.annotate(task, "heard")
    assert pushed.pull().received.outcomes == {"accepted": 1}


def test_upstream_and_annotator_coming_to_the_same_is_no_conflict(pushed: World) -> None:
    task = pushed.tasks()["clip-001"]
    pushed.ingest([{**row, "transcript": "both heard this"} for row in clips(5)])
    pushed.annotate(task, "both heard this")
    assert pushed.pull().received.outcomes == {"accepted": 1}


def test_a_deleted_task_ends_and_its_sample_can_be_sent_again(pushed: World) -> None:
    tasks.delete(pushed.studio, pushed.ls_project_id, [pushed.tasks()["clip-003"]["id"]])
    assert pushed.pull().gone == 1
    assert pushed.states() == {"open": 4, "cancelled": 1}
    assert pushed.push().sent == 1
    assert len(pushed.tasks()) == 5


def test_a_deleted_task_that_was_answered_keeps_its_value(pushed: World) -> None:
    task = pushed.tasks()["clip-003"]
    pushed.annotate(task, "heard")
    pushed.pull()
    tasks.delete(pushed.studio, pushed.ls_project_id, [task["id"]])
    pushed.pull()
    assert pushed.current()["clip-003"] == "heard"
    assert pushed.push().sent == 0


def test_tasks_that_are_not_ours_are_counted_and_left_alone(pushed: World) -> None:
    pushed.studio.post(
        f"api/projects/{pushed.ls_project_id}/import",
        json=[{"data": {"audio": "x", "text": "y", "candidates": ""}}],
    )
    pulled = pushed.pull()
    assert pulled.foreign == 1
    assert pushed.states() == {"open": 5}
    assert pushed.pull().gone == 0


def test_an_answer_that_cannot_be_understood_is_kept_and_told(pushed: World) -> None:
    task = pushed.tasks()["clip-001"]
    odd = [{**transcript("heard")[0], "value": {"text": [7]}}]
    tasks.annotate(pushed.studio, task["id"], odd)
    pulled = pushed.pull()
    assert len(pulled.problems) == 1
    assert pushed.rows("SELECT problem, value FROM annotations")[0].value is None
    assert pushed.current()["clip-001"] == "xin chào meeting 1"
    assert pushed.states() == {"open": 4, "annotated": 1}


def test_a_dry_run_tells_what_would_come_in_and_changes_nothing(pushed: World) -> None:
    pushed.annotate(pushed.tasks()["clip-001"], "heard")
    assert pushed.pull(dry_run=True).received.added == 1
    assert pushed.rows("SELECT * FROM annotations") == []
    assert pushed.pull().received.outcomes == {"accepted": 1}
    for name in ("clip-002", "clip-003"):
        pushed.annotate(pushed.tasks()[name], "heard")
    told = list[int]()
    totals = list[int]()
    again = pushed.pull(dry_run=True, progress=Progress(totals.append, told.append))
    assert (again.received.added, sum(told), totals[-1]) == (2, 2, 2)


def test_many_pages_are_all_read(world: World) -> None:
    world.ingest(clips(23))
    world.push()
    for name, task in world.tasks().items():
        world.annotate(task, f"heard {name}")
    small = Pull(batch=5)
    config = world.config.params.model_copy(update={"pull": small})
    from dataclasses import replace

    pulled = loop.pull(world.ledger, world.studio, replace(world.config, params=config), TRANSCRIPT)
    assert pulled.received.outcomes == {"accepted": 23}
    assert world.current() == {name: f"heard {name}" for name in world.current()}


def test_vietnamese_in_two_normal_forms_is_one_text(pushed: World) -> None:
    import unicodedata

    pushed.annotate(pushed.tasks()["clip-001"], unicodedata.normalize("NFD", "được rồi ạ"))
    pushed.pull()
    assert pushed.current()["clip-001"] == "được rồi ạ"


def test_an_answer_while_a_push_was_cut_off_before_ids_were_written_is_adopted(pushed: World) -> None:
    task = pushed.tasks()["clip-001"]
    pushed.annotate(task, "heard")
    pushed.rows("UPDATE tasks SET ls_task_id = NULL, state = 'claimed' RETURNING 1")
    assert pushed.pull().received.outcomes == {"accepted": 1}
    assert pushed.states() == {"open": 4, "accepted": 1}
    assert pushed.push().sent == 0


def test_pulling_before_anything_was_pushed_names_the_command(world: World) -> None:
    with pytest.raises(UsageError, match="Nothing was pushed") as error:
        world.pull()
    assert "lsloop push" in error.value.fix
