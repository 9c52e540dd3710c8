"""An import that was given up for lost arrives after it was sent again: people are given one of two tasks,
and no answer to either is lost."""

import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from faults import promises, proxy
from faults.conftest import BATCH, abandoned, looking_ahead, patient, through
from faults.proxy import Proxy, nth
from lsloop.errors import LsloopError, Uncertain
from lsloop.labelstudio import projects, tasks
from lsloop.labelstudio.answers import NotFound
from lsloop.labelstudio.client import LabelStudio
from world import World, transcript, wait_until

IMPORT = ("POST", r"/import\b")
PUT_AWAY = ("PATCH", r"/api/tasks/\d+")
NEXT: list[Callable[[World], Any]] = [World.push, World.pull]


def late(scene: World, between: Proxy, meanwhile: Callable[[list[int]], object] = lambda known: None) -> None:
    """The second batch arrives after it was sent again; `meanwhile` is given the ids that it has until
    then."""
    gate, world = threading.Event(), patient(scene, settle=0)
    arrives = between.on(*IMPORT, abandoned(gate), nth(2))
    with pytest.raises(Uncertain):
        through(world, between).push()
    world.push()
    promises.check_sent_once(world)
    meanwhile([row.ls_task_id for row in world.rows("SELECT ls_task_id FROM tasks WHERE sends > 1")])
    gate.set()
    arrives.wait(forwarded=1)


@pytest.fixture
def twins(scene: World, between: Proxy) -> list[list[dict[str, Any]]]:
    """The tasks of the second batch, each with its late twin: the one that the ledger knows is first."""
    late(scene, between)
    known = {row.ls_task_id for row in scene.rows("SELECT ls_task_id FROM tasks")}
    by_key: dict[str, list[dict[str, Any]]] = {}
    for task in promises.in_label_studio(scene):
        by_key.setdefault(task["data"][tasks.KEY], []).append(task)
    found = [
        sorted(each, key=lambda task: task["id"] not in known) for each in by_key.values() if len(each) > 1
    ]
    assert len(found) == BATCH
    return found


def begin(scene: World, task: dict[str, Any]) -> int:
    """Somebody begins to answer a task; the draft's number."""
    draft = {"result": transcript("half"), "lead_time": 1}
    return int(scene.studio.post(f"api/tasks/{task['id']}/drafts", json=draft)["id"])


def take_back(scene: World, draft: int) -> None:
    scene.studio.delete(f"api/drafts/{draft}/")


@pytest.mark.parametrize("next_run", NEXT, ids=["push", "pull"])
def test_twins_are_put_away_by_the_next_run(
    scene: World, twins: list[Any], next_run: Callable[[World], Any]
) -> None:
    next_run(scene)
    promises.check_sent_once(scene)
    answers = promises.answer_all(scene)
    scene.pull()
    promises.check_received_once(scene, answers)
    promises.check_accepted(scene, answers)


@pytest.mark.parametrize("next_run", NEXT, ids=["push", "pull"])
@pytest.mark.parametrize("answered", [0, 1], ids=["the known one", "the late one"])
def test_the_twin_that_somebody_answered_stays(
    scene: World, twins: list[Any], answered: int, next_run: Callable[[World], Any]
) -> None:
    answers = [promises.answer(scene, pair[answered]) for pair in twins]
    next_run(scene)
    promises.check_sent_once(scene)
    scene.pull()
    promises.check_received_once(scene, answers)
    promises.check_accepted(scene, answers)


@pytest.mark.parametrize("next_run", NEXT, ids=["push", "pull"])
def test_when_both_twins_are_answered_both_answers_stay(
    scene: World, twins: list[Any], next_run: Callable[[World], Any]
) -> None:
    answers = [promises.answer(scene, task) for task in twins[0]]
    next_run(scene)
    next_run(scene)
    scene.pull()
    there = {task["id"] for task in promises.in_label_studio(scene)}
    assert {task["id"] for task in twins[0]} <= there
    promises.check_received_once(scene, answers)
    promises.check_accepted(scene, answers[:1])


