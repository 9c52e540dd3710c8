"""Whatever happens to a push on its way to Label Studio, the next one leaves every sample there exactly
once."""

import json
import signal
import threading
import time
import zlib
from itertools import combinations

import pytest

from faults import processes, promises, proxy
from faults.conftest import BATCH, SAMPLES, patient, repeat, through
from faults.proxy import Answer, Exchange, Fault, Proxy, every, nth
from lsloop.errors import Uncertain
from lsloop.labelstudio import tasks
from world import TRANSCRIPT, World

IMPORT = ("POST", r"/import\b")
LOOK = ("GET", r"^/api/tasks/")
PUSH = ("push", "--task-type", TRANSCRIPT)


@pytest.mark.parametrize(
    ("fault", "arrived"),
    [
        (proxy.drop, 0),
        (proxy.answering(502, b"<html>Bad gateway</html>", "text/html"), 0),
        (proxy.then_drop, BATCH),
        (proxy.then_cut, BATCH),
        (proxy.then_answering(201, b"not JSON"), BATCH),
    ],
    ids=["dropped", "502", "done and dropped", "done and cut", "done and garbled"],
)
def test_an_import_without_a_good_answer_is_neither_lost_nor_repeated(
    scene: World, between: Proxy, fault: Fault, arrived: int
) -> None:
    between.on(*IMPORT, fault, nth(2))
    with pytest.raises(Uncertain):
        through(scene, between).push()
    pushed = scene.push()
    assert (pushed.adopted, pushed.sent, pushed.put_away) == (arrived, SAMPLES - BATCH - arrived, 0)
    promises.check_sent_once(scene)


def test_an_import_at_work_after_the_client_gave_up_is_waited_for(scene: World, between: Proxy) -> None:
    gate, world = threading.Event(), patient(scene)
    world.push(limit=1)  # the small reads of a first push are over, and the time-out is the import's alone
    between.on(*IMPORT, proxy.hold(gate), nth(2))
    with pytest.raises(Uncertain, match="timed out"):
        through(world, between, timeout=2).push()
    between.on(*LOOK, proxy.after(gate.set))  # looked, and did not find them
    pushed = through(world, between).push()
    assert (pushed.adopted, pushed.put_away) == (BATCH, 0)
    promises.check_sent_once(world)


@pytest.mark.parametrize("done", [False, True], ids=["before the work", "after the work"])
def test_a_push_killed_while_its_request_is_under_way_is_finished_by_the_next(
    scene: World, between: Proxy, done: bool
) -> None:
    killed: list[processes.Command] = []

    def kill(exchange: Exchange) -> None:
        if done:
            exchange.forward()
        killed[0].kill()
        if not done:
            exchange.forward()

    rule = between.on(*IMPORT, kill, nth(2))
    with processes.start(scene.config.project_dir, *PUSH) as command:
        killed.append(command)
        rule.wait(forwarded=1)
    assert command.wait() == -signal.SIGKILL, command.said
    pushed = scene.push()
    assert pushed.adopted >= BATCH  # the first batch may not have been written down either
    assert pushed.put_away == 0
    promises.check_sent_once(scene)


def test_a_push_that_meets_an_error_at_every_third_request_succeeds_in_the_end(
    scene: World, between: Proxy
) -> None:
    for method in ("GET", "POST", "PATCH"):
        between.on(method, r"^/api/", proxy.answering(500), every(3))
    repeat(through(patient(scene, settle=0), between).push)
    promises.check_sent_once(scene)


def test_ids_in_another_order_than_that_of_the_request_are_put_right(scene: World, between: Proxy) -> None:
    between.on(*IMPORT, exchange_ids)
    through(scene, between).push()
    answers = promises.answer_all(scene)
    scene.pull()
    promises.check_sent_once(scene)
    promises.check_received_once(scene, answers)
    promises.check_accepted(scene, answers)


def exchange_ids(exchange: Exchange) -> None:
    """Two ids of the answer change places where the count of a group of keys does not show it."""
    keys = [task["data"][tasks.KEY] for task in json.loads(exchange.body)]
    groups = [zlib.crc32(key.encode()) % tasks.GROUPS for key in keys]
    one, other = next((a, b) for a, b in combinations(range(len(keys)), 2) if groups[a] == groups[b])
    reply = exchange.forward()
    answer = json.loads(reply.body)
    ids = answer["task_ids"]
    ids[one], ids[other] = ids[other], ids[one]
    exchange.reply(Answer(reply.status, json.dumps(answer).encode(), reply.headers))


def test_a_push_to_a_label_studio_that_is_gone_ends_with_3_and_changes_nothing(
    scene: World, between: Proxy
) -> None:
    scene.push(limit=BATCH)
    for method in ("GET", "POST"):
        between.on(method, "", proxy.drop)
    failed = processes.run(scene.config.project_dir, *PUSH)
    assert failed.wait() == 3
    assert "Label Studio" in failed.said
    promises.check_sent_once(scene, samples=BATCH)


def test_predictions_that_label_studio_lost_are_sent_again(scene: World, between: Proxy) -> None:
    """On SQLite, under a lock, it stores the tasks without them and answers 201."""

    def lose_two(exchange: Exchange) -> None:
        sent = json.loads(exchange.body)
        for task in sent[:2]:
            task["predictions"] = []
        exchange.body = json.dumps(sent).encode()
        exchange.reply(exchange.forward())

    between.on(*IMPORT, lose_two, nth(1))
    assert through(scene, between).push().sent == SAMPLES
    for task in scene.tasks().values():
        (there,) = scene.studio.get("api/predictions", params={"task": task["id"]})
        assert there["result"][0]["value"]["text"] == [task["data"]["text"]]


def test_a_clock_of_postgresql_that_was_put_back_makes_no_push_wait(scene: World, between: Proxy) -> None:
    """Three hours back: by that clock the request that was cut off is still to be sent."""
    between.on(*IMPORT, proxy.drop, nth(1))
    with pytest.raises(Uncertain):
        through(scene, between).push()
    scene.value(
        "UPDATE tasks SET sent_at = sent_at + interval '3 hours' WHERE sent_at IS NOT NULL RETURNING 1"
    )
    scene.value("UPDATE projects SET asked_at = asked_at + interval '3 hours' RETURNING 1")
    began = time.monotonic()
    scene.push()
    promises.check_sent_once(scene)
    assert time.monotonic() - began < 1800, "waited by the clock"
