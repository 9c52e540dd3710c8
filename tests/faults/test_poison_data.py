"""What somebody put into the data of one of our tasks, by Label Studio's API, stops no pull and no push of
the others."""

import json
from collections.abc import Mapping

import httpx
import pytest
from pydantic import SecretStr

from integration.test_links import elsewhere
from lsloop.labelstudio import salvage, tasks
from lsloop.ledger import problems
from world import TRANSCRIPT, World, clips

pytestmark = pytest.mark.studio

MORE: Mapping[str, str] = {
    "half a pair": '"\\ud83d"', "NUL": '"a\\u0000b"', "300 deep": "[" * 300 + "]" * 300, "long": "1" * 40,
}  # fmt: skip
INSTEAD: Mapping[str, str] = {"a list": "[1]", "a text": '"q"', "nothing": "{}"}


def patch(world: World, task: dict[str, object], data: str) -> None:
    """As a client that is not lsloop. The answer may be an error, and the data is stored all the same."""
    headers = {
        "Authorization": f"Token {world.config.label_studio_api_key}",
        "Content-Type": "application/json",
    }
    url = f"{world.config.label_studio_url}/api/tasks/{task['id']}/"
    httpx.patch(url, content=f'{{"data": {data}}}', headers=headers, timeout=60)


def test_poison_in_the_data_of_a_task_stops_no_other(world: World) -> None:
    world.ingest(clips(len(MORE) + len(INSTEAD) + 2))
    world.push(limit=100)
    there = list(world.tasks().values())
    for task, value in zip(there, MORE.values(), strict=False):
        patch(world, task, json.dumps(task["data"])[:-1] + f', "x": {value}}}')
    for task, value in zip(there[len(MORE) :], INSTEAD.values(), strict=False):
        patch(world, task, value)
    world.annotate(there[-1], "heard")
    keys = [task["data"][tasks.KEY] for task in there]
    ours = {task["id"] for task in there} - {task["id"] for task in there[len(MORE) : -2]}
    assert {i for i, _ in tasks.find_by_key(world.studio, world.ls_project_id, keys)} >= ours

    now = elsewhere(world, lsloop_secret=SecretStr("another"))
    now.ingest([*clips(len(there), transcript="changed upstream"), *clips(len(there) + 1)[-1:]])
    for options in ({}, {"full": True}):
        now.pull(**options)
        now.push(limit=10)
    assert world.value("SELECT count(*) FROM annotations WHERE value IS NOT NULL") == 1
    assert tasks.count(world.studio, world.ls_project_id) == len(there) + 1, (
        "the new sample went, and none a second time"
    )
    data = tasks.data_of(world.studio, world.ls_project_id, [there[-2]["id"]])[there[-2]["id"]]
    assert data["text"] == "changed upstream"
    listed, _ = problems.listed(world.ledger, task_type=TRANSCRIPT)
    assert there[0]["id"] in {one["ls_task_id"] for one in listed}, "what Label Studio cannot list is named"


def test_many_tasks_in_a_row_that_cannot_be_listed_stop_no_other(world: World) -> None:
    world.ingest(clips(salvage.MOST + 4))
    world.push(limit=100)
    there = list(world.tasks().values())
    for task in there[:-2]:
        patch(world, task, json.dumps(task["data"])[:-1] + f', "x": {MORE["half a pair"]}}}')
    world.annotate(there[-1], "heard")
    world.pull()
    assert world.value("SELECT count(*) FROM annotations WHERE value IS NOT NULL") == 1
    assert len(problems.listed(world.ledger, task_type=TRANSCRIPT)[0]) == len(there) - 2
    world.push()
    assert tasks.count(world.studio, world.ls_project_id) == len(there)
    readable = {one["id"] for one in tasks.some(world.studio, world.ls_project_id)}
    assert readable == {there[-2]["id"], there[-1]["id"]}, (
        "whose project it is can be told from what can be read"
    )
