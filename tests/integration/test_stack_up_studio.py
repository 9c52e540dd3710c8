"""`lsloop up` with everything, Label Studio too."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

import projects
from projects import Project, gone, kill, wait_for

pytestmark = pytest.mark.studio


@pytest.fixture
def project(tmp_path: Path, studio_environment: Path) -> Iterator[Project]:
    made = projects.make(tmp_path / "project", LSLOOP_STUDIO_ENV=str(studio_environment))
    yield made
    left = made.family()
    made.lsloop("down")
    wait_for(lambda: gone(left))


def studio(project: Project) -> httpx.Client:
    keys = {"Authorization": f"Token {project.stack['label_studio_api_key']}"}
    return httpx.Client(base_url=project.stack["label_studio_url"], headers=keys, timeout=60)


def titles(project: Project) -> list[str]:
    with studio(project) as client:
        return [one["title"] for one in client.get("/api/projects/").json()["results"]]


def the_printed_password_opens_the_page(stack: dict[str, Any]) -> None:
    with httpx.Client(base_url=stack["label_studio_url"], timeout=60) as browser:
        page = browser.get("/user/login/")
        form = {
            "email": stack["label_studio_user"],
            "password": stack["label_studio_password"],
            "csrfmiddlewaretoken": page.cookies["csrftoken"],
        }
        answer = browser.post("/user/login/", data=form)
        assert answer.status_code == 302
        assert browser.get("/projects/").status_code == 200


def listening(process: psutil.Process) -> list[str]:
    """The addresses on which it listens."""
    return [one.laddr.ip for one in process.net_connections() if one.status == psutil.CONN_LISTEN]


def test_everything_answers_to_this_machine_after_up_and_survives_down_and_a_crash(project: Project) -> None:
    done = project.lsloop("up", "--detach")
    assert done.returncode == 0, done.stderr
    first = project.stack
    for shown in ("label_studio_url", "label_studio_user", "label_studio_password", "server_url"):
        assert first[shown] in done.stdout
    with studio(project) as client:
        assert client.post("/api/projects/", json={"title": "kept"}).status_code == 201
    the_printed_password_opens_the_page(first)
    assert listening(project.processes()["label_studio"]) == ["127.0.0.1"]
    family = project.family()
    project.lsloop("down")
    assert gone(family)
    refused = studio(project)
    with pytest.raises(httpx.ConnectError):
        refused.get("/health")

    project.lsloop("up", "--detach")
    assert titles(project) == ["kept"]
    family = project.family()
    kill(family)
    project.lsloop("up", "--detach")
    assert titles(project) == ["kept"]
    assert {**project.stack, "pids": None} == {**first, "pids": None}


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user runs every other test as one")
def test_up_works_for_an_ordinary_user(project: Project) -> None:
    project.prefix = [
        "unshare",
        "--user",
        "--map-user=1000",
        "--",
    ]  # who is not root, yet may read this checkout
    with project.foreground():
        assert titles(project) == []
        assert project.processes()["postgres"].exe().endswith("/postgres")


def test_a_worker_that_dies_is_replaced_and_so_is_a_label_studio_that_dies(project: Project) -> None:
    with project.foreground() as process:
        master = project.processes()["label_studio"]
        worker = master.children()[0]
        worker.kill()
        wait_for(lambda: [one for one in master.children() if one.pid != worker.pid], 120)
        wait_for(lambda: answers(project), 120)
        assert titles(project) == []

        others = {name: one.pid for name, one in project.processes().items() if name != "label_studio"}
        kill([master])
        wait_for(lambda: "Label Studio is there again." in project.said(), 120)
        assert titles(project) == []
        now = {name: one.pid for name, one in project.processes().items()}
        assert now.pop("label_studio") != master.pid
        assert now == others
        assert process.poll() is None
    assert "Label Studio ended by itself (SIGKILL). It is started again in 1 s" in project.said()


def answers(project: Project) -> bool:
    try:
        return httpx.get(f"{project.stack['label_studio_url']}/health").status_code == 200
    except httpx.TransportError:
        return False
