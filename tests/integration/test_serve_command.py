"""`lsloop serve`: where it listens, how it stops, and what it keeps to itself."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psutil
import pytest
from serve_process import environment, serve

from lsloop import signing
from lsloop.commands.serve import _listen

LATER = 4_000_000_000


def listening(pid: int) -> set[str]:
    return {c.laddr.ip for c in psutil.Process(pid).net_connections() if c.status == psutil.CONN_LISTEN}


def test_it_listens_on_this_machine_only(tmp_path: Path) -> None:
    with serve(tmp_path) as server:
        assert listening(server.process.pid) == {"127.0.0.1"}
        assert urlsplit(server.url).hostname == "127.0.0.1"


def test_it_listens_to_the_network_when_told(tmp_path: Path) -> None:
    with serve(tmp_path, "--host", "0.0.0.0") as server:
        assert listening(server.process.pid) == {"0.0.0.0"}


def test_a_kept_connection_answers_at_once() -> None:
    """Without it, small answers wait for the other side's acknowledgement, 44 ms."""
    with _listen("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):
        taken, _ = listener.accept()
        with taken:
            assert taken.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_it_stops_when_told_without_a_traceback(tmp_path: Path, sent: signal.Signals, code: int) -> None:
    with serve(tmp_path) as server:
        assert httpx.get(f"{server.url}/health").status_code == 503
        server.process.send_signal(sent)
        assert server.process.wait(timeout=15) == code
        assert "Traceback" not in server.log.read_text()


def test_an_answer_that_is_under_way_is_finished_before_it_stops(tmp_path: Path) -> None:
    with serve(tmp_path) as server:
        sound = os.urandom(30_000_000)
        (tmp_path / "data" / "raw" / "a.wav").write_bytes(sound)
        with httpx.stream("GET", signing.signed_url(server.url, server.secret, "a.wav", LATER)) as answer:
            chunks = answer.iter_raw(65536)
            received = next(chunks)
            server.process.terminate()
            received += b"".join(chunks)
        assert received == sound
        assert server.process.wait(timeout=15) == 0


def test_a_listener_who_stands_still_does_not_keep_it_from_stopping(tmp_path: Path) -> None:
    with serve(tmp_path) as server:
        with (tmp_path / "data" / "raw" / "a.wav").open("wb") as file:
            file.truncate(500_000_000)
        link = urlsplit(signing.signed_url(server.url, server.secret, "a.wav", LATER))
        with socket.create_connection((link.hostname, link.port)) as connection:
            connection.sendall(f"GET {link.path}?{link.query} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            assert connection.recv(100)
            server.process.terminate()
            assert server.process.wait(timeout=20) == 0


@pytest.mark.parametrize("args", [(), ("-v",)])
def test_signatures_and_passwords_are_never_logged(tmp_path: Path, args: tuple[str, ...]) -> None:
    (tmp_path / "data" / "raw").mkdir(parents=True)
    (tmp_path / "data" / "raw" / "a.wav").write_bytes(b"sound")
    with serve(tmp_path, *args) as server:
        link = signing.signed_url(server.url, server.secret, "a.wav", LATER)
        assert httpx.get(link).status_code == 200
        assert httpx.get(f"{link}0").status_code == 403
        httpx.get(f"{server.url}/health")
        httpx.get(f"{server.url}/media/%0AERROR%20forged?signature=abc")
    logged = server.log.read_text()
    assert "signature" not in logged
    assert "hunter2" not in logged
    assert "\nERROR forged" not in logged
    lines = re.findall(r"INFO lsloop.server.log: (.*)", logged)
    assert lines == (
        [
            "GET /media/a.wav 200",
            "GET /media/a.wav 403",
            "GET /health 503",
            "GET /media/%0AERROR%20forged 404",
        ]
        if args
        else []
    )


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = [
            sys.executable,
            "-m",
            "lsloop",
            "-C",
            str(tmp_path),
            "serve",
            "--port",
            str(port),
            "--json",
        ]
        done = subprocess.run(command, env=environment("s"), capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert json.loads(done.stdout)["error"]["problem"] == f"Port {port} on 127.0.0.1 is taken."


@pytest.mark.parametrize("unset", ["LSLOOP_SECRET", "DATABASE_URL", "LABEL_STUDIO_URL"])
def test_what_is_not_configured_is_named(tmp_path: Path, unset: str) -> None:
    without = {name: value for name, value in environment("s").items() if name != unset}
    command = [sys.executable, "-m", "lsloop", "-C", str(tmp_path), "serve"]
    done = subprocess.run(command, env=without, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert unset in done.stderr


def test_media_that_dvc_links_from_its_own_cache_is_served(tmp_path: Path) -> None:
    """With `cache.type symlink` and a cache on another disk, data/raw holds nothing but links."""
    raw, disk = tmp_path / "project" / "data" / "raw", tmp_path / "another disk"
    raw.mkdir(parents=True)
    (raw / "a.wav").write_bytes(b"sound")
    for words in (
        ["git", "init", "-q"],
        ["dvc", "init", "-q"],
        ["dvc", "cache", "dir", str(disk)],
        ["dvc", "config", "cache.type", "symlink"],
        ["dvc", "add", "-q", "data/raw"],
    ):
        command = [sys.executable, "-m", *words] if words[0] == "dvc" else words
        quiet = {**os.environ, "DVC_NO_ANALYTICS": "1"}
        subprocess.run(command, cwd=tmp_path / "project", check=True, env=quiet, capture_output=True)
    assert (raw / "a.wav").is_symlink()
    with serve(tmp_path / "project") as server:
        assert httpx.get(signing.signed_url(server.url, server.secret, "a.wav", LATER)).content == b"sound"
