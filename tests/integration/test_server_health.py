"""/health says what is true now, in bounded time; media does not wait for it."""

import socket
import threading
import time
from pathlib import Path

import httpx
import psycopg

from lsloop import ledger, signing
from lsloop.errors import Unreachable
from services import Postgres
from serving import SECRET, serving


def test_health_follows_the_database(database_url: str, postgres: Postgres, tmp_path: Path) -> None:
    name = database_url.rpartition("/")[2].partition("?")[0]
    opened = ledger.connect(database_url)
    with (
        psycopg.connect(postgres.url("postgres"), autocommit=True) as admin,
        serving(tmp_path, ping=opened.ping) as url,
    ):
        up = httpx.get(f"{url}/health")
        admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
        down = httpx.get(f"{url}/health")
        admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        again = httpx.get(f"{url}/health")
    opened.close()
    assert (up.status_code, up.json()) == (200, {"status": "ok", "model_loaded": False})
    assert (down.status_code, down.json()["status"], down.json()["model_loaded"]) == (
        503,
        "unavailable",
        False,
    )
    assert "PostgreSQL" in down.json()["reason"]
    assert again.status_code == 200


def test_health_without_a_database_names_it_but_not_its_password(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    opened = ledger.connect(f"postgresql://me:hunter2@127.0.0.1:{port}/x", check_schema=False)
    with serving(tmp_path, ping=opened.ping) as url:
        got = httpx.get(f"{url}/health")
    assert got.status_code == 503
    assert f"127.0.0.1:{port}" in got.json()["reason"]
    assert "hunter2" not in got.text


def test_a_database_that_hangs_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"sound")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        opened = ledger.connect(f"postgresql://me@127.0.0.1:{silent.getsockname()[1]}/x", check_schema=False)
        with serving(tmp_path, ping=opened.ping) as url:
            assert httpx.get(f"{url}/health", timeout=30).status_code == 503
            assert httpx.get(signing.signed_url(url, SECRET, "a.wav", 4_000_000_000)).content == b"sound"


def test_many_who_ask_at_once_are_one_question(tmp_path: Path) -> None:
    asked: list[float] = []
    go_on = threading.Event()

    def ping() -> None:
        asked.append(time.monotonic())
        go_on.wait(30)
        raise Unreachable("PostgreSQL is away.", "")

    with serving(tmp_path, ping=ping) as url:
        got: list[httpx.Response] = []
        ask = [
            threading.Thread(target=lambda: got.append(httpx.get(f"{url}/health", timeout=30)))
            for _ in range(20)
        ]
        for thread in ask:
            thread.start()
        for thread in ask:
            thread.join()
        assert {answer.status_code for answer in got} == {503}
        assert len(asked) == 1
        go_on.set()


def test_what_the_server_does_not_have_is_404(tmp_path: Path) -> None:
    with serving(tmp_path) as url:
        assert [
            httpx.get(f"{url}{path}").status_code for path in ("/", "/docs", "/openapi.json", "/media")
        ] == [404] * 4
