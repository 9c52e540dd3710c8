"""Nothing that people submitted depends on anybody's clock: not on the stamps of rows, not on the Date
header."""

import sqlite3
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from faults.conftest import looking_ahead, through
from faults.proxy import Answer, Exchange, Fault, Proxy
from lsloop import loop
from lsloop.labelstudio import tasks
from lsloop.ledger import projects
from services import Studio
from world import World, clips, transcript

HOUR = timedelta(hours=1)


@pytest.fixture
def answered(empty: World) -> World:
    """Six samples, sent; three answered; all of it in the ledger."""
    empty.ingest(clips(6))
    empty.push()
    for name in ("clip-001", "clip-002", "clip-003"):
        empty.annotate(empty.tasks()[name], "heard")
    empty.pull()
    return empty


@pytest.fixture
def put_back(studio: Studio) -> Iterator[Callable[[int, timedelta], None]]:
    """Stamp a task and its annotations as Label Studio would whose clock is behind by so much."""

    def stamp(ls_task_id: int, by: timedelta) -> None:
        (path,) = studio.data.glob("*.sqlite3")
        with sqlite3.connect(path, timeout=30) as database:
            for table, column in (("task", "id"), ("task_completion", "task_id")):
                for number, at in database.execute(
                    f"SELECT id, updated_at FROM {table} WHERE {column} = ?", [ls_task_id]
                ):
                    moved = datetime.fromisoformat(at) - by
                    database.execute(f"UPDATE {table} SET updated_at = ? WHERE id = ?", [str(moved), number])
        database.close()

    return stamp


def dated(by: timedelta) -> Fault:
    """An answer whose Date header is of another clock."""

    def fault(exchange: Exchange) -> None:
        answer = exchange.forward()
        date = ("Date", format_datetime(datetime.now(UTC) + by, usegmt=True))
        headers = (*((name, value) for name, value in answer.headers if name.lower() != "date"), date)
        exchange.reply(Answer(answer.status, answer.body, headers))

    return fault


def without_date(exchange: Exchange) -> None:
    answer = exchange.forward()
    kept = tuple((name, value) for name, value in answer.headers if name.lower() != "date")
    exchange.reply(Answer(answer.status, answer.body, kept))


def edit(world: World, name: str, text: str) -> int:
    """Somebody changes the answer to a sample; the number of its task."""
    task = world.tasks()[name]
    tasks.update_annotation(world.studio, task["annotations"][0]["id"], result=transcript(text))
    return int(task["id"])


def test_what_people_did_counts_although_the_clock_of_label_studio_was_put_back(
    answered: World, put_back: Callable[[int, timedelta], None]
) -> None:
    for number, by in enumerate([timedelta(seconds=2), timedelta(minutes=4), HOUR, timedelta(days=400)]):
        put_back(edit(answered, "clip-002", f"edit {number}"), by)
        pulled = answered.pull(full=number == 2)
        assert (pulled.received.edited, answered.current()["clip-002"]) == (1, f"edit {number}")
    put_back(int(answered.annotate(answered.tasks()["clip-004"], "new")["task"]), HOUR)
    (there,) = answered.tasks()["clip-003"]["annotations"]
    tasks.delete_annotation(answered.studio, there["id"])
    put_back(there["task"], HOUR)
    pulled = answered.pull()
    assert (pulled.received.added, pulled.received.removed) == (1, 1)
    assert (answered.current()["clip-003"], answered.current()["clip-004"]) == ("xin chào meeting 3", "new")
    quiet = answered.pull()
    assert (quiet.read, quiet.received.edited) == (0, 0), "what was seen is not read again"

    task = edit(answered, "clip-002", "looked at")
    put_back(task, HOUR)
    (project,) = projects.of_server(answered.ledger, answered.config.label_studio_server)
    loop.look(answered.ledger, answered.studio, answered.config, project, [task])
    assert answered.current()["clip-002"] == "looked at"


def test_a_clock_that_was_ahead_and_is_right_again_hides_nothing(
    answered: World, put_back: Callable[[int, timedelta], None]
) -> None:
    put_back(edit(answered, "clip-001", "stamped in an hour"), -HOUR)
    answered.pull()
    for number in range(3):
        edit(answered, "clip-002", f"edit {number}")
        answered.annotate(answered.tasks()[f"clip-00{number + 4}"], f"new {number}")
        answered.pull()
        assert answered.current()["clip-002"] == f"edit {number}"
        assert answered.current()[f"clip-00{number + 4}"] == f"new {number}"


def test_incremental_pulls_bring_everything_whatever_the_date_header_says(
    answered: World, between: Proxy
) -> None:
    world = looking_ahead(through(answered, between))
    for number, fault in enumerate([dated(HOUR), dated(-HOUR), dated(timedelta(days=3000)), without_date]):
        between.on("GET", "/", fault)
        edit(answered, "clip-002", f"edit {number}")
        pulled = world.pull()
        assert (pulled.received.edited, answered.current()["clip-002"]) == (1, f"edit {number}")
    answered.annotate(answered.tasks()["clip-004"], "new")
    assert world.pull().received.added == 1


def test_what_changed_while_a_pull_was_reading_comes_with_the_next(answered: World, between: Proxy) -> None:
    """The first page was read before the edit, the last one after another: the cursor may not pass the
    edit."""
    there = answered.tasks()
    answered.annotate(there["clip-004"], "first page")

    def people_go_on(exchange: Exchange) -> None:
        answer = exchange.forward()
        tasks.update_annotation(
            answered.studio, there["clip-001"]["annotations"][0]["id"], result=transcript("behind")
        )
        answered.annotate(there["clip-005"], "beside")
        exchange.reply(answer)

    rule = between.on("GET", r"/api/tasks/\?.*fields=all", people_go_on, lambda count: count == 1)
    looking_ahead(through(answered, between)).pull()
    assert rule.fired == 1
    looking_ahead(answered).pull()
    assert answered.current()["clip-001"] == "behind"
    assert answered.current()["clip-005"] == "beside"


def test_a_page_that_a_look_overtook_is_read_again(answered: World, between: Proxy) -> None:
    """What the pull asked for first and writes last is neither older nor newer for sure."""
    answered.annotate(answered.tasks()["clip-004"], "said")
    task = answered.tasks()["clip-004"]
    (project,) = projects.of_server(answered.ledger, answered.config.label_studio_server)

    def overtaken(exchange: Exchange) -> None:
        old = exchange.forward()
        tasks.update_annotation(
            answered.studio, task["annotations"][0]["id"], result=transcript("edited meanwhile")
        )
        loop.look(answered.ledger, answered.studio, answered.config, project, [task["id"]])
        exchange.reply(old)

    rule = between.on("GET", r"/api/tasks/\?.*fields=all", overtaken, lambda count: count == 1)
    pulled = through(answered, between).pull()
    assert rule.fired == 1
    assert answered.current()["clip-004"] == "edited meanwhile"
    assert pulled.received.overtaken == [task["id"]]
    assert [value for _, value, _ in answered.history("clip-004")] == [
        "xin chào meeting 4",
        "edited meanwhile",
    ]
