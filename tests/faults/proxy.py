"""A proxy between lsloop and a real service that fails on command.

A rule picks requests (method, path, which of them) and gives each to a fault: a function of one exchange that
may forward the request, answer it, hold it, drop it or do anything else, in any order. A test that needs a
fault of its own writes a function:

    def kill(exchange: Exchange) -> None:
        exchange.forward()
        process.kill()          # the work is done there, and nobody will ever be told

    with Proxy(studio.url) as proxy:
        rule = proxy.on("POST", r"/import\\b", kill, nth(2))
"""

import json
import re
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import urlsplit

HOLD_SECONDS = 120.0  # the longest a fault holds a request that nobody releases
BETWEEN_TWO = {
    "connection",
    "keep-alive",
    "transfer-encoding",
    "content-length",
}  # headers not to be passed on


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = (("Content-Type", "application/json"),)


@dataclass
class Exchange:
    """One request, and what becomes of it. `path` holds the query too."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    forward: Callable[[], Answer]
    """Send the request on and return the answer, which the client has not got yet."""
    reply: Callable[[Answer], None]
    drop: Callable[[], None]
    """Close the client's connection. What was not answered is never answered."""


Fault = Callable[[Exchange], None]
Which = Callable[[int], bool]
"""Whether a rule takes the n-th request that it matches, counted from 1."""


def always(count: int) -> bool:
    return True


def nth(*counts: int) -> Which:
    return lambda count: count in counts


def every(step: int) -> Which:
    return lambda count: count % step == 0


def pass_on(exchange: Exchange) -> None:
    exchange.reply(exchange.forward())


def drop(exchange: Exchange) -> None:
    """The request never arrives, and the connection closes."""
    exchange.drop()


def then_drop(exchange: Exchange) -> None:
    """The work is done, and the connection closes without an answer."""
    exchange.forward()
    exchange.drop()


def then_cut(exchange: Exchange) -> None:
    """The work is done, and the connection closes in the middle of the answer."""
    answer = exchange.forward()
    cut = (*answer.headers, ("Content-Length", str(len(answer.body) + 1)))
    exchange.reply(Answer(answer.status, answer.body, cut))
    exchange.drop()


def answering(status: int, body: bytes = b"{}", content_type: str = "application/json") -> Fault:
    """The request never arrives, and is answered all the same."""
    return lambda exchange: exchange.reply(Answer(status, body, (("Content-Type", content_type),)))


def then_answering(status: int, body: bytes = b"{}") -> Fault:
    """The work is done, and the answer says otherwise."""

    def fault(exchange: Exchange) -> None:
        exchange.forward()
        exchange.reply(Answer(status, body))

    return fault


def hold(gate: threading.Event) -> Fault:
    """The request waits for `gate` before it is sent on."""
    return before(lambda: gate.wait(HOLD_SECONDS))


def then_hold(gate: threading.Event) -> Fault:
    """The work is done at once, and the answer waits for `gate`."""
    return after(lambda: gate.wait(HOLD_SECONDS))


def before(action: Callable[[], object], fault: Fault = pass_on) -> Fault:
    """Do something when a request is here and has not been sent on; then the fault."""

    def acting(exchange: Exchange) -> None:
        action()
        fault(exchange)

    return acting


def after(action: Callable[[], object]) -> Fault:
    """Do something when the work is done and the client does not know it yet."""

    def acting(exchange: Exchange) -> None:
        answer = exchange.forward()
        action()
        exchange.reply(answer)

    return acting


def rewriting(change: Callable[[Any], Any]) -> Fault:
    """The answer's JSON, changed."""

    def fault(exchange: Exchange) -> None:
        answer = exchange.forward()
        body = json.dumps(change(json.loads(answer.body))).encode()
        exchange.reply(Answer(answer.status, body, answer.headers))

    return fault


