"""The fault-injecting proxy does what its rules say."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from faults import proxy
from faults.proxy import Proxy, every, nth


class Service(ThreadingHTTPServer):
    """Counts the POSTs that reach it and echoes their bodies."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Echo)
        self.posts: list[str] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


class _Echo(BaseHTTPRequestHandler):
    server: Service

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.posts.append(self.path)
        self.send_response(201)
        self.send_header("X-Here", "yes")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def service() -> Iterator[Service]:
    with Service() as running:
        threading.Thread(target=running.serve_forever, args=(0.05,), daemon=True).start()
        yield running
        running.shutdown()


@pytest.fixture
def between(service: Service) -> Iterator[Proxy]:
    with Proxy(service.url) as running:
        yield running


def post(between: Proxy, path: str = "/a", timeout: float = 30.0) -> httpx.Response:
    return httpx.post(between.url + path, json={"n": 1}, timeout=timeout)


def test_a_request_without_a_rule_passes_unchanged(service: Service, between: Proxy) -> None:
    answer = post(between, "/a?b=1")
    assert (answer.status_code, answer.json(), answer.headers["x-here"]) == (201, {"n": 1}, "yes")
    assert service.posts == ["/a?b=1"]
    assert between.count("POST", r"^/a") == 1


def test_a_prefix_is_taken_off(service: Service) -> None:
    with Proxy(service.url, prefix="/labels") as between:
        assert post(between, "/a").status_code == 201
        assert httpx.post(between.url.removesuffix("/labels") + "/a").status_code == 404
    assert service.posts == ["/a"]


def test_a_dropped_request_never_arrives(service: Service, between: Proxy) -> None:
    between.on("POST", "/a", proxy.drop)
    with pytest.raises(httpx.RemoteProtocolError):
        post(between)
    assert service.posts == []


def test_a_request_dropped_afterwards_has_done_its_work(service: Service, between: Proxy) -> None:
    rule = between.on("POST", "/a", proxy.then_drop)
    with pytest.raises(httpx.RemoteProtocolError):
        post(between)
    assert service.posts == ["/a"]
    assert (rule.seen, rule.fired, rule.forwarded) == (1, 1, 1)


def test_an_answer_can_be_cut_in_the_middle(service: Service, between: Proxy) -> None:
    between.on("POST", "/a", proxy.then_cut)
    with pytest.raises(httpx.RemoteProtocolError):
        post(between)
    assert service.posts == ["/a"]


def test_an_answer_can_be_made_up_with_and_without_the_work(service: Service, between: Proxy) -> None:
    between.on("POST", "/a", proxy.answering(503, b"<html>", "text/html"))
    between.on("POST", "/b", proxy.then_answering(500))
    assert post(between, "/a").text == "<html>"
    assert post(between, "/b").status_code == 500
    assert service.posts == ["/b"]


def test_every_third_request_can_fail(service: Service, between: Proxy) -> None:
    between.on("POST", "/a", proxy.answering(500), every(3))
    assert [post(between).status_code for _ in range(7)] == [201, 201, 500, 201, 201, 500, 201]
    assert len(service.posts) == 5


def test_only_the_chosen_requests_are_taken_and_only_of_the_method(service: Service, between: Proxy) -> None:
    rule = between.on("POST", "/a", proxy.answering(500), nth(2))
    other = between.on("GET", "/a", proxy.drop)
    assert [post(between, path).status_code for path in ("/a", "/b", "/a", "/a")] == [201, 201, 500, 201]
    assert (rule.seen, rule.fired, other.seen) == (3, 1, 0)


def test_a_held_request_arrives_when_it_is_released(service: Service, between: Proxy) -> None:
    gate = threading.Event()
    rule = between.on("POST", "/a", proxy.hold(gate))
    with pytest.raises(httpx.ReadTimeout):
        post(between, timeout=0.2)
    assert service.posts == []
    gate.set()
    rule.wait(forwarded=1)
    assert service.posts == ["/a"]


def test_a_held_answer_comes_after_the_work_and_after_the_client_gave_up(
    service: Service, between: Proxy
) -> None:
    gate = threading.Event()
    rule = between.on("POST", "/a", proxy.then_hold(gate), nth(1))
    with pytest.raises(httpx.ReadTimeout):
        post(between, timeout=0.5)
    rule.wait(forwarded=1)
    assert service.posts == ["/a"]
    gate.set()
    assert post(between).status_code == 201


def test_a_test_can_act_before_and_after_the_work(service: Service, between: Proxy) -> None:
    seen: list[int] = []
    between.on("POST", "/a", proxy.before(lambda: seen.append(len(service.posts))))
    between.on("POST", "/b", proxy.after(lambda: seen.append(len(service.posts))))
    assert post(between, "/a").status_code == post(between, "/b").status_code == 201
    assert seen == [0, 2]


def test_an_answer_can_be_rewritten(between: Proxy) -> None:
    between.on("POST", "/a", proxy.rewriting(lambda found: {**found, "more": 2}))
    assert json.loads(post(between).content) == {"n": 1, "more": 2}


def test_waiting_for_what_never_happens_says_so(between: Proxy) -> None:
    rule = between.on("POST", "/a", proxy.drop)
    with pytest.raises(TimeoutError, match="0 fired"):
        rule.wait(fired=1, seconds=0.05)
