"""A ledger that was put back to an older state: what it sent after that is known again, and is not sent a
second time."""

import uuid

import pytest

from lsloop.labelstudio import tasks
from world import TRANSCRIPT, World, clips

pytestmark = pytest.mark.studio


def put_back(world: World, *, before_the_project: bool = False) -> None:
    """The ledger forgets what it sent later than its first two tasks, as a backup from then does."""
    forgotten = "(SELECT task_key FROM tasks ORDER BY ls_task_id OFFSET :n)"
    for table in ("locks", "earlier_bases", "tasks"):
        world.rows(
            f"DELETE FROM {table} WHERE task_key IN {forgotten} RETURNING 1", n=0 if before_the_project else 2
        )
    if before_the_project:
        world.rows("DELETE FROM media_links RETURNING 1")
        world.rows("DELETE FROM projects RETURNING 1")


@pytest.mark.parametrize("first", ["push", "pull", "before the project"])
def test_what_was_sent_after_the_backup_is_known_again_and_its_answers_come_in(
    world: World, first: str
) -> None:
    world.ingest(clips(6))
    world.push(limit=2)
    world.push(limit=3)
    home, there = world.ls_project_id, world.tasks()
    for name in ("clip-004", "clip-005"):
        world.annotate(there[name], f"heard in {name}")
    stranger = {
        "audio": "x",
        "text": "",
        "candidates": "",
        tasks.KEY: str(uuid.uuid4()),
        "sample_id": str(uuid.uuid4()),
    }
    tasks.import_batch(world.studio, home, [{"data": stranger}])
    put_back(world, before_the_project=first == "before the project")
    rows = clips(6)
    for number in (2, 4):
        rows[number]["transcript"] = "crawled anew"
    world.ingest(rows)
    found = 5 if first == "before the project" else 3
    if first == "pull":
        pulled = world.pull()
        assert any(f"{found} tasks of this ledger were found" in one for one in pulled.noticed)
        assert world.push().sent == 1
    else:
        pushed = world.push()
        assert any(f"{found} tasks of this ledger were found" in one for one in pushed.noticed)
        assert (pushed.sent, pushed.refreshed) == (1, 1)
        pulled = world.pull()
    assert pulled.received.added == 2
    assert world.ls_project_id == home
    _remove(world, home, stranger)
    now = world.tasks()
    assert len(now) == 6
    assert now["clip-003"]["data"]["text"] == "crawled anew"
    assert world.current()["clip-004"] == "heard in clip-004"
    assert world.current()["clip-005"] == "heard in clip-005"
    assert world.value("SELECT count(*) FROM conflicts") == 1, "upstream moved under clip-005"
    assert world.push().sent == 0
    assert world.pull().noticed == []
    assert (
        world.value("SELECT count(*) FROM locks WHERE released_at IS NULL AND task_type = :t", t=TRANSCRIPT)
        == 4
    )


def _remove(world: World, ls_project_id: int, data: dict[str, str]) -> None:
    ((number, _),) = tasks.find_by_key(world.studio, ls_project_id, [data[tasks.KEY]])
    tasks.delete(world.studio, ls_project_id, [number])