@pytest.mark.parametrize("next_run", NEXT, ids=["push", "pull"])
def test_a_twin_answered_in_the_moment_it_is_put_away_speaks_for_its_sample(
    scene: World, between: Proxy, twins: list[Any], next_run: Callable[[World], Any]
) -> None:
    given: list[promises.Answer] = []
    between.on(*PUT_AWAY, proxy.before(lambda: given.append(promises.answer(scene, twins[0][1]))), nth(1))
    next_run(through(scene, between))
    assert len(given) == 1
    scene.pull()
    promises.check_sent_once(scene)
    promises.check_received_once(scene, given)
    promises.check_accepted(scene, given)


@pytest.mark.parametrize("next_run", NEXT, ids=["push", "pull"])
def test_what_could_not_be_put_away_is_by_the_next_run(
    scene: World, between: Proxy, twins: list[Any], next_run: Callable[[World], Any]
) -> None:
    between.on(*PUT_AWAY, proxy.answering(500), nth(1))
    arrived = max(datetime.fromisoformat(late["updated_at"]) for _, late in twins)
    wait_until(lambda: datetime.now(UTC) > arrived + timedelta(seconds=1))  # the cursor counts whole seconds
    with pytest.raises(Uncertain):
        next_run(through(looking_ahead(scene), between))
    next_run(looking_ahead(scene))
    promises.check_sent_once(scene)


def test_a_pull_that_meets_twins_waits_for_the_push_at_work(scene: World, between: Proxy) -> None:
    """Label Studio gives the ids of deleted tasks to new ones, and a push makes new ones."""
    gate, end, world = threading.Event(), threading.Event(), patient(scene, settle=0)
    late = between.on(*IMPORT, abandoned(gate), nth(2))
    with pytest.raises(Uncertain):
        through(world, between).push()
    held = between.on(*IMPORT, proxy.hold(end), nth(3))
    with ThreadPoolExecutor() as pool:
        push = pool.submit(through(world, between).push)
        held.wait(fired=1)
        gate.set()
        late.wait(forwarded=1)
        pull = pool.submit(world.pull)
        wait_until(
            lambda: world.value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
        )
        end.set()
        push.result()
        assert len(pull.result().received.twins) == BATCH
    promises.check_sent_once(world)


def test_the_known_twin_deleted_by_hand_gives_its_place_to_the_late_one(
    scene: World, twins: list[Any]
) -> None:
    tasks.delete(scene.studio, scene.ls_project_id, [known["id"] for known, _ in twins])
    answers = [promises.answer(scene, late) for _, late in twins]
    scene.pull()
    promises.check_sent_once(scene)
    promises.check_received_once(scene, answers)
    promises.check_accepted(scene, answers)


def test_the_twin_of_a_task_deleted_by_hand_is_taken_before_its_sample_goes_out_anew(
    scene: World, between: Proxy
) -> None:
    def meanwhile(known: list[int]) -> None:
        tasks.delete(scene.studio, scene.ls_project_id, known)
        scene.pull()

    late(scene, between, meanwhile)
    assert scene.push().sent == 0
    promises.check_sent_once(scene)


@pytest.mark.parametrize("next_run", NEXT, ids=["push", "pull"])
def test_the_twin_of_a_task_whose_sample_went_out_anew_is_put_away_once_nobody_has_begun_it(
    scene: World, between: Proxy, next_run: Callable[[World], Any]
) -> None:
    def meanwhile(known: list[int]) -> None:
        tasks.delete(scene.studio, scene.ls_project_id, known)
        assert scene.pull().gone == BATCH
        assert scene.push().sent == BATCH

    late(scene, between, meanwhile)
    known = {row.ls_task_id for row in scene.rows("SELECT ls_task_id FROM tasks WHERE state = 'open'")}
    second = next(task for task in promises.in_label_studio(scene) if task["id"] not in known)
    draft = begin(scene, second)
    assert len(next_run(scene).kept) == 1
    assert {task["id"] for task in promises.in_label_studio(scene)} == {*known, second["id"]}
    take_back(scene, draft)
    assert next_run(scene).kept == []
    promises.check_sent_once(scene)


