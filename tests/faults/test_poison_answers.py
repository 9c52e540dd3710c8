"""One answer never stops the stream: whatever is in it, all others come in, and it is set aside by name."""

import contextlib
import json
import re
from dataclasses import replace
from typing import Any

import httpx
import pytest

import poison
from faults import promises, proxy
from faults.conftest import through
from faults.proxy import Answer, Exchange, Proxy
from lsloop import loop
from lsloop.errors import Uncertain, Unreachable
from lsloop.labelstudio import tasks
from lsloop.ledger import events, problems
from lsloop.server import guard, webhook
from poison import Poison
from world import TRANSCRIPT, World, clips, transcript

GOOD = 12


class Wire:
    """Label Studio's answers with an annotation in each task that it does not have: good ones, and poison
    between them."""

    def __init__(self, world: World, kinds: list[Poison]) -> None:
        self.ids = sorted(task["id"] for task in world.tasks().values())
        self.poison = dict(zip(self.ids[GOOD // 2 :], kinds, strict=False))

    def rewrite(self, exchange: Exchange) -> None:
        answer = exchange.forward()
        found = json.loads(answer.body)
        if "fields=all" not in exchange.path or not found.get("tasks"):
            return exchange.reply(answer)
        with_result = "result" in exchange.path
        raw: dict[str, str] = {}
        for task in found["tasks"]:
            task["annotations"] = [self._annotation(task["id"], raw, with_result)]
        body = re.sub(r'"@(\d+)@"', lambda mark: raw[mark[1]], json.dumps(found))
        return exchange.reply(Answer(answer.status, body.encode(), answer.headers))

    def one(self, exchange: Exchange) -> None:
        """One annotation by itself."""
        number = int(re.findall(r"annotations/(\d+)", exchange.path)[0]) - 1000
        raw: dict[str, str] = {}
        body = re.sub(
            r'"@(\d+)@"', lambda mark: raw[mark[1]], json.dumps(self._annotation(number, raw, True))
        )
        exchange.reply(Answer(200, body.encode()))

    def told(self, ls_task_id: int, ls_project_id: int) -> bytes:
        """The event that tells of an annotation."""
        raw: dict[str, str] = {}
        annotation = self._annotation(ls_task_id, raw, True)
        event = {"action": "ANNOTATION_CREATED", "annotation": annotation, "project": {"id": ls_project_id}}
        event["task"] = {"id": ls_task_id, "data": {}}
        return re.sub(r'"@(\d+)@"', lambda mark: raw[mark[1]], json.dumps(event)).encode()

    def _annotation(self, ls_task_id: int, raw: dict[str, str], with_result: bool) -> dict[str, Any]:
        made: dict[str, Any] = {
            "id": 1000 + ls_task_id, "task": ls_task_id, "result": transcript(f"heard {ls_task_id}"),
            "was_cancelled": False,
            "ground_truth": False, "lead_time": 2.0, "completed_by": 1, "updated_by": 1,
            "created_at": "2026-11-21T00:52:32.575064Z", "updated_at": "2026-11-21T00:52:32.575064Z",
        }  # fmt: skip
        kind = self.poison.get(ls_task_id)
        if kind is not None and kind.text is None:
            del made[kind.field]
        elif kind is not None:
            raw[str(ls_task_id)] = kind.text or ""
            made[kind.field] = f"@{ls_task_id}@"
        if not with_result:
            made.pop("result", None)
        return made


def parsed(body: bytes) -> dict[str, Any] | None:
    """A body that the webhook takes."""
    try:
        return webhook.parsed(body)
    except guard.Problem:
        return None


def check_good(world: World, wire: Wire) -> None:
    """Every good answer is its sample's value."""
    current = {task["id"]: world.current()[name] for name, task in world.tasks().items()}
    good = [number for number in wire.ids if number not in wire.poison]
    assert len(good) >= GOOD
    assert {number: current[number] for number in good} == {number: f"heard {number}" for number in good}


def test_every_kind_of_poison_is_set_aside_and_all_others_come_in(empty: World, between: Proxy) -> None:
    kinds = poison.answers()
    assert len(kinds) > 300
    empty.ingest(clips(len(kinds) + GOOD))
    push = empty.config.params.push.model_copy(update={"batch": 500, "limit": 1000})
    pull = empty.config.params.pull.model_copy(update={"batch": 100})
    params = empty.config.params.model_copy(update={"push": push, "pull": pull})
    world = replace(empty, config=replace(empty.config, params=params))
    world.push()
    wire = Wire(world, kinds)
    between.on("GET", r"^/api/tasks/\?", wire.rewrite)
    between.on("GET", r"^/api/annotations/", wire.one)
    seen = through(world, between)
    seen.pull()
    check_good(world, wire)
    # An event is kept without NUL, so it may tell of such an answer in other words; no pull says it anew.
    before = world.value("SELECT count(*) FROM annotation_history WHERE NOT told")
    told = [wire.told(number, world.ls_project_id) for number in wire.ids[::5]]
    kept = [
        events.store(world.ledger, "/webhook", body, payload) for body in told if (payload := parsed(body))
    ]
    assert len(kept) > 30  # the webhook refuses the others: they are no JSON that can be kept
    done = loop.process_events(world.ledger, seen.studio, world.config)
    assert (done.postponed, done.done + done.ignored) == (0, len(kept))
    check_good(world, wire)
    again = world.value("SELECT count(*) FROM annotation_history WHERE NOT told")
    assert again == before, "the same again is nothing new"
    listed, total = problems.listed(world.ledger, task_type=TRANSCRIPT)
    assert total > 100
    assert all(
        one["reason"] and one["ls_task_id"] and one["ls_project_id"] == world.ls_project_id for one in listed
    )
    taken = world.rows("SELECT ls_task_id FROM annotations WHERE value IS NOT NULL OR was_cancelled")
    said = {one["ls_task_id"] for one in listed} | {row.ls_task_id for row in taken}
    assert [kind.name for number, kind in wire.poison.items() if number not in said] == [], (
        "neither taken nor named"
    )


STORED = {
    "a long number": poison.region(meta=f'{{"n": {poison.BIG}}}'),
    "300 deep": poison.region(meta=poison.WRONG["300 deep"]),
    "NUL": poison.region(text="a\\u0000b"),
    "NUL in a key": poison.region(meta='{"a\\u0000b": 1}'),
    "half a pair": poison.region(text="xin \\ud83d"),
    "a number for a text": poison.region(value='{"text": [5]}'),
    "no value": '{"id": "t", "from_name": "transcription"}',
    "a list for a name": poison.region(from_name='["transcription"]'),
    "a text for a value": poison.region(value='"q"'),
}


def submit(world: World, ls_task_id: int, body: str) -> None:
    """As a client that is not Label Studio's page. The answer may be an error, and the annotation is
    stored all the same."""
    key = world.config.label_studio_api_key
    url = f"{world.config.label_studio_url}/api/tasks/{ls_task_id}/annotations/"
    headers = {"Authorization": f"Token {key}", "Content-Type": "application/json"}
    httpx.post(url, content=body, headers=headers, timeout=60)


@pytest.mark.studio
def test_what_label_studio_stores_and_cannot_give_out_again_stops_nothing(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.ingest(clips(len(STORED) + 5))
    world.push(limit=100)
    there = list(world.tasks().values())
    for task, text in zip(there, STORED.values(), strict=False):
        submit(world, task["id"], f'{{"result": [{text}]}}')
    submit(
        world, there[len(STORED)]["id"], f'{{"result": {json.dumps(transcript("slow"))}, "lead_time": 1e300}}'
    )
    for task in there[len(STORED) + 1 :]:
        world.annotate(task, "heard")
    for options in ({}, {}, {"full": True}):
        world.pull(**options)
        values = [
            row.value["transcript"]
            for row in world.rows("SELECT value FROM annotations WHERE value IS NOT NULL")
        ]
        assert sorted(values) == ["heard"] * 4 + ["slow"]
    listed, _ = problems.listed(world.ledger, task_type=TRANSCRIPT)
    assert {one["ls_task_id"] for one in listed} == {task["id"] for task in there[: len(STORED)]}
    named = [one for one in listed if one["subject"] == "annotation"]
    assert len(named) == len(STORED)
    assert all("@" in one["annotator"] for one in named)
    (kept,) = world.rows("SELECT raw FROM annotations WHERE raw LIKE :big", big=f"%{poison.BIG}%")
    assert json.loads(kept.raw)[0]["meta"] == {"n": int(poison.BIG)}

    mended = 0
    for row in world.rows("SELECT ls_annotation_id, ls_task_id FROM annotations WHERE problem IS NOT NULL"):
        with contextlib.suppress(Uncertain):  # of some, Label Studio cannot even tell that it took leave
            tasks.delete_annotation(world.studio, row.ls_annotation_id)
            tasks.annotate(world.studio, row.ls_task_id, transcript("mended"))
            mended += 1
    outcomes = world.pull().received.outcomes
    assert (outcomes["accepted"], outcomes.keys() - {"open"}) == (mended, {"accepted"}), (
        "the others are read again"
    )
    listed, _ = problems.listed(world.ledger, task_type=TRANSCRIPT)
    now = tasks.place(world.studio, world.ls_project_id, [task["id"] for task in there[: len(STORED)]])
    answered = {number for number, task in now.items() if task["total_annotations"]}
    assert (mended >= 3, len(answered & {one["ls_task_id"] for one in listed})) == (
        True,
        len(answered) - mended,
    )
    assert {one["ls_task_id"] for one in listed} <= answered, "what is gone is no problem any more"


def test_when_label_studio_itself_fails_nothing_is_set_aside(scene: World, between: Proxy) -> None:
    scene.push()
    answers = promises.answer_all(scene)
    between.on("GET", r"/api/tasks/\?.*fields=all", proxy.answering(500))
    with pytest.raises(Unreachable):
        through(scene, between).pull()
    between.on("GET", r"/api/tasks/\?", proxy.answering(502, b"<html>", "text/html"))
    with pytest.raises(Unreachable):
        through(scene, between).pull()
    assert scene.value("SELECT cursor FROM projects") is None
    assert problems.listed(scene.ledger) == ([], 0)
    scene.pull()
    promises.check_received_once(scene, answers)
