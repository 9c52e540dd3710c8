"""`lsloop up` with everything, Label Studio too."""

import os
from collections.abc import Iterator
from pathlib import Path

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


def test_everything_answers_after_up_and_survives_down_and_a_crash(project: Project) -> None:
    done = project.lsloop("up", "--detach")
    assert done.returncode == 0, done.stderr
    first = project.stack
    for shown in ("label_studio_url", "label_studio_user", "label_studio_password", "server_url"):
        assert first[shown] in done.stdout
    with studio(project) as client:
        assert client.post("/api/projects/", json={"title": "kept"}).status_code == 201
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


def test_the_printed_password_opens_the_page(project: Project) -> None:
    with project.foreground(), httpx.Client(base_url=project.stack["label_studio_url"]) as browser:
        page = browser.get("/user/login/")
        form = {
            "email": project.stack["label_studio_user"],
            "password": project.stack["label_studio_password"],
            "csrfmiddlewaretoken": page.cookies["csrftoken"],
        }
        answer = browser.post("/user/login/", data=form)
        assert answer.status_code == 302
        assert browser.get("/projects/").status_code == 200


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


def test_a_label_studio_that_dies_ends_the_stack(project: Project) -> None:
    with project.foreground() as process:
        family = project.family()
        project.processes()["label_studio"].kill()
        assert process.wait(60) == 1
    assert gone(family)
    assert "Label Studio ended by itself (SIGKILL)" in project.said()


def test_a_worker_that_dies_is_replaced_by_label_studio_itself(project: Project) -> None:
    with project.foreground():
        master = project.processes()["label_studio"]
        worker = master.children()[0]
        worker.kill()
        wait_for(lambda: master.children() and master.children()[0].pid != worker.pid)
        wait_for(lambda: answers(project), 60)
        assert titles(project) == []


def answers(project: Project) -> bool:
    try:
        return httpx.get(f"{project.stack['label_studio_url']}/health").status_code == 200
    except httpx.TransportError:
        return False


def test_label_studio_listens_on_this_machine_only(project: Project) -> None:
    with project.foreground():
        master = project.processes()["label_studio"]
        listening = [one for one in master.net_connections() if one.status == psutil.CONN_LISTEN]
        assert [one.laddr.ip for one in listening] == ["127.0.0.1"]
