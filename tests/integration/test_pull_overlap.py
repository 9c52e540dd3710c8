"""Pull's overlap: what a slow transaction commits behind the cursor still comes in, and what was seen is
not read again."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from lsloop.labelstudio import tasks
from world import World, clips, transcript


@pytest.fixture
def pulled(world: World) -> World:
    """Five samples, sent; three answered; all of it in the ledger."""
    world.ingest(clips(5))
    world.push()
    for name in ("clip-001", "clip-002", "clip-003"):
        world.annotate(world.tasks()[name], "heard")
    world.pull()
    return world


def committed_late(world: World) -> None:
    """Whatever happened in Label Studio until now was not to be seen yet by the pulls that there were."""
    latest = max(datetime.fromisoformat(task["updated_at"]) for task in world.tasks().values())
    with world.ledger.transaction() as transaction:
        transaction.run("UPDATE projects SET cursor = :cursor", cursor=latest + timedelta(seconds=1))


def reads(world: World, **options: Any) -> int:
    return int(world.pull(**options).read)


def test_what_was_seen_in_the_overlap_is_not_read_again(pulled: World) -> None:
    committed_late(pulled)
    assert reads(pulled) == 0
    pulled.annotate(pulled.tasks()["clip-004"], "new")
    assert reads(pulled) == 1
    assert reads(pulled, full=True) == 5


def test_a_first_answer_that_was_committed_late_comes_in(pulled: World) -> None:
    pulled.annotate(pulled.tasks()["clip-004"], "late")
    committed_late(pulled)
    assert pulled.pull().received.added == 1
    assert pulled.current()["clip-004"] == "late"


def test_an_edit_that_was_committed_late_comes_in_though_as_many_tasks_are_there_as_were_seen(
    pulled: World,
) -> None:
    (there,) = pulled.tasks()["clip-002"]["annotations"]
    tasks.update_annotation(pulled.studio, there["id"], result=transcript("edited late"))
    committed_late(pulled)
    answer = pulled.pull()
    assert (answer.received.edited, answer.read) == (1, 1)
    assert pulled.current()["clip-002"] == "edited late"


def test_a_deletion_does_not_hide_what_was_committed_late(pulled: World) -> None:
    there = pulled.tasks()
    pulled.annotate(there["clip-004"], "late")
    tasks.delete(pulled.studio, pulled.ls_project_id, [there["clip-001"]["id"]])
    committed_late(pulled)
    answer = pulled.pull()
    assert (answer.received.added, answer.gone) == (1, 0)
    assert pulled.states() == {"accepted": 4, "open": 1}
    assert pulled.value("SELECT count(*) FROM tasks WHERE gone_at IS NOT NULL") == 1


def test_a_task_of_somebody_else_in_the_overlap_does_no_harm(pulled: World) -> None:
    there = pulled.tasks()["clip-005"]
    pulled.annotate(pulled.tasks()["clip-004"], "late")
    committed_late(pulled)
    tasks.import_batch(
        pulled.studio, pulled.ls_project_id, [{"data": there["data"] | {tasks.KEY: "somebody else"}}]
    )
    assert pulled.pull().received.added == 1
    assert pulled.pull().received.added == 0
