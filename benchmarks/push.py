"""Push: against import requests of the same tasks, and against one task per call; and how much memory it
takes."""

import subprocess
import sys
from collections.abc import Iterator

import httpx

from benchmarks import bare
from benchmarks.place import Place
from benchmarks.rows import Row, at_least, at_most, told
from benchmarks.timing import alternately, seconds

SMALL, LARGE = "memory_small", "memory_large"


def rounds(count: int) -> list[str]:
    """The task types that are pushed in turn, each into a project of its own."""
    return [f"round_{number}" for number in range(1, count + 1)]


def speed(place: Place) -> Iterator[Row]:
    """Tasks per second, all three ways on the same Label Studio."""
    sizes, names = place.sizes, rounds(place.sizes.rounds)
    for name in names:
        place.ls_project_id(name)
    payloads = [place.payload(name, sizes.tasks) for name in names]
    with bare.connect(place) as client:
        projects = [bare.project(client, place.label_config) for _ in names]
        taken = alternately(
            {
                "bare": lambda turn: bare.send_in_batches(client, projects[turn], payloads[turn]),
                "push": lambda turn: place.push(names[turn], sizes.tasks),
            },
            sizes.rounds,
        )
        _same(client, projects[0], place.ls_project_id(names[0]))
        single = payloads[0][: sizes.one_by_one]
        one_project = bare.project(client, place.label_config)
        each = seconds(lambda: bare.send_one_by_one(client, one_project, single)) / len(single)
    push, ceiling = min(taken["push"]), min(taken["bare"])
    what = f"push of {sizes.tasks:,} samples with predictions"
    yield told(f"{what}", sizes.tasks / push, "tasks/s")
    yield told("import requests of 500 of the same tasks", sizes.tasks / ceiling, "tasks/s")
    yield told(f"one task per call, measured on {len(single)}", 1 / each, "tasks/s")
    yield at_least(f"{what} / import requests of 500", ceiling / push, 0.85)
    yield at_least(f"{what} / one task per call", each * sizes.tasks / push, 30)


def _same(client: httpx.Client, one: int, other: int) -> None:
    """Both ways must have sent the same: raises RuntimeError otherwise."""
    shapes = []
    for project_id in (one, other):
        task = client.get(f"/api/tasks/{bare.first(client, project_id, 1)[0]['id']}/").json()
        shapes.append(
            (
                sorted(task["data"]),
                task["data"]["text"],
                [p["result"][0]["value"] for p in task["predictions"]],
            )
        )
    if shapes[0] != shapes[1]:
        raise RuntimeError(f"the bare way and push do not send the same: {shapes}")


def memory(place: Place) -> Iterator[Row]:
    """The most memory that the command `lsloop push` holds, for few samples and for many."""
    sizes = place.sizes
    small = _peak(place, SMALL, sizes.small)
    large = _peak(place, LARGE, sizes.large)
    yield at_most(f"memory of `lsloop push --limit {sizes.large}` at its peak", large, 250, "MB")
    yield at_most(f"the same / `lsloop push --limit {sizes.small}`", large / small, 1.15)


def _peak(place: Place, task_type: str, count: int) -> float:
    """Megabytes."""
    command = [
        "-C",
        str(place.project_dir),
        "--quiet",
        "push",
        "--task-type",
        task_type,
        "--limit",
        str(count),
    ]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.footprint", *command], capture_output=True, text=True, check=True
    )
    place_there = place.ls_project_id(task_type)
    with bare.connect(place) as client:
        sent = client.get(f"/api/projects/{place_there}/").json()["task_number"]
    if sent != count:
        raise RuntimeError(f"`lsloop push` sent {sent} tasks, not {count}")
    return float(done.stderr.split()[-1]) / 1e6
