"""A long recording is streamed: memory stays flat, and a listener who leaves leaves nothing behind."""

import os
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psutil
from serve_process import Serving, serve

from lsloop import signing

MB = 1024 * 1024
HUGE = 500 * MB
LATER = 4_000_000_000


def huge(server: Serving) -> str:
    """A file of 500 MiB, sparse on disk, that ends in a mark; the link to it."""
    path = server.project / "data" / "raw" / "huge.wav"
    with path.open("wb") as file:
        file.truncate(HUGE - 3)
        file.seek(0, os.SEEK_END)
        file.write(b"end")
    return signing.signed_url(server.url, server.secret, "huge.wav", LATER)


def wait_until(true: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_memory_stays_flat_however_long_the_file(tmp_path: Path) -> None:
    with serve(tmp_path) as server:
        link = huge(server)
        process = psutil.Process(server.process.pid)
        httpx.get(link, headers={"Range": "bytes=0-99"})
        before, peak, received = process.memory_info().rss, 0, 0
        with httpx.stream("GET", link) as answer:
            for chunk in answer.iter_raw(4 * MB):
                received += len(chunk)
                peak = max(peak, process.memory_info().rss)
    assert (received, chunk[-3:]) == (HUGE, b"end")
    assert peak - before < 20 * MB


def test_a_seek_to_the_end_of_a_long_file_reads_only_the_end(tmp_path: Path) -> None:
    with serve(tmp_path) as server:
        link = huge(server)
        process = psutil.Process(server.process.pid)
        before = process.io_counters().read_chars
        got = httpx.get(link, headers={"Range": "bytes=-3"})
        assert (got.status_code, got.content) == (206, b"end")
        assert process.io_counters().read_chars - before < 5 * MB


def test_listeners_who_leave_leave_no_open_file(tmp_path: Path) -> None:
    with serve(tmp_path) as server:
        link = huge(server)
        process = psutil.Process(server.process.pid)
        for _ in range(20):
            leave_early(link)
        wait_until(lambda: not any(file.path.endswith("huge.wav") for file in process.open_files()))
        assert httpx.get(link, headers={"Range": "bytes=-3"}).content == b"end"


def leave_early(link: str) -> None:
    place = urlsplit(link)
    with socket.create_connection((place.hostname, place.port), timeout=10) as connection:
        connection.sendall(f"GET {place.path}?{place.query} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert connection.recv(1000)


def test_many_annotators_listen_at_once(tmp_path: Path) -> None:
    sound = os.urandom(3 * MB)
    with serve(tmp_path) as server:
        (server.project / "data" / "raw" / "a.wav").write_bytes(sound)
        link = signing.signed_url(server.url, server.secret, "a.wav", LATER)
        with ThreadPoolExecutor(16) as pool:
            assert all(pool.map(lambda _: httpx.get(link, timeout=60).content == sound, range(48)))


def test_a_file_that_is_cut_short_while_it_is_sent_is_not_passed_off_as_whole(tmp_path: Path) -> None:
    with serve(tmp_path) as server:
        link = huge(server)
        place = urlsplit(link)
        with socket.create_connection((place.hostname, place.port), timeout=20) as connection:
            connection.sendall(f"GET {place.path}?{place.query} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            received = len(connection.recv(1000))
            (server.project / "data" / "raw" / "huge.wav").write_bytes(b"")
            while chunk := connection.recv(MB):
                received += len(chunk)
        assert received < HUGE
