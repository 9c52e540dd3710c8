"""Tasks that nobody has started show what their samples are now; of what people are at, nothing is changed
or lost."""

import time

import pytest

from lsloop.labelstudio import tasks
from lsloop.labelstudio.client import LabelStudio
from lsloop.ledger import Ledger, refreshing
from media_files import content
from office import Office
from world import World, clips, transcript

FIRST = "xin chào meeting 1"


@pytest.fixture
def sent(world: World) -> World:
    """Three samples, sent."""
    world.ingest(clips(3))
    world.push()
    return world


def change(world: World, text: str = "crawled anew") -> None:
    """Upstream changes the first sample."""
    world.ingest([{**row, "transcript": text} if i == 0 else row for i, row in enumerate(clips(3))])


def replace_recording(world: World) -> None:
    (world.raw_dir / "audio/001.wav").write_bytes(content("recorded anew, longer.wav"))
    world.ingest(clips(3))


def shown(world: World, studio: LabelStudio | None = None) -> tuple[str, list[str]]:
    """The first sample's text and pre-annotations, as an annotator is shown them."""
    there = tasks.shown(studio or world.studio, world.ls_project_id, [world.tasks()["clip-001"]["id"]])
    (task,) = there.values()
    return task["data"]["text"], [
        p["result"][0]["value"]["text"][0] for p in task["predictions"] if p["result"]
    ]


@pytest.mark.parametrize("turn", ["push", "pull"])
def test_a_task_nobody_started_shows_the_new_content(sent: World, turn: str) -> None:
    change(sent)
    assert shown(sent) == (FIRST, [FIRST])
    done = sent.push() if turn == "push" else sent.pull()
    assert done.refreshed == 1
    assert shown(sent) == ("crawled anew", ["crawled anew"])
    assert sent.push().refreshed == 0
    later = sent.annotator("linh")
    assert later.get(f"api/projects/{sent.ls_project_id}/next")["predictions"], (
        "and the pre-annotation is seen"
    )


def test_what_people_put_into_a_task_by_hand_stays_when_it_is_refreshed(sent: World) -> None:
    task = sent.tasks()["clip-001"]
    tasks.update_data(sent.studio, task["id"], {**task["data"], "note": "Linh knows this speaker"})
    change(sent)
    assert sent.push().refreshed == 1
    now = sent.tasks()["clip-001"]["data"]
    assert (now["note"], now["text"]) == ("Linh knows this speaker", "crawled anew")
    assert now.keys() == {*task["data"], "note"}


def test_what_is_answered_after_a_refresh_is_no_conflict(sent: World) -> None:
    change(sent)
    sent.push()
    sent.rows("UPDATE earlier_bases SET until = until - interval '1 minute' RETURNING 1")
    sent.annotate(sent.tasks()["clip-001"], "heard")
    assert sent.pull().received.outcomes == {"accepted": 1}
    assert [origin for _, _, origin in sent.history("clip-001")] == ["upstream", "upstream", "human"]


def test_an_answer_in_the_moment_of_a_refresh_is_a_conflict_when_upstream_goes_back(sent: World) -> None:
    """It may be about either content; upstream says what the older one said, and that may be what nobody
    looked at."""
    change(sent)
    assert sent.push().refreshed == 1
    sent.annotate(sent.tasks()["clip-001"], "heard", lead_time=0)
    change(sent, FIRST)
    sent.pull()
    (row,) = sent.rows("SELECT base, theirs FROM conflicts")
    assert (row.base["fields"]["transcript"], row.theirs["fields"]["transcript"]) == ("crawled anew", FIRST)


def test_an_answer_begun_before_a_refresh_is_none_when_upstream_goes_back(sent: World) -> None:
    """What came and went while the page was open was never shown in it."""
    task, annotator = sent.tasks()["clip-001"], sent.annotator("linh")
    begun = time.time()
    change(sent)
    assert sent.push().refreshed == 1
    change(sent, FIRST)
    sent.annotate(task, "heard", by=annotator, lead_time=time.time() - begun + 1)
    assert sent.pull().received.outcomes == {"accepted": 1}


def test_what_was_begun_before_a_refresh_and_submitted_after_it_is_a_conflict_and_not_a_loss(
    sent: World,
) -> None:
    task, annotator = sent.tasks()["clip-001"], sent.annotator("linh")
    prediction = annotator.get("api/predictions", params={"task": task["id"]})[0]["id"]  # the page is open
    change(sent)
    assert sent.push().refreshed == 1
    sent.annotate(task, "heard in the old page", by=annotator, parent_prediction=prediction)
    sent.pull()
    (row,) = sent.rows("SELECT base, ours, theirs FROM conflicts")
    sides = row.base["fields"]["transcript"], row.ours["transcript"], row.theirs["fields"]["transcript"]
    assert sides == (FIRST, "heard in the old page", "crawled anew")


def test_an_answered_task_and_one_that_somebody_is_at_are_left_alone(sent: World) -> None:
    there, annotator = sent.tasks(), sent.annotator("linh")
    sent.annotate(there["clip-001"], "answered, not pulled yet")
    draft = {"result": transcript("half"), "lead_time": 1}
    annotator.post(f"api/tasks/{there['clip-002']['id']}/drafts", json=draft)
    sent.ingest(clips(3, transcript="all new"))
    assert sent.push().refreshed == 1
    texts = {name: task["data"]["text"] for name, task in sent.tasks().items()}
    assert texts == {"clip-001": FIRST, "clip-002": "xin chào meeting 2", "clip-003": "all new"}


