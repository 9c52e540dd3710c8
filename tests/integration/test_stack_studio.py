"""Label Studio as the stack sets it up: its settings, its store, its own environment."""

import json
import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from lsloop.errors import UsageError
from lsloop.stack import children, ports, studio_env
from lsloop.stack import studio as stack_studio
from lsloop.stack.studio_env import STORE
from services import Studio

pytestmark = pytest.mark.studio

CONFIG = """<View><Text name="text" value="$text"/>
<Choices name="kind" toName="text"><Choice value="good"/><Choice value="bad"/></Choices></View>"""


@pytest.fixture
def client(studio: Studio) -> Iterator[httpx.Client]:
    keys = {"Authorization": f"Token {studio.token}"}
    with httpx.Client(base_url=studio.url, headers=keys, timeout=120) as client:
        yield client


@pytest.fixture
def project(client: httpx.Client) -> Iterator[int]:
    made = client.post("/api/projects/", json={"title": "stack test", "label_config": CONFIG}).json()["id"]
    yield made
    client.delete(f"/api/projects/{made}/")


def chosen(value: str) -> list[dict[str, object]]:
    return [
        {"id": "a", "from_name": "kind", "to_name": "text", "type": "choices", "value": {"choices": [value]}}
    ]


@pytest.mark.parametrize("kind", ["legacy", "personal"])
def test_both_kinds_of_token_open_label_studio(studio: Studio, kind: str) -> None:
    if kind == "legacy":
        authorization = f"Token {studio.token}"
    else:
        answer = httpx.post(f"{studio.url}/api/token/refresh/", json={"refresh": studio.pat})
        authorization = f"Bearer {answer.json()['access']}"
    who = httpx.get(f"{studio.url}/api/current-user/whoami", headers={"Authorization": authorization})
    assert who.json()["email"] == studio.email


def test_four_writers_at_once_are_all_served(client: httpx.Client, project: int, studio: Studio) -> None:
    tasks = [{"data": {"text": "hello"}} for _ in range(100)]
    found = client.post(f"/api/projects/{project}/import?return_task_ids=true", json=tasks).json()["task_ids"]
    together = threading.Barrier(5)

    def annotate(ids: list[int]) -> set[int]:
        together.wait(30)
        return {
            client.post(f"/api/tasks/{one}/annotations/", json={"result": chosen("good")}).status_code
            for one in ids
        }

    def push() -> set[int]:
        together.wait(30)
        return {client.post(f"/api/projects/{project}/import", json=tasks).status_code for _ in range(3)}

    with ThreadPoolExecutor(5) as pool:
        answers = [pool.submit(annotate, found[k::4]) for k in range(4)] + [pool.submit(push)]
        assert [one.result() for one in answers] == [{201}] * 5
    counted = client.get("/api/tasks", params={"project": project, "page_size": 1}).json()
    assert (counted["total"], counted["total_annotations"]) == (400, 100)


def test_a_long_write_makes_other_writers_wait_and_readers_not(
    client: httpx.Client, project: int, studio: Studio
) -> None:
    with (
        closing(sqlite3.connect(studio.data / STORE, isolation_level=None)) as other,
        ThreadPoolExecutor() as pool,
    ):
        other.execute("BEGIN EXCLUSIVE")
        task = {"data": {"text": "hello"}, "predictions": [{"result": chosen("good")}]}
        write = pool.submit(client.post, f"/api/projects/{project}/import", json=[task])
        assert client.get(f"/api/projects/{project}/").status_code == 200
        with pytest.raises(TimeoutError):
            write.result(7)  # SQLite gives up after 5 s by default
        other.execute("ROLLBACK")
        assert write.result(60).json()["prediction_count"] == 1


def test_a_prediction_that_does_not_fit_the_label_config_is_refused(
    client: httpx.Client, project: int
) -> None:
    def imported(value: str) -> int:
        task = {"data": {"text": "hello"}, "predictions": [{"result": chosen(value)}]}
        return client.post(f"/api/projects/{project}/import", json=[task]).status_code

    assert imported("good") == 201
    assert imported("ugly") == 400


def test_webhooks_to_this_machine_are_allowed(client: httpx.Client, project: int) -> None:
    hook = {"project": project, "url": "http://127.0.0.1:9/webhook", "send_for_all_actions": False}
    answer = client.post("/api/webhooks/", json=hook | {"actions": ["ANNOTATION_CREATED"]})
    assert answer.status_code == 201, answer.text


def test_nobody_may_sign_up_without_an_invitation(studio: Studio) -> None:
    with httpx.Client(base_url=studio.url) as browser:
        page = browser.get("/user/signup/")
        form = {
            "email": "a@b.example",
            "password": "12345678",
            "csrfmiddlewaretoken": page.cookies["csrftoken"],
        }
        assert browser.post("/user/signup/", data=form).status_code == 403


def test_long_filters_in_the_url_are_accepted(client: httpx.Client, project: int) -> None:
    keys = [f"{number:036}" for number in range(200)]
    item = {"filter": "filter:tasks:data.text", "operator": "in_list", "type": "List", "value": keys}
    query = json.dumps({"filters": {"conjunction": "and", "items": [item]}})
    answer = client.get("/api/tasks", params={"project": project, "query": query})
    assert len(str(answer.url)) > 8190  # what gunicorn takes by default, and more
    assert answer.status_code == 200, answer.text


def test_a_lost_sign_in_is_replaced_and_the_projects_stay(studio_environment: Path, tmp_path: Path) -> None:
    data, port = tmp_path / "data", ports.choose([])

    def titles() -> list[str]:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            client.headers["Authorization"] = f"Token {stack_studio.admin(data).token}"
            if not client.get("/api/projects/").json()["results"]:
                client.post("/api/projects/", json={"title": "kept"})
            return [one["title"] for one in client.get("/api/projects/").json()["results"]]

    seen = []
    for _ in range(2):
        child = stack_studio.start(studio_environment, data, port, tmp_path / "log")
        try:
            stack_studio.wait_until_ready(child, port)
            seen.append((stack_studio.admin(data), titles()))
        finally:
            children.stop([child])
        (data / stack_studio.ADMIN).unlink()
    assert seen[0][0] != seen[1][0]
    assert seen[0][1] == seen[1][1] == ["kept"]


def test_a_store_of_another_version_is_brought_up_to_date(studio_environment: Path, tmp_path: Path) -> None:
    data, port = tmp_path / "data", ports.choose([])
    data.mkdir()
    studio_env.new_store(studio_environment, data)
    (data / stack_studio.MADE_BY).write_text("an older one")
    child = stack_studio.start(studio_environment, data, port, tmp_path / "log")
    try:
        stack_studio.wait_until_ready(child, port)
    finally:
        children.stop([child])
    assert (data / stack_studio.MADE_BY).read_text() == studio_env.made_from(studio_environment)


def test_every_store_has_its_own_keys(studio_environment: Path, tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    one, two = stack_studio.admin(tmp_path / "one"), stack_studio.admin(tmp_path / "two")
    assert one.token != two.token
    assert one.password != two.password
    assert not list(studio_environment.glob("**/.env"))  # Label Studio's secret key is not in what is copied


def test_a_folder_that_lsloop_did_not_make_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(UsageError, match="not an environment that lsloop made"):
        studio_env.ensure(tmp_path, print)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"
