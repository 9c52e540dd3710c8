"""Pull: against the fastest bare way to read the same fields; then what a pull costs when little has
changed."""

from collections.abc import Callable, Iterator

import httpx

from benchmarks import bare, push
from benchmarks.place import Place
from benchmarks.rows import Row, at_least, at_most, told
from benchmarks.timing import alternately, seconds


def speed(place: Place) -> Iterator[Row]:
    """Tasks per second, all ways on the same projects of Label Studio; then the price of a few changes."""
    sizes, names = place.sizes, push.rounds(place.sizes.rounds)
    with bare.connect(place) as client:
        projects = [_annotated(place, client, name) for name in names]
        works: dict[str, Callable[[int], object]] = {
            "list by id, 500 a page": lambda turn: bare.read_by_id(client, projects[turn], 500),
            "list by id, 1000 a page": lambda turn: bare.read_by_id(client, projects[turn], 1000),
            "list by page number, 1000 a page": lambda turn: bare.read_by_page(
                client, projects[turn], 1000, sizes.tasks
            ),
            "JSON export": lambda turn: bare.export(client, projects[turn]),
            "pull": lambda turn: place.pull(names[turn], sizes.tasks),
        }
        taken = {name: min(all_taken) for name, all_taken in alternately(works, sizes.rounds).items()}
        after = [_after_changes(place, client, name, at) for name, at in zip(names, projects, strict=True)]
    whole = taken.pop("pull")
    yield told(f"pull of {sizes.tasks:,} annotated tasks", sizes.tasks / whole, "tasks/s")
    for name, way in taken.items():
        yield told(f"bare {name}", sizes.tasks / way, "tasks/s")
    fastest = min(seconds for name, seconds in taken.items() if name.startswith("list"))
    yield at_least(f"pull of {sizes.tasks:,} annotated tasks / fastest bare list", fastest / whole, 0.9)
    yield from _prices(place, whole, after)


def _prices(place: Place, whole: float, after: list[tuple[float, float, float]]) -> Iterator[Row]:
    sizes = place.sizes
    pull, read, idle = (min(column) for column in zip(*after, strict=True))
    few = f"pull after {sizes.changes} changes"
    yield told(few, pull, "s")
    yield told("pull after no change", idle, "s")
    yield told(f"bare read of the {sizes.changes} changed tasks", read, "s")
    yield at_most(f"{few} / first pull of {sizes.tasks:,}", pull / whole, 0.1)
    yield told(f"{few} / bare read of the {sizes.changes} changed tasks", pull / read, "x")


def _annotated(place: Place, client: httpx.Client, name: str) -> int:
    """A project whose tasks are all answered and none of them pulled."""
    there = place.ls_project_id(name)
    if not bare.first(client, there, 1):
        place.push(name, place.sizes.tasks)
    bare.annotate_all(client, there)
    return there


def _after_changes(place: Place, client: httpx.Client, name: str, there: int) -> tuple[float, float, float]:
    """Seconds of a pull after some answers were edited, of a bare read of just these, of a pull after
    nothing."""
    changed = bare.first(client, there, place.sizes.changes)
    for task in changed:
        bare.edit(client, task["annotations"][0], f"đã sửa {task['id']}")
    ids = [task["id"] for task in changed]
    pull = seconds(lambda: place.pull(name, len(ids)))
    read = min(seconds(lambda: bare.read_these(client, there, ids)) for _ in range(3))
    return pull, read, seconds(lambda: place.pull(name, 0))
