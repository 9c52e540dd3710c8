"""Samples that no task can be made of, and tasks that Label Studio does not take: set aside by name, and
the others go."""

import json
from typing import Any

import pytest

from faults import promises
from faults.conftest import SAMPLES, through
from faults.proxy import Answer, Exchange, Fault, Proxy, answering, nth
from lsloop import loop
from lsloop.errors import LsloopError
from lsloop.ledger import problems
from lsloop.ledger import tasks as ledger_tasks
from lsloop.loop.setup import pushed
from world import TRANSCRIPT, World, clips

IMPORT = ("POST", r"/import\b")
DEEP = "[" * 3000 + "]" * 3000
POISON = {  # what a crawler may write into `fields`, as JSON; PostgreSQL takes all of it
    "number": '{"transcript": 7}', "true": '{"transcript": true}', "list": '{"transcript": ["a", "b"]}',
    "object": '{"transcript": {"vi": "một"}}', "deep": f'{{"transcript": {DEEP}}}',
    "beside": f'{{"transcript": "một", "other": {DEEP}}}',
}  # fmt: skip


def set_aside(world: World) -> dict[str, dict[str, Any]]:
    found, total = problems.listed(world.ledger, step="push")
    assert total == len(found)
    return {one["external_id"]: one for one in found}


def test_each_sample_that_no_task_can_be_made_of_is_set_aside_and_the_others_go(scene: World) -> None:
    names = [f"clip-{i:03}" for i in range(1, len(POISON) + 1)]
    for name, fields in zip(names, POISON.values(), strict=True):
        scene.value(
            "UPDATE samples SET fields = CAST(:f AS jsonb) WHERE external_id = :n RETURNING 1",
            f=fields,
            n=name,
        )
    planned = loop.plan_push(scene.ledger, scene.config, TRANSCRIPT)
    assert (len(planned.samples), len(planned.left_out)) == (SAMPLES - len(POISON), len(POISON))
    assert set_aside(scene) == {}, "a dry run writes nothing"

    done = scene.push()
    assert (done.sent, done.left_out) == (SAMPLES - len(POISON), planned.left_out)
    told = set_aside(scene)
    assert sorted(told) == names
    assert told["clip-001"]["reason"] == "Expected text, got int."
    assert all(one["fix"] and one["task_type"] == TRANSCRIPT for one in told.values())
    promises.check_locks(scene)

    again = scene.push()
    assert (again.sent, again.left_out) == (0, []), "claimed again although nothing changed"
    scene.value(
        """UPDATE samples SET fields = '{"transcript": "một"}', sync_version = sync_version + 1
            WHERE external_id = 'clip-001' RETURNING 1"""
    )
    assert loop.plan_push(scene.ledger, scene.config, TRANSCRIPT).samples[0].external_id == "clip-001"
    assert scene.push().sent == 1
    assert sorted(set_aside(scene)) == names[1:]
    ledger_tasks.try_again(
        scene.ledger, pushed(scene.ledger, scene.config, TRANSCRIPT), "another label config"
    )
    assert set_aside(scene) == {}


def refusing(status: int, *poison: str) -> Fault:
    """Label Studio does not take a batch that has one of these transcripts."""

    def fault(exchange: Exchange) -> None:
        texts = [task["data"]["text"] for task in json.loads(exchange.body)]
        if any(text in poison for text in texts):
            exchange.reply(Answer(status, b'{"detail": "Error at item 3"}'))
        else:
            exchange.reply(exchange.forward())

    return fault


@pytest.mark.parametrize("status", [400, 413, 500])
def test_a_task_that_label_studio_does_not_take_is_found_by_halving_and_the_others_go(
    scene: World, between: Proxy, status: int
) -> None:
    between.on(*IMPORT, refusing(status, "xin chào meeting 4", "xin chào meeting 20"))
    done = through(scene, between).push()
    assert (done.sent, len(done.left_out)) == (SAMPLES - 2, 2)
    assert sorted(set_aside(scene)) == ["clip-004", "clip-020"]
    there = promises.in_label_studio(scene)
    assert len({task["data"]["sample_id"] for task in there}) == len(there) == SAMPLES - 2
    promises.check_locks(scene)
    assert (scene.push().sent, sorted(set_aside(scene))) == (0, ["clip-004", "clip-020"])


def test_what_label_studio_kept_though_it_answered_500_is_not_sent_again(
    scene: World, between: Proxy
) -> None:
    def kept(exchange: Exchange) -> None:
        exchange.forward()
        exchange.reply(Answer(500, b"{}"))

    between.on(*IMPORT, answering(500), nth(1))
    between.on(*IMPORT, kept, nth(2, 4))
    assert through(scene, between).push().sent == SAMPLES
    promises.check_sent_once(scene)


@pytest.mark.parametrize("status", [400, 500])
def test_where_label_studio_takes_nothing_at_all_it_is_not_the_samples(
    scene: World, between: Proxy, status: int
) -> None:
    all_of_them = [row["transcript"] for row in clips(SAMPLES)]
    between.on(*IMPORT, refusing(status, *all_of_them))
    with pytest.raises(LsloopError):
        through(scene, between).push()
    assert set_aside(scene) == {}
    assert scene.push().sent == SAMPLES
    promises.check_sent_once(scene)
