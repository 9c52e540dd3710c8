"""A setup that is cut off or answered wrongly leaves one Label Studio project, found again by the next."""

import signal
import threading
from typing import Any

import pytest

from faults import processes, promises, proxy
from faults.conftest import abandoned, patient, repeat, through
from faults.processes import Point
from faults.proxy import Fault, Proxy, every, nth
from lsloop import loop
from lsloop.errors import Uncertain
from lsloop.labelstudio import projects
from world import TRANSCRIPT, World

CREATE = ("POST", r"^/api/projects/$")


def setup(world: World) -> Any:
    return loop.setup(world.ledger, world.studio, world.config, TRANSCRIPT)


def check_one_project(world: World) -> None:
    marker = world.value("SELECT CAST(marker AS text) FROM projects")
    made = [project["id"] for project in projects.find_by_description(world.studio, marker)]
    assert made == [promises.project_id(world)]


@pytest.mark.parametrize(
    "point",
    [
        Point("lsloop.labelstudio.projects:create", "before"),
        Point("lsloop.labelstudio.projects:create", "after"),
        Point("lsloop.ledger.projects:bind", "before"),
        Point("lsloop.ledger.projects:bind", "after"),
    ],
    ids=str,
)
def test_a_killed_setup_leaves_no_second_project(scene: World, point: Point) -> None:
    killed = processes.run(scene.config.project_dir, "setup", "--task-type", TRANSCRIPT, at=point)
    assert killed.wait() == -signal.SIGKILL, killed.said
    setup(scene)
    check_one_project(scene)


@pytest.mark.parametrize(
    "fault",
    [proxy.drop, proxy.then_drop, proxy.then_cut, proxy.answering(500), proxy.then_answering(500)],
    ids=["never arrives", "done and dropped", "done and cut", "500", "done and 500"],
)
def test_a_project_whose_making_was_not_answered_is_found(scene: World, between: Proxy, fault: Fault) -> None:
    between.on(*CREATE, fault, nth(1))
    with pytest.raises(Uncertain):
        setup(through(scene, between))
    setup(scene)
    check_one_project(scene)


def test_a_project_that_is_still_being_made_is_waited_for(scene: World, between: Proxy) -> None:
    gate, world = threading.Event(), patient(scene)
    between.on(*CREATE, abandoned(gate), nth(1))
    with pytest.raises(Uncertain):
        setup(through(world, between))
    between.on("GET", r"^/api/projects/\?", proxy.after(gate.set))  # looked, and did not find it
    setup(through(world, between))
    assert between.count(*CREATE) == 1
    check_one_project(world)


def test_a_project_that_is_made_after_all_is_removed_by_the_next_setup(scene: World, between: Proxy) -> None:
    gate = threading.Event()
    late = between.on(*CREATE, abandoned(gate), nth(1))
    with pytest.raises(Uncertain):
        setup(through(scene, between))
    setup(through(scene, between))
    gate.set()
    late.wait(forwarded=1)
    setup(scene)
    check_one_project(scene)
    ours = projects.get(scene.studio, promises.project_id(scene))
    assert ours is not None
    copy = projects.create(scene.studio, "My own copy", ours["label_config"], ours["description"])
    setup(scene)
    assert projects.get(scene.studio, copy["id"]) is not None, (
        "a copy that somebody made is theirs, empty or not"
    )


def test_a_setup_that_meets_an_error_at_every_third_request_succeeds_in_the_end(
    scene: World, between: Proxy
) -> None:
    for method in ("GET", "POST", "PATCH"):
        between.on(method, r"^/api/", proxy.answering(500), every(3))
    repeat(lambda: setup(through(scene, between)))
    check_one_project(scene)
