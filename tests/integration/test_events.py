"""Events from Label Studio: stored, looked at once, tried again, given up; what is in them is never
believed."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import orjson
import pytest

from lsloop import loop
from lsloop.commands import main
from lsloop.labelstudio import tasks
from lsloop.ledger import Ledger, events, projects
from lsloop.steps import event
from office import SERVER, Office
from world import World, clips, transcript

PAYLOADS = sorted((Path(__file__).parents[1] / "payloads").glob("*.json"))
ABOUT = {
    "ANNOTATIONS_CREATED__action_predictions_to_annotations": ({173510, 173511}, set()),
    "ANNOTATIONS_DELETED__DELETE_annotation": (set(), {12279}),
    "ANNOTATIONS_DELETED__action_delete_annotations": (set(), {12280, 12281}),
    "ANNOTATION_CREATED__POST_annotation": ({173510}, set()),
    "ANNOTATION_CREATED__skip_annotation": ({173511}, set()),
    "ANNOTATION_UPDATED__PATCH_annotation": ({173510}, set()),
    "TASKS_DELETED__DELETE_project_tasks_org_hook": ({173510}, set()),
    "TASKS_DELETED__DELETE_task": ({173512}, set()),
    "TASKS_DELETED__action_delete_tasks": ({173510, 173511}, set()),
}
CAPTURED_PROJECT = 22


def store(ledger: Ledger, payload: dict[str, Any]) -> int:
    body = json.dumps(payload).encode()
    return events.store(ledger, "/webhook", body, orjson.loads(body))


def states(ledger: Ledger) -> dict[str, int]:
    with ledger.transaction() as transaction:
        rows = transaction.rows("SELECT state, count(*) AS n FROM events GROUP BY 1")
    return {row.state: row.n for row in rows}


@pytest.mark.parametrize("path", PAYLOADS, ids=lambda path: path.stem)
def test_every_captured_payload_names_what_it_is_about(path: Path) -> None:
    payload = json.loads(path.read_text())
    told = event.named(payload["action"], payload)
    assert (set(told.tasks), set(told.annotations)) == ABOUT.get(path.stem, (set(), set()))


def test_every_captured_payload_is_stored_and_looked_at_or_ignored(ledger: Ledger) -> None:
    assert set(ABOUT) < {path.stem for path in PAYLOADS}
    office = Office(ledger)
    office.crawl("a", transcript="x")
    office.send()
    with ledger.transaction() as transaction:
        transaction.run("UPDATE projects SET ls_project_id = :id", id=CAPTURED_PROJECT)
        transaction.run("UPDATE tasks SET ls_task_id = 173510")
        transaction.run(
            """INSERT INTO annotations (server, ls_annotation_id, task_key, ls_task_id, annotator, result,
               result_hash,
                                        was_cancelled, ground_truth, ls_created_at, ls_updated_at)
               SELECT :server, unnest(ARRAY[12279, 12280]), task_key, ls_task_id, 'an', '[]', '', false,
                      false, now(), now()
                 FROM tasks""",
            server=SERVER,
        )  # fmt: skip
    for path in PAYLOADS:
        looked: list[int] = []
        store(ledger, json.loads(path.read_text()))
        done = event.process(ledger, SERVER, lambda project, ids, to=looked: to.extend(ids), tries=3)
        tasks_there, annotations_there = ABOUT.get(path.stem, (set(), set()))
        assert set(looked) == tasks_there | ({173510} if annotations_there else set()), path.stem
        assert (done.done, done.ignored) == ((1, 0) if looked else (0, 1)), path.stem


def test_what_is_stored_holds_no_secret_of_the_project(ledger: Ledger) -> None:
    store(
        ledger,
        {
            "action": "PROJECT_UPDATED",
            "project": {"id": 1, "token": "t", "task_data_password": "p", "x": "\0"},
        },
    )
    with ledger.transaction() as transaction:
        assert transaction.value("SELECT payload -> 'project' FROM events") == {"id": 1, "x": "\ufffd"}


HOSTILE = (
    {"task": "1; DROP TABLE tasks"}, {"task": -1}, {"task": 2**70}, {"task": 2**63}, {"task": True},
    {"task": None},
    {"task": [[1]]}, "text", 7, [None], [], {"task": {"id": "<b>"}}, {"task": "\0"},
)  # fmt: skip


def test_whatever_a_forged_event_holds_it_causes_at_most_a_look(ledger: Ledger) -> None:
    office = Office(ledger)
    office.crawl("a", transcript="x")
    office.send()
    looked: list[int] = []
    for hostile in HOSTILE:
        store(ledger, {"action": "ANNOTATION_CREATED", "annotation": hostile, "project": {"id": 1}})
    event.process(ledger, SERVER, lambda project, ids: looked.extend(ids), tries=3)
    assert looked == []
    assert states(ledger) == {"ignored": len(HOSTILE)}


def test_many_events_of_one_task_are_one_look(ledger: Ledger) -> None:
    Office(ledger).project  # noqa: B018 - makes it
    for number in range(40):
        store(
            ledger,
            {"action": "ANNOTATION_UPDATED", "annotation": {"id": number, "task": 5}, "project": {"id": 1}},
        )
    looks: list[list[int]] = []
    done = event.process(ledger, SERVER, lambda project, ids: looks.append(sorted(ids)), tries=3)
    assert looks == [[5]]
    assert (done.done, done.tasks) == (40, 1)


def test_the_same_body_again_is_one_event_until_somebody_looked(ledger: Ledger) -> None:
    payload = {"action": "ANNOTATIONS_DELETED", "annotations": [{"id": 1}], "project": {"id": 1}}
    assert store(ledger, payload) == store(ledger, payload)
    (taken,) = events.take(ledger, 10, 3)
    later = store(
        ledger, payload
    )  # Label Studio on SQLite gives the number of a deleted annotation to a new one
    assert later != taken.event_id
    with ledger.transaction() as transaction:
        rows = transaction.rows("SELECT deliveries FROM events ORDER BY event_id")
    assert [row.deliveries for row in rows] == [2, 1]


def due_at_once(ledger: Ledger) -> None:
    with ledger.transaction() as transaction:
        transaction.run("UPDATE events SET next_try_at = now() - interval '1 second'")


def test_what_cannot_be_looked_at_is_tried_ever_later_then_given_up_and_can_be_retried(
    ledger: Ledger,
) -> None:
    Office(ledger).project  # noqa: B018
    for task in (7, 8):
        store(
            ledger,
            {"action": "ANNOTATION_CREATED", "annotation": {"id": 1, "task": task}, "project": {"id": 1}},
        )
    broken = True

    def look(project: Any, ids: Any) -> None:
        if broken and 7 in ids:
            raise RuntimeError("password=hunter2 is not told")

    waits = []
    for _ in range(3):
        event.process(ledger, SERVER, look, tries=3)
        with ledger.transaction() as transaction:
            waits.append(
                transaction.value(
                    "SELECT round(extract(epoch FROM next_try_at - clock_timestamp())) FROM events WHERE"
                    " error IS NOT NULL"
                )
            )
        due_at_once(ledger)
    assert waits == [2, 4, 8]
    assert states(ledger) == {"failed": 1, "done": 1}, "one that fails does not keep the other out"
    assert events.counts(ledger) == {"waiting": 0, "given_up": 1}
    assert "hunter2" not in events.recent(ledger, 10, failed=True)[0]["error"]

    broken = False
    assert events.retry(ledger, "me") == 1
    assert event.process(ledger, SERVER, look, tries=3).done == 1
    assert states(ledger) == {"done": 2}


def test_events_of_a_worker_that_died_come_back_and_a_deadly_one_is_given_up(ledger: Ledger) -> None:
    store(ledger, {"action": "ANNOTATION_CREATED"})
    for _ in range(2):
        assert len(events.take(ledger, 10, 2)) == 1
        assert events.take(ledger, 10, 2) == []  # not before its time
        due_at_once(ledger)
    assert events.take(ledger, 10, 2) == []
    assert states(ledger) == {"failed": 1}


def test_old_events_are_forgotten_but_not_those_that_wait_or_were_given_up(ledger: Ledger) -> None:
    for state in ("stored", "done", "ignored", "failed"):
        number = store(ledger, {"action": state})
        with ledger.transaction() as transaction:
            transaction.run(
                "UPDATE events SET state = :state, finished_at = now() - interval '8 days' WHERE event_id "
                "= :id",
                state=state, id=number,
            )  # fmt: skip
    assert events.forget(ledger, 7) == 2
    assert states(ledger) == {"stored": 1, "failed": 1}


def test_whoever_listens_is_woken_by_a_stored_event(ledger: Ledger) -> None:
    with events.arriving(ledger) as wait:
        assert not wait(0.01)
        store(ledger, {"action": "ANNOTATION_CREATED"})
        assert wait(5)


def told(world: World, action: str, **named: Any) -> dict[str, Any]:
    return {"action": action, "project": {"id": world.ls_project_id}, **named}


def deliver(world: World, action: str, **named: Any) -> event.Processed:
    store(world.ledger, told(world, action, **named))
    return loop.process_events(world.ledger, world.studio, world.config)


@pytest.mark.studio
def test_what_an_event_names_goes_the_way_of_a_pull(world: World) -> None:
    world.ingest(clips(3))
    world.push()
    there = world.tasks()
    first, second, third = (there[f"clip-00{n}"] for n in (1, 2, 3))
    made = world.annotate(first, "xin chào mọi người")
    world.annotate(second, "not told of")
    done = deliver(world, "ANNOTATION_CREATED", annotation={"id": made["id"], "task": first["id"]})
    assert (done.done, done.tasks) == (1, 1)
    assert world.current()["clip-001"] == "xin chào mọi người"
    assert world.states() == {"accepted": 1, "open": 2}

    tasks.update_annotation(world.studio, made["id"], result=transcript("lần nữa"))
    deliver(world, "ANNOTATION_UPDATED", annotation={"id": made["id"], "task": first["id"]})
    assert world.current()["clip-001"] == "lần nữa"

    tasks.delete_annotation(world.studio, made["id"])
    deliver(world, "ANNOTATIONS_DELETED", annotations=[{"id": made["id"]}])
    assert world.states() == {"open": 3}

    deliver(world, "TASKS_DELETED", tasks=[{"id": third["id"]}])  # a lie: it is still there
    assert world.states() == {"open": 3}
    tasks.delete(world.studio, world.ls_project_id, [third["id"]])
    store(
        world.ledger, {"action": "TASKS_DELETED", "tasks": [{"id": third["id"]}]}
    )  # as an organisation's hook tells it
    assert loop.process_events(world.ledger, world.studio, world.config).done == 1
    assert world.states() == {"open": 2, "cancelled": 1}

    assert world.pull().received.outcomes == {"accepted": 1}, "the poll finds what no event told of"


@pytest.mark.studio
def test_a_project_that_is_gone_does_not_end_its_tasks(world: World) -> None:
    world.ingest(clips(1))
    world.push()
    (task,) = world.tasks().values()
    world.studio.delete(f"api/projects/{world.ls_project_id}/")
    deliver(world, "TASKS_DELETED", tasks=[{"id": task["id"]}])
    assert world.states() == {"open": 1}, "`lsloop setup --recreate` is how that is said"


@pytest.mark.studio
def test_label_studio_that_is_away_postpones(world: World, database_url: str) -> None:
    world.ingest(clips(1))
    world.push()
    (task,) = world.tasks().values()
    from lsloop.labelstudio import client

    with client.connect("http://127.0.0.1:1", "0" * 40) as nowhere:
        store(world.ledger, told(world, "ANNOTATION_CREATED", annotation={"id": 1, "task": task["id"]}))
        done = loop.process_events(world.ledger, nowhere, world.config)
    assert (done.done, done.postponed) == (0, 1)
    assert states(world.ledger) == {"stored": 1}


def test_status_and_events_show_what_was_given_up_and_how_to_have_it_tried_again(
    ledger: Ledger,
    database_url: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("LABEL_STUDIO_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", "0" * 40)

    def lsloop(*arguments: str) -> str:
        main(["-C", str(tmp_path), *arguments])
        return capsys.readouterr().out

    assert "given up" not in lsloop("status").partition("ledger")[0]
    assert "No event has come yet." in lsloop("events")
    assert "No event was given up." in lsloop("events", "--failed")
    store(ledger, {"action": "ANNOTATION_CREATED", "annotation": {"task": 7}, "project": {"id": 9}})
    events.take(ledger, 10, 1)
    due_at_once(ledger)
    events.take(ledger, 10, 1)
    assert "1 event of Label Studio given up: `lsloop events --failed`" in lsloop("status")
    shown = lsloop("events", "--failed")
    assert "ANNOTATION_CREATED" in shown
    assert "failed" in shown
    assert json.loads(lsloop("status", "--json"))["counts"]["events"] == {"waiting": 0, "given_up": 1}
    assert json.loads(lsloop("events", "--retry", "--json")) == {"retried": 1}
    assert "No event was given up." in lsloop("events", "--retry")
    assert events.counts(ledger) == {"waiting": 1, "given_up": 0}


@pytest.mark.studio
def test_looks_and_pulls_at_the_same_time_take_every_answer_in_once(world: World) -> None:
    world.ingest(clips(12))
    world.push()
    there = world.tasks()
    for name, task in there.items():
        world.annotate(task, f"said of {name}")
    ids = [task["id"] for task in there.values()]
    (project,) = projects.of_server(world.ledger, world.config.label_studio_server)

    def look() -> None:
        for _ in range(4):
            loop.look(world.ledger, world.studio, world.config, project, ids)

    def pull() -> None:
        for _ in range(2):
            world.pull(full=True)

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(work) for work in (look, pull, look, pull)]:
            done.result(timeout=60)
    assert world.states() == {"accepted": 12}
    assert world.current() == {name: f"said of {name}" for name in there}
    assert world.value("SELECT count(*) FROM annotation_history") == 12
    assert world.value("SELECT count(*) FROM revisions WHERE origin = 'human'") == 12
