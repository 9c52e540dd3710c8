"""A refresh in place, cut off or crossed by an answer at an exact point."""

from collections.abc import Iterator

import pytest

from faults import proxy
from faults.proxy import Proxy
from lsloop.errors import Uncertain
from lsloop.labelstudio import client
from lsloop.ledger import problems
from services import Studio
from world import World, clips

TASK = r"/api/tasks/\d+/$"


@pytest.fixture
def line(studio: Studio) -> Iterator[Proxy]:
    with Proxy(studio.url) as between:
        yield between


@pytest.fixture
def sent(world: World, studio: Studio, line: Proxy) -> Iterator[World]:
    """Three samples, sent, and then all changed upstream; Label Studio is reached through the proxy."""
    world.ingest(clips(3))
    world.push()
    world.ingest(clips(3, transcript="all new"))
    with client.connect(line.url, studio.token) as through:
        yield World(world.config, world.ledger, through)


def shown(world: World) -> list[str]:
    return [task["data"]["text"] for task in world.tasks().values()]


def bases(world: World) -> list[str]:
    return [
        row.text
        for row in world.rows(
            "SELECT base -> 'fields' ->> 'transcript' AS text FROM tasks ORDER BY ls_task_id"
        )
    ]


@pytest.mark.parametrize("point", [proxy.before, lambda action: proxy.after(action)], ids=["before", "after"])
def test_an_answer_that_comes_in_during_a_refresh_is_a_conflict_and_not_a_loss(
    world: World, sent: World, line: Proxy, point: object
) -> None:
    task = world.tasks()["clip-001"]
    submit = point(lambda: world.annotate(task, "submitted meanwhile"))  # type: ignore[operator]
    rule = line.on("PATCH", TASK, submit, proxy.nth(1))
    sent.push()
    assert rule.fired == 1
    assert sent.pull().received.outcomes == {"conflicted": 1}
    (row,) = sent.rows("SELECT base, ours, theirs FROM conflicts")
    sides = row.base["fields"]["transcript"], row.ours["transcript"], row.theirs["fields"]["transcript"]
    assert sides == ("xin chào meeting 1", "submitted meanwhile", "all new")


@pytest.mark.parametrize("fault", [proxy.drop, proxy.then_drop], ids=["dropped", "unanswered"])
@pytest.mark.parametrize("request_path", [TASK, r"/api/predictions/\d+/$"], ids=["data", "prediction"])
def test_a_refresh_that_was_cut_off_is_done_again(
    sent: World, line: Proxy, fault: proxy.Fault, request_path: str
) -> None:
    line.on("PATCH", request_path, fault, proxy.nth(2))
    with pytest.raises(Uncertain):
        sent.push()
    assert bases(sent) == ["all new", "xin chào meeting 2", "xin chào meeting 3"], (
        "the ledger claims nothing it does not know"
    )
    assert sent.push().refreshed == 2
    assert (shown(sent), bases(sent)) == (["all new"] * 3, ["all new"] * 3)


def test_one_task_that_label_studio_refuses_does_not_keep_the_others_waiting(
    sent: World, line: Proxy
) -> None:
    line.on("PATCH", TASK, proxy.answering(400, b'{"detail": "not this one"}'), proxy.nth(1))
    pushed = sent.push()
    assert pushed.refreshed == 2
    assert ["not this one" in problem for problem in pushed.unfit] == [True]
    assert sent.push().refreshed == 1


def changed(world: World, text: str) -> None:
    """Every sample moved on, and the transcript of one is this JSON."""
    with world.ledger.transaction() as transaction:
        transaction.run(
            """UPDATE samples SET fields = jsonb_set(fields, '{transcript}', CAST(:text AS jsonb))
                WHERE external_id = 'clip-002'""", text=text,
        )  # fmt: skip
        transaction.run("UPDATE samples SET sync_version = sync_version + 1")


def test_a_task_that_cannot_be_refreshed_keeps_no_other_waiting(
    world: World, sent: World, line: Proxy
) -> None:
    line.on("PATCH", TASK, proxy.answering(500), proxy.nth(1))
    changed(world, "7")
    pulled = sent.pull()
    assert pulled.refreshed == 1
    assert shown(world) == ["xin chào meeting 1", "xin chào meeting 2", "all new"]
    listed, _ = problems.listed(world.ledger, step="refresh")
    assert {one["external_id"] for one in listed} == {"clip-001", "clip-002"}
    assert all(one["ls_task_id"] and one["reason"] for one in listed)
    changed(world, '"mended"')
    assert sent.pull().refreshed == 2, "the third shows it already"
    assert problems.listed(world.ledger, step="refresh") == ([], 0)