@dataclass
class Rule:
    """`seen`: requests that matched; `fired`: those the fault took; `forwarded`: those of them sent on and
    answered."""

    method: str
    path: re.Pattern[str]
    fault: Fault
    which: Which
    seen: int = 0
    fired: int = 0
    forwarded: int = 0
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def takes(self, method: str, path: str) -> bool:
        """Count a request; whether it is this rule's."""
        if method != self.method or not self.path.search(path):
            return False
        with self._changed:
            self.seen += 1
            return self.which(self.seen)

    def note(self, *, fired: int = 0, forwarded: int = 0) -> None:
        with self._changed:
            self.fired += fired
            self.forwarded += forwarded
            self._changed.notify_all()

    def wait(self, *, fired: int = 0, forwarded: int = 0, seconds: float = 60.0) -> None:
        """Return when the counters are there. Raises TimeoutError."""
        with self._changed:
            there = self._changed.wait_for(
                lambda: self.fired >= fired and self.forwarded >= forwarded, timeout=seconds
            )
        if not there:
            raise TimeoutError(
                f"{self.method} {self.path.pattern}: {self.fired} fired, {self.forwarded} forwarded"
            )


class Proxy:
    """Listens on a loopback port of its own, under `prefix` if there is one, before the service at
    `target`."""

    def __init__(self, target: str, prefix: str = "") -> None:
        found = urlsplit(target)
        self._host, self._port, self._prefix = found.hostname or "", found.port or 80, prefix
        self._rules: list[Rule] = []
        self._requests: list[tuple[str, str]] = []
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), self.serve)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}{prefix}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def on(self, method: str, path: str, fault: Fault, which: Which = always) -> Rule:
        """Give `which` of the requests whose path (with query) matches a regular expression to a fault.

        Where several rules take one request, the one made last has it.
        """
        rule = Rule(method, re.compile(path), fault, which)
        with self._lock:
            self._rules.insert(0, rule)
        return rule

    def count(self, method: str, path: str) -> int:
        """How many such requests have arrived here, whatever became of them."""
        with self._lock:
            return sum(m == method and bool(re.search(path, p)) for m, p in self._requests)

    def serve(self, exchange: Exchange) -> None:
        if not exchange.path.startswith(self._prefix + "/"):
            return exchange.reply(Answer(404, b"nothing here", (("Content-Type", "text/plain"),)))
        exchange.path = exchange.path.removeprefix(self._prefix)
        with self._lock:
            self._requests.append((exchange.method, exchange.path))
            taken = [rule for rule in self._rules if rule.takes(exchange.method, exchange.path)]
        rule = taken[0] if taken else None
        exchange.forward = lambda: self._forward(exchange, rule)
        if rule:
            rule.note(fired=1)
        return (rule.fault if rule else pass_on)(exchange)

    def _forward(self, exchange: Exchange, rule: Rule | None) -> Answer:
        connection = HTTPConnection(self._host, self._port, timeout=600)
        try:
            headers = dict(_passed(exchange.headers.items()))
            connection.request(exchange.method, exchange.path, exchange.body, headers)
            response = connection.getresponse()
            answer = Answer(response.status, response.read(), _passed(response.getheaders()))
        finally:
            connection.close()
        if rule:
            rule.note(forwarded=1)
        return answer


def _passed(headers: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    return tuple((name, value) for name, value in headers if name.lower() not in BETWEEN_TWO)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 100

    def __init__(self, address: tuple[str, int], serve: Callable[[Exchange], None]) -> None:
        super().__init__(address, _Handler)
        self.serve = serve


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # an answer leaves in one piece
    server: _Server

    def _take(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        exchange = Exchange(
            self.command, self.path, dict(self.headers), body, lambda: Answer(502), self._reply, self._drop
        )
        self.server.serve(exchange)

    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _take

    def _reply(self, answer: Answer) -> None:
        try:
            self.send_response_only(answer.status)
            for name, value in answer.headers:
                self.send_header(name, value)
            if "content-length" not in {name.lower() for name, _ in answer.headers}:
                self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)
            self.wfile.flush()
        except ConnectionError:  # the client has gone: that is what some tests are about
            self.close_connection = True

    def _drop(self) -> None:
        self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the standard library's
        """Tests speak through their assertions."""
