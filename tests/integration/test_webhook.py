"""POST /webhook: stored, then answered; and the webhook that Label Studio is given for it."""

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

import poison
from lsloop import loop
from lsloop.labelstudio import webhooks
from lsloop.ledger import Ledger, connect, events
from lsloop.server import webhook
from lsloop.steps import event
from serving import serving
from world import TRANSCRIPT, World

SECRET = "what only Label Studio knows"
PAYLOADS = Path(__file__).parents[1] / "payloads"
CREATED = PAYLOADS / "ANNOTATION_CREATED__POST_annotation.json"


@pytest.fixture
def url(tmp_path: Path, ledger: Ledger) -> Iterator[str]:
    with serving(tmp_path, hook=webhook.Hook(SECRET, partial(events.store, ledger))) as found:
        yield found


def post(
    url: str, body: Any, path: str = "/webhook", secret: str | None = SECRET, **more: Any
) -> httpx.Response:
    headers = {} if secret is None else {"X-Lsloop-Secret": secret}
    content = body if isinstance(body, bytes) or hasattr(body, "__next__") else json.dumps(body).encode()
    return httpx.post(f"{url}{path}", content=content, headers=headers, timeout=30, trust_env=False, **more)


def stored(ledger: Ledger) -> list[dict[str, Any]]:
    return events.recent(ledger, 100)


@pytest.mark.parametrize("path", webhook.PATHS)
def test_an_event_is_stored_under_both_paths_as_it_was_received(url: str, ledger: Ledger, path: str) -> None:
    answer = post(url, CREATED.read_bytes(), path)
    assert (answer.status_code, answer.json()) == (200, {"status": "stored"})
    (found,) = stored(ledger)
    assert (found["action"], found["source_path"], found["state"]) == ("ANNOTATION_CREATED", path, "stored")
    with ledger.transaction() as transaction:
        kept = transaction.value("SELECT payload FROM events")
    sent = json.loads(CREATED.read_text())
    assert kept["annotation"] == sent["annotation"]
    assert set(sent["project"]) - set(kept["project"]) == {"token", "task_data_password"}


@pytest.mark.parametrize("secret", [None, "", "wrong", SECRET[:-1], SECRET + "x", "\xe9"])
def test_whoever_does_not_know_the_secret_is_refused_and_nothing_is_stored(
    url: str, ledger: Ledger, secret: str | None
) -> None:
    headers: Any = {} if secret is None else {"X-Lsloop-Secret": secret.encode("latin-1")}
    answer = httpx.post(f"{url}/webhook", content=CREATED.read_bytes(), headers=headers, trust_env=False)
    assert answer.status_code == 401
    assert "lsloop setup" in answer.json()["fix"]
    assert SECRET not in answer.text
    assert stored(ledger) == []


BROKEN = (b"", b"{", b"[]", b'"x"', b"null", b"\xff\xfe", b"[" * 5000, b'{"action": NaN}', b'{"a":"\\ud800"}')


def test_what_is_not_a_json_object_is_refused(url: str, ledger: Ledger) -> None:
    for body in BROKEN:
        answer = post(url, body)
        assert answer.status_code == 400, body[:20]
    assert stored(ledger) == []


def test_whatever_a_body_holds_it_is_stored_or_refused_and_every_event_is_looked_at(
    url: str, ledger: Ledger
) -> None:
    bodies = poison.bodies()
    answers = {name: post(url, body) for name, body in bodies.items()}
    assert {name: one.status_code for name, one in answers.items() if one.status_code not in (200, 400)} == {}
    assert all(
        one.json()["error"] and one.json()["fix"] for one in answers.values() if one.status_code == 400
    )
    taken = sum(one.status_code == 200 for one in answers.values())
    assert taken >= 20
    assert len(stored(ledger)) <= taken
    done = event.process(ledger, "here", lambda project, ids: None, tries=3)
    assert (done.done + done.ignored, done.postponed) == (len(stored(ledger)), 0)


def test_an_event_without_a_known_action_is_stored_and_later_ignored(url: str, ledger: Ledger) -> None:
    odd: list[dict[str, Any]] = [
        {}, {"action": None}, {"action": 7}, {"action": "SOMETHING_NEW"}, {"action": "x\0y"},
        {"action": "'; DROP TABLE events; --", "project": "<script>"},
    ]  # fmt: skip
    for payload in odd:
        assert post(url, payload).status_code == 200
    assert event.process(ledger, "here", lambda project, ids: None, tries=3).ignored == len(odd)