def test_a_skipped_task_is_refreshed(sent: World) -> None:
    sent.annotate(sent.tasks()["clip-001"], "", was_cancelled=True)
    sent.pull()
    change(sent)
    assert sent.push().refreshed == 1


def test_a_change_that_nobody_sees_only_moves_the_base(sent: World) -> None:
    sent.ingest(clips(3, translation="new"))
    before = sent.tasks()["clip-001"]["updated_at"]
    assert sent.push().refreshed == 0
    assert sent.tasks()["clip-001"]["updated_at"] == before
    assert (
        sent.value(
            "SELECT count(*) FROM tasks t JOIN samples s USING (sample_id) WHERE t.sync_version <"
            " s.sync_version"
        )
        == 0
    )


def test_a_pre_annotation_is_never_deleted_and_one_without_a_successor_is_emptied(sent: World) -> None:
    task = sent.tasks()["clip-001"]
    before = [p["id"] for p in sent.studio.get("api/predictions", params={"task": task["id"]})]
    change(sent, "")
    assert sent.push().refreshed == 1
    after = sent.studio.get("api/predictions", params={"task": task["id"]})
    assert [p["id"] for p in after] == before
    assert shown(sent) == ("", [])
    change(sent, "and back")
    sent.push()
    assert shown(sent) == ("and back", ["and back"])


def test_a_task_without_a_pre_annotation_gets_one(world: World) -> None:
    world.ingest([{**row, "transcript": ""} for row in clips(1)])
    world.push()
    world.ingest(clips(1))
    assert world.push().refreshed == 1
    assert shown(world) == (FIRST, [FIRST])


def test_a_task_whose_id_is_another_ones_now_is_left_alone(sent: World) -> None:
    task = sent.tasks()["clip-001"]
    tasks.update_data(sent.studio, task["id"], {**task["data"], "task_key": "somebody else's"})
    change(sent)
    sent.push()
    assert tasks.shown(sent.studio, sent.ls_project_id, [task["id"]])[task["id"]]["data"]["text"] == FIRST


def test_a_translation_shows_the_transcript_that_people_corrected_meanwhile(world: World) -> None:
    world.ingest(clips(1, translation="hello"))
    world.push()
    world.push("translation_review")
    world.annotate(world.tasks()["clip-001"], "corrected")
    world.pull()
    assert world.pull("translation_review").refreshed == 1
    ls_project_id = world.value("SELECT ls_project_id FROM projects WHERE task_type = 'translation_review'")
    (page,) = tasks.changed(world.studio, ls_project_id)
    assert page.tasks[0]["data"]["source_text"] == "corrected"


def test_a_new_recording_under_an_annotators_hands_goes_round_again_and_nothing_is_lost(sent: World) -> None:
    task = sent.tasks()["clip-001"]
    sent.annotate(task, "heard in the old recording")
    replace_recording(sent)
    pulled = sent.pull()
    assert (pulled.received.outcomes, pulled.decided) == ({"conflicted": 1}, {"pending_reflow": 1})
    assert sent.push().sent == 1
    child = sent.tasks()["clip-001#reflow-1"]
    annotator = sent.annotator("linh")
    seen = annotator.get(f"api/projects/{sent.ls_project_id}/next")
    while seen["id"] != child["id"]:
        tasks.annotate(annotator, seen["id"], transcript("x"))
        seen = annotator.get(f"api/projects/{sent.ls_project_id}/next")
    assert seen["predictions"][0]["result"][0]["value"]["text"] == ["heard in the old recording"], (
        "it is shown"
    )
    sent.annotate(child, "heard in the new recording", by=annotator)
    sent.pull()
    assert sent.current()["clip-001#reflow-1"] == "heard in the new recording"
    assert sent.current()["clip-001"] == FIRST


def test_nothing_is_compared_again_until_a_transaction_that_changed_something_is_over(ledger: Ledger) -> None:
    """Also one that began before the last look and ended after it, and a task that came to work in
    between."""
    office = Office(ledger)
    for name in ("a", "b"):
        office.crawl(name, transcript="upstream")
    office.send(limit=1)
    as_it_was = "SELECT is_as_it_was(:id)"
    project = office.project

    def stale() -> list[str]:
        return [one.claim.sample.external_id for one in refreshing.stale(ledger, project, 9)]

    assert (office.value(as_it_was, id=project.project_id), stale()) == (False, [])
    assert office.value(as_it_was, id=project.project_id)
    with ledger.transaction() as slow:
        slow.run("UPDATE samples SET media_md5 = 'other', sync_version = 2 WHERE external_id = 'a'")
        assert stale() == []
        assert office.value(as_it_was, id=project.project_id)
    assert stale() == ["a"]
    now = office.tick()
    for one in refreshing.stale(ledger, project, 9):
        refreshing.refreshed(ledger, one, None, since=now, until=now)
    assert stale() == []
    office.send()
    assert not office.value(as_it_was, id=project.project_id)
    assert stale() == []
    office.value("UPDATE projects SET refreshed_at = refreshed_at - interval '11 minutes' RETURNING 1")
    assert not office.value(as_it_was, id=project.project_id)
    assert stale() == []
    # Not "none": a transaction elsewhere in the cluster (an ANALYZE of autovacuum) keeps the newest a while.
    looked_at = "c.xid < pg_snapshot_xmin(p.refreshed_as_of)"
    assert office.value(f"SELECT count(*) FROM sample_changes c, projects p WHERE {looked_at}") == 0
