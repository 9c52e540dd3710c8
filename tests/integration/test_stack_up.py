"""`lsloop up` and `lsloop down`: what runs, what ends it, what is left. Label Studio is somewhere else
here."""

import json
import os
import signal
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import psycopg
import pytest

import projects
from lsloop.stack import ports
from projects import Project, gone, kill, taken_port, wait_for
from services import Postgres

ELSEWHERE = {"LABEL_STUDIO_URL": "http://127.0.0.1:9", "LABEL_STUDIO_API_KEY": "none"}


@contextmanager
def made(folder: Path) -> Iterator[Project]:
    """A project folder; what still runs there in the end is stopped."""
    project = projects.make(folder, **ELSEWHERE)
    yield project
    left = project.family()
    project.lsloop("down")
    wait_for(lambda: gone(left))


@pytest.fixture
def new_project(tmp_path: Path) -> Iterator[Project]:
    """Nothing ever ran here."""
    with made(tmp_path / "a project") as project:
        yield project


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `.lsloop` of a project that ran and was stopped, with a row in its database: to be copied."""
    with made(tmp_path_factory.mktemp("ran")) as project, project.foreground():
        keep_a_row(project)
    return project.state


@pytest.fixture
def project(tmp_path: Path, ran: Path) -> Iterator[Project]:
    """A project that ran before: making the database anew for every test would take a second of each."""
    (tmp_path / "a project").mkdir()
    subprocess.run(["cp", "-a", ran, tmp_path / "a project"], check=True)  # with its owners
    with made(tmp_path / "a project") as project:
        yield project


@pytest.fixture(scope="module")
def detached(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Project, str, str]]:
    """A stack that runs in the background for all tests that only look at it, and what starting it
    printed."""
    with made(tmp_path_factory.mktemp("detached")) as project:
        done = project.lsloop("up", "--detach")
        assert done.returncode == 0, done.stderr
        yield project, done.stdout, done.stderr


def rows(project: Project) -> int:
    with psycopg.connect(project.stack["database_url"]) as connection:
        found = connection.execute("SELECT count(*) FROM kept").fetchone()
    assert found
    return int(found[0])


def keep_a_row(project: Project) -> None:
    with psycopg.connect(project.stack["database_url"]) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS kept (id int)")
        connection.execute("INSERT INTO kept VALUES (1)")


def test_up_in_the_background_returns_when_all_answers(detached: tuple[Project, str, str]) -> None:
    project, shown, _ = detached
    assert httpx.get(f"{project.stack['server_url']}/health").status_code == 200
    assert project.stack["server_url"] in shown
    assert {"supervisor", "postgres", "server", "worker"} == set(project.processes())


def test_services_elsewhere_that_do_not_answer_are_told_with_what_to_do(
    detached: tuple[Project, str, str],
) -> None:
    project, _, said = detached
    assert "LABEL_STUDIO_URL is set, so no Label Studio was started here, and that one cannot be used" in said
    assert "take LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY out of .env" in said
    again = project.lsloop("up", AUDIO_SERVER_URL="http://127.0.0.1:9")
    assert (again.returncode, "already running" in again.stdout) == (0, True)
    assert "AUDIO_SERVER_URL is set (http://127.0.0.1:9), and nothing answers there" in again.stderr
    assert f"lsloop serves them itself at {project.stack['server_url']}" in again.stderr


def test_a_database_that_no_ledger_can_be_in_is_told_before_anything_starts(
    new_project: Project, postgres: Postgres
) -> None:
    postgres.execute(
        "CREATE DATABASE in_ascii ENCODING 'SQL_ASCII' LOCALE 'C' LOCALE_PROVIDER libc TEMPLATE template0"
    )
    for how in ("up", "--detach"):
        done = new_project.lsloop(
            "up", *([how] if how != "up" else []), DATABASE_URL=postgres.url("in_ascii")
        )
        assert (done.returncode, done.stdout) == (2, "")
        assert "is in SQL_ASCII, which cannot hold every text" in done.stderr
        assert not new_project.processes()
    postgres.execute("DROP DATABASE in_ascii WITH (FORCE)")


def test_down_ends_all_and_commands_say_so(new_project: Project) -> None:
    assert new_project.lsloop("up", "--detach").returncode == 0
    assert new_project.lsloop("db", "status").returncode == 0
    family = new_project.family()
    assert new_project.lsloop("down").stdout == "Stopped.\n"
    assert gone(family)
    again = new_project.lsloop("down")
    assert (again.returncode, again.stdout) == (0, "Nothing was running here.\n")
    done = new_project.lsloop("db", "status")
    assert done.returncode == 3
    assert "lsloop up" in done.stderr


def test_down_ends_a_stack_whose_parent_does_not_look_after_it(project: Project) -> None:
    with project.foreground():  # the test is the parent, and waits for it only after this block
        family = project.family()
        done = project.lsloop("down")
        assert (done.returncode, done.stdout) == (0, "Stopped.\n")
        assert gone(family)


@pytest.mark.parametrize("command", ["up", "down", "status"])
def test_outside_a_project_nothing_is_started_or_made(tmp_path: Path, command: str) -> None:
    clean = {name: value for name, value in os.environ.items() if name not in projects.OURS}
    done = projects.Project(tmp_path, clean).lsloop(command)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Not an lsloop project" in done.stderr
    assert "lsloop init" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_commands_in_a_sub_folder_are_about_the_project_above(detached: tuple[Project, str, str]) -> None:
    project = detached[0]
    inside = project.folder / "data" / "raw"
    inside.mkdir(parents=True, exist_ok=True)
    within = projects.Project(inside, project.env)
    before = project.processes()
    again = within.lsloop("up", "--detach")
    assert (again.returncode, "already running" in again.stdout) == (0, True), again.stderr
    assert within.lsloop("db", "status").returncode == 0
    (inside / "rows.jsonl").write_text('{"external_id": "from below", "transcript": "xin chào"}\n')
    assert within.lsloop("ingest", "rows.jsonl").returncode == 0, "a path is where it was typed"
    assert project.processes() == before
    assert not (inside / ".lsloop").exists()


def test_a_second_up_says_that_it_is_already_running_and_starts_nothing(
    detached: tuple[Project, str, str],
) -> None:
    project = detached[0]
    before = project.processes()
    for flags in ([], ["--detach"]):
        second = project.lsloop("up", *flags)
        assert second.returncode == 0, second.stderr
        assert "already running" in second.stdout
        assert project.stack["server_url"] in second.stdout
    assert project.processes() == before


def test_two_ups_at_once_end_as_one_stack(project: Project) -> None:
    both = [
        subprocess.Popen(
            project.command("up", "--detach"), env=project.env, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    told = [one.communicate(timeout=120)[0] for one in both]
    assert [one.returncode for one in both] == [0, 0], told
    assert all(project.stack["server_url"] in text for text in told)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_every_child_and_is_no_error(project: Project, number: signal.Signals) -> None:
    with project.foreground() as process:
        family = project.family()
        assert len(family) > 5  # the server, PostgreSQL and its helpers
        process.send_signal(number)
        assert process.wait(60) == 0, project.said()
    assert gone(family)
    assert "Traceback" not in project.said()


def test_children_do_not_outlive_a_supervisor_that_was_killed(project: Project) -> None:
    with project.foreground() as process:
        family = project.family()
        process.kill()
        wait_for(lambda: gone(family))


def test_data_and_addresses_survive_a_crash_of_everything(project: Project) -> None:
    with project.foreground():
        before = project.stack
        keep_a_row(project)
        family = project.family()
        kill(family)
    assert (project.state / "postgres" / "postmaster.pid").is_file()  # what a crash leaves
    with project.foreground():
        assert rows(project) == 2
        assert {**project.stack, "pids": None} == {**before, "pids": None}


def test_a_pid_that_now_belongs_to_somebody_else_is_left_alone(project: Project) -> None:
    stranger = subprocess.Popen(["sleep", "60"])
    try:
        kept = project.stack | {"pids": {"server": {"pid": stranger.pid, "started": 1.0, "signal": 15}}}
        (project.state / "stack.json").write_text(json.dumps(kept))
        pidfile = project.state / "postgres" / "postmaster.pid"
        pidfile.write_text(f"{stranger.pid}\n{project.state / 'postgres'}\n0\n1\n\n127.0.0.1\n\nready\n")
        with project.foreground():
            assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_services_that_die_are_started_again_at_their_place_and_the_others_stay(project: Project) -> None:
    with project.foreground() as process:
        keep_a_row(project)
        names, before = (
            {"postgres": "PostgreSQL", "server": "The server", "worker": "The worker"},
            project.stack,
        )
        for victim, title in names.items():
            others = {name: one.pid for name, one in project.processes().items() if name != victim}
            dead = project.processes()[victim]
            kill([dead])
            wait_for(lambda title=title: f"{title} is there again." in project.said(), 60)
            now = {name: one.pid for name, one in project.processes().items()}
            assert now.pop(victim) != dead.pid
            assert now == others
            assert f"{title} ended by itself (SIGKILL). It is started again in 1 s" in project.said()
        assert str(project.state / "logs" / "worker.log") in project.said()
        assert rows(project) == 2
        assert httpx.get(f"{project.stack['server_url']}/health").status_code == 200
        assert {**project.stack, "pids": None} == {**before, "pids": None}
        family = project.family()
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    assert gone(family)


def test_a_taken_port_is_replaced_told_and_remembered(project: Project) -> None:
    with taken_port() as one, taken_port() as two:
        project.keep_ports(postgres=one, server=two)
        first = project.lsloop("up", "--detach")
        chosen = project.stack["ports"]
        assert not {one, two} & {chosen["postgres"], chosen["server"]}
        assert f"Port {one} is taken: using {chosen['postgres']}" in first.stderr
        assert f":{chosen['server']}" in first.stdout
        project.lsloop("down")
    project.lsloop("up", "--detach")
    assert project.stack["ports"] == chosen


def test_only_the_owner_may_read_the_secrets(detached: tuple[Project, str, str]) -> None:
    project, shown, said = detached
    assert stat.S_IMODE(project.state.stat().st_mode) == 0o700
    assert stat.S_IMODE((project.state / "stack.json").stat().st_mode) == 0o600
    password = project.stack["database_url"].split(":")[2].split("@")[0]
    told = shown + said + (project.state / "logs" / "up.log").read_text()
    assert password not in told
    assert project.stack["secret"] not in told


def test_postgres_listens_on_this_machine_only(detached: tuple[Project, str, str]) -> None:
    connections = detached[0].processes()["postgres"].net_connections(kind="all")
    listening = [one for one in connections if one.status == psutil.CONN_LISTEN]
    assert [one.laddr.ip for one in listening] == ["127.0.0.1"]
    assert not [one for one in psutil.net_connections("unix") if str(one.laddr).endswith(".s.PGSQL.5432")]


def test_a_database_of_the_environment_is_used_and_no_other_is_started(
    new_project: Project, database_url: str
) -> None:
    new_project.env["DATABASE_URL"] = database_url
    with new_project.foreground():
        assert set(new_project.processes()) == {"supervisor", "server", "worker"}
        assert httpx.get(f"{new_project.stack['server_url']}/health").status_code == 200
        assert "from DATABASE_URL" in new_project.said()
    assert not (new_project.state / "postgres").exists()


def test_a_broken_stack_file_is_put_aside_and_no_data_is_lost(project: Project) -> None:
    secret = (project.state / "secret").read_text()
    (project.state / "stack.json").write_text('{"ports"')
    assert project.lsloop("down").returncode == 0
    project.keep_ports(postgres=ports.choose([]), server=ports.choose([]))
    with project.foreground():
        assert rows(project) == 1
        assert project.stack["secret"] == secret


def test_a_lost_password_is_replaced_and_no_data_is_lost(project: Project) -> None:
    kept = project.state / "postgres" / "lsloop.password"
    before = kept.read_text()
    kept.unlink()
    with project.foreground():
        assert rows(project) == 1
        assert before not in project.stack["database_url"]


def test_up_that_cannot_start_tells_the_reason_and_leaves_nothing(project: Project) -> None:
    (project.state / "postgres" / "global" / "pg_control").unlink()
    for flags in ([], ["--detach"]):
        done = project.lsloop("up", *flags)
        assert done.returncode == 1
        assert "PostgreSQL ended while starting" in done.stderr
        assert "could not open file" in done.stderr
    assert not project.processes()


@pytest.mark.parametrize("flags", [[], ["--detach"]])
def test_settings_that_are_wrong_are_told_before_anything_starts(
    new_project: Project, flags: list[str]
) -> None:
    (new_project.folder / "params.yaml").write_text("push: {limit: many}")
    done = new_project.lsloop("up", *flags)
    assert done.returncode == 2
    assert "push.limit" in done.stderr
    assert not (new_project.state / "logs").exists()


def test_nothing_stays_behind_when_up_is_stopped_while_it_starts(new_project: Project) -> None:
    process = subprocess.Popen(new_project.command("up"), env=new_project.env, stderr=subprocess.DEVNULL)
    wait_for(lambda: "postgres" in new_project.processes())
    family = new_project.family()
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    wait_for(lambda: gone(family))