def test_a_large_event_is_taken_and_one_that_is_too_large_is_refused(url: str, ledger: Ledger) -> None:
    tasks = [{"id": number, "data": {"text": "x" * 900}} for number in range(1_000)]
    assert post(url, {"action": "TASKS_CREATED", "tasks": tasks}).status_code == 200
    most = webhook.MOST
    for body in (b"x" * (most + 1), iter([b"x" * 2**20] * (most // 2**20 + 1))):  # the second tells no length
        assert post(url, body).status_code == 413
    assert len(stored(ledger)) == 1
    assert post(url, b"x" * 2**17, secret="wrong").status_code == 413, "nobody else's is held in memory"


def test_without_postgresql_the_answer_is_503_at_once(tmp_path: Path) -> None:
    nowhere = connect("postgresql://me:hunter2@127.0.0.1:1/x", check_schema=False)
    with serving(tmp_path, hook=webhook.Hook(SECRET, partial(events.store, nowhere))) as url:
        answer = post(url, {"action": "ANNOTATION_CREATED"})
        assert answer.status_code == 503
        assert "hunter2" not in answer.text


def test_a_postgresql_that_hangs_is_not_waited_for_longer_than_label_studio_waits(tmp_path: Path) -> None:
    on = threading.Event()
    with serving(tmp_path, hook=webhook.Hook(SECRET, lambda *_: on.wait(60))) as url:
        began = time.monotonic()
        for _ in range(2):
            assert post(url, {"action": "ANNOTATION_CREATED"}).status_code == 503
        assert time.monotonic() - began < 30, "waited for PostgreSQL, which answers after a minute"
        on.set()
        assert post(url, {"action": "ANNOTATION_CREATED"}).status_code == 200


def hook(url: str = "http://127.0.0.1:1/webhook") -> webhooks.Webhook:
    return webhooks.Webhook(url, SECRET, event.ACTIONS)


def comparable(there: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {name: one[name] for name in hook().body()} | {"actions": sorted(one["actions"])} for one in there
    ]


@pytest.mark.studio
def test_the_webhook_is_made_once_and_drift_is_put_right(world: World) -> None:
    project = int(world.studio.post("api/projects/", json={"title": "hooked"})["id"])
    others = {"project": project, "url": "http://127.0.0.1:1/others", "actions": ["TASKS_CREATED"],
    "send_payload": True,
              "send_for_all_actions": False}  # fmt: skip
    world.studio.post("api/webhooks/", json=others)
    register = partial(webhooks.register, world.studio, project)
    assert [register(hook()) for _ in range(2)] == [[], []]
    other, ours = webhooks.of_project(world.studio, project)
    assert comparable([ours]) == [hook().body()]

    wrong: dict[str, Any]
    for wrong in (
        {"url": "http://127.0.0.1:2/old"}, {"actions": ["TASKS_CREATED"]}, {"send_for_all_actions": True},
        {"is_active": False}, {"send_payload": False}, {"headers": {"X-Lsloop-Secret": "old"}},
        {"headers": {}},
    ):  # fmt: skip
        as_is = {"actions": ours["actions"]} | wrong  # Label Studio forgets actions that a PATCH leaves out
        world.studio.patch(f"api/webhooks/{ours['id']}/", json=as_is)
        world.studio.post("api/webhooks/", json={"project": project, **hook().body()})
        drift = register(hook())
        assert drift == [f"the webhook's {next(iter(wrong))} put right", "a second webhook was removed"]
        assert SECRET not in " ".join(drift)
        assert comparable(webhooks.of_project(world.studio, project)[1:]) == [hook().body()]
    assert webhooks.of_project(world.studio, project)[0] == other, "another's webhook is left alone"


def telling(world: World, url: str | None) -> World:
    environment = world.config.environment.model_copy(update={"lsloop_webhook_url": url})
    return replace(world, config=replace(world.config, environment=environment))


@pytest.mark.studio
def test_a_push_makes_the_webhook_with_the_project_and_asks_for_it_no_more(world: World) -> None:
    told = telling(world, "http://127.0.0.1:7")
    told.push()
    (made,) = webhooks.of_project(world.studio, world.ls_project_id)
    assert made["url"] == "http://127.0.0.1:7/webhook"
    assert made["headers"] == {"X-Lsloop-Secret": told.config.webhook_secret}
    assert told.config.secret not in json.dumps(made)

    world.studio.delete(f"api/webhooks/{made['id']}/")
    told.push()
    told.pull()
    assert webhooks.of_project(world.studio, world.ls_project_id) == [], (
        "no request for it on every push and pull"
    )
    found = loop.setup(told.ledger, told.studio, told.config, TRANSCRIPT, verify_webhook=True)
    assert (found.no_events, len(webhooks.of_project(world.studio, world.ls_project_id))) == ("", 1)
    telling(world, "http://127.0.0.1:8/elsewhere").push()  # an address that is new is told at once
    (made,) = webhooks.of_project(world.studio, world.ls_project_id)
    assert made["url"] == "http://127.0.0.1:8/elsewhere/webhook"


@pytest.mark.studio
def test_without_a_known_address_there_is_no_webhook_and_setup_says_so(world: World) -> None:
    found = loop.setup(world.ledger, world.studio, world.config, TRANSCRIPT, verify_webhook=True)
    assert "LSLOOP_WEBHOOK_URL" in found.no_events
    assert webhooks.of_project(world.studio, world.ls_project_id) == []


@pytest.mark.studio
def test_a_webhook_that_label_studio_refuses_is_told_and_stops_no_push(world: World) -> None:
    told = telling(world, "not-a-scheme://x")
    found = loop.setup(told.ledger, told.studio, told.config, TRANSCRIPT)
    assert found.created
    assert "400" in found.no_events
    told.push()