def test_a_twin_begun_in_the_moment_it_is_put_away_is_given_again_and_the_other_is_not(
    scene: World, between: Proxy, twins: list[Any]
) -> None:
    between.on(*PUT_AWAY, proxy.before(lambda: begin(scene, twins[0][1])), nth(1))
    through(scene, between).push()
    scene.push()
    promises.check_sent_once(scene)
    assert twins[0][1]["id"] in {task["id"] for task in promises.in_label_studio(scene)}


def test_when_both_twins_are_begun_both_stay_and_it_is_said(scene: World, twins: list[Any]) -> None:
    first, second = (begin(scene, task) for task in twins[0])
    (said,) = scene.push().kept
    assert str(twins[0][1]["id"]) in said
    there = {task["id"] for task in promises.in_label_studio(scene)}
    assert {task["id"] for task in twins[0]} <= there
    take_back(scene, second)
    assert scene.push().kept == []
    promises.check_sent_once(scene)
    assert scene.studio.get(f"api/drafts/{first}/")


def test_no_confirmed_answer_is_lost_whenever_it_comes(scene: World) -> None:
    """People submit to every copy of every task while lsloop finds out that one of each is enough."""
    scene.push()
    known = promises.in_label_studio(scene)
    scene.studio.post(
        f"api/projects/{scene.ls_project_id}/import", json=[{"data": task["data"]} for task in known * 2]
    )
    scene.value("UPDATE tasks SET sends = 2 RETURNING 1")
    ids = [task["id"] for task in promises.in_label_studio(scene)]
    confirmed: list[int] = []

    def answer(ls_task_id: int) -> None:
        with contextlib.suppress(LsloopError):  # what is not confirmed, its annotator does again
            confirmed.append(
                int(tasks.annotate(scene.studio, ls_task_id, transcript("heard"), lead_time=1.0)["id"])
            )

    with ThreadPoolExecutor(max_workers=3) as people:
        at_work = [people.submit(answer, ls_task_id) for ls_task_id in ids]
        while not all(one.done() for one in at_work):
            NEXT[len(confirmed) % 2](scene)
    scene.pull()
    held = scene.rows("SELECT ls_annotation_id FROM annotations WHERE deleted_at IS NULL")
    assert set(confirmed) <= {row.ls_annotation_id for row in held}
    assert len(confirmed) == len(ids), "somebody was told that their task is gone"


def given(scene: World, by: LabelStudio) -> int | None:
    """The task that Label Studio's label stream gives somebody now."""
    try:
        return int(by.get(f"api/projects/{scene.ls_project_id}/next")["id"])
    except NotFound:
        return None


def test_a_copy_that_was_put_away_is_not_given_to_anybody_and_an_answer_to_it_counts(
    scene: World, twins: list[Any]
) -> None:
    pushed = scene.push()
    assert (pushed.put_away, scene.push().put_away) == (BATCH, 0)
    known, second = twins[0]
    name = scene.value(
        "SELECT external_id FROM samples WHERE CAST(sample_id AS text) = :id", id=known["data"]["sample_id"]
    )
    for task in promises.in_label_studio(scene):
        if task["id"] != known["id"]:
            promises.answer(scene, task)
    linh = scene.annotator("linh")
    assert given(scene, linh) == known["id"]
    # Label Studio makes everything over when the number of annotations that a project needs changes.
    projects.update(scene.studio, scene.ls_project_id, maximum_annotations=2)
    projects.update(scene.studio, scene.ls_project_id, maximum_annotations=1)
    scene.pull()
    promises.check_sent_once(scene)
    scene.annotate(second, "heard late", by=scene.annotator("an"))
    scene.pull()
    assert scene.current()[name] == "heard late"
    assert given(scene, linh) is None, "somebody is asked for what was answered on the other copy"
    promises.check_sent_once(scene)
