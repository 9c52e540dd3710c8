"""A pull that is killed or fails anywhere is finished by the next one: every annotation in the ledger
exactly once."""

import signal
from datetime import datetime

import pytest

from faults import processes, promises, proxy
from faults.conftest import repeat, through
from faults.processes import Point
from faults.proxy import Fault, Proxy, every, nth
from lsloop.errors import Unreachable
from world import TRANSCRIPT, World

PULL = ("pull", "--task-type", TRANSCRIPT)
READ = ("GET", r"^/api/tasks/")

POINTS = [
    Point("lsloop.ledger.annotations:receive", "before", 2),
    Point("lsloop.ledger.annotations:_received", "after", 2),
    Point("lsloop.ledger.annotations:settle", "after", 2),
    Point("lsloop.ledger.annotations:receive", "after", 2),
    Point("lsloop.ledger.projects:advance", "before"),
    Point("lsloop.ledger.projects:advance", "after"),
]


@pytest.fixture
def answers(scene: World) -> list[promises.Answer]:
    """Everything is sent and answered, and nothing is pulled."""
    scene.push()
    return promises.answer_all(scene)


def cursor(world: World) -> datetime | None:
    found: datetime | None = world.value("SELECT cursor FROM projects")
    return found


def check_all(world: World, answers: list[promises.Answer]) -> None:
    promises.check_received_once(world, answers)
    promises.check_accepted(world, answers)
    versions = world.value("SELECT count(*) FROM annotation_history")
    assert versions == len(answers)


@pytest.mark.parametrize("point", POINTS, ids=str)
def test_a_killed_pull_is_finished_by_the_next(
    scene: World, answers: list[promises.Answer], point: Point
) -> None:
    killed = processes.run(scene.config.project_dir, *PULL, at=point)
    assert killed.wait() == -signal.SIGKILL, killed.said
    assert (cursor(scene) is None) == (point != POINTS[-1])
    scene.pull()
    check_all(scene, answers)


@pytest.mark.parametrize(
    "fault",
    [
        proxy.drop,
        proxy.then_drop,
        proxy.then_cut,
        proxy.answering(500),
        proxy.answering(502, b"<html>", "text/html"),
    ],
    ids=["dropped", "answer dropped", "answer cut", "500", "502"],
)
def test_a_page_that_fails_once_is_read_again(
    scene: World, between: Proxy, answers: list[promises.Answer], fault: Fault
) -> None:
    between.on(*READ, fault, nth(2))
    through(scene, between).pull()
    check_all(scene, answers)


def test_a_pull_that_cannot_go_on_says_so_and_the_next_one_finishes(
    scene: World, between: Proxy, answers: list[promises.Answer]
) -> None:
    between.on(*READ, proxy.answering(500), lambda count: count >= 5)
    failed = processes.run(scene.config.project_dir, *PULL)
    assert failed.wait() == 3
    assert "500" in failed.said
    assert cursor(scene) is None
    assert scene.value("SELECT count(*) FROM annotations") > 0
    scene.pull()
    check_all(scene, answers)


def test_a_page_that_comes_too_late_ends_the_pull_and_the_next_one_finishes(
    scene: World, between: Proxy, answers: list[promises.Answer]
) -> None:
    import threading

    gate = threading.Event()
    between.on(*READ, proxy.then_hold(gate), nth(3))
    with pytest.raises(Unreachable):
        through(scene, between, timeout=1).pull()
    gate.set()
    assert cursor(scene) is None
    scene.pull()
    check_all(scene, answers)


def test_a_pull_that_meets_an_error_at_every_third_request_succeeds_in_the_end(
    scene: World, between: Proxy, answers: list[promises.Answer]
) -> None:
    for method in ("GET", "POST", "PATCH"):
        between.on(method, r"^/api/", proxy.answering(500), every(3))
    repeat(through(scene, between).pull)
    check_all(scene, answers)
