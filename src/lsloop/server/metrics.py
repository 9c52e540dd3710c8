"""Metrics at /metrics for Prometheus: requests as served, and the ledger's counts.

The counts are read at most every few seconds.

There is nothing in it but numbers, and the names of task types, states and routes. Programs on this machine
may read it as they are; others need the API's token.
"""

import asyncio
import ipaddress
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from typing import Any

from fastapi import FastAPI, Request
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lsloop.errors import LsloopError
from lsloop.ledger.metrics import Counts
from lsloop.server import guard
from lsloop.server.health import in_thread

FRESH = 5.0  # seconds for which counts are not read again, at least
REST = 20  # times as long as reading took: a large ledger is counted less often
PATIENCE = 3.0  # seconds that a scrape waits for them
_METHODS = ("GET", "HEAD", "POST", "OPTIONS", "PUT", "PATCH", "DELETE")
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Requests:
    """Counts of the requests each route answered, how, and how long they took."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._answered = Counter(
            "lsloop_http_requests", "Requests answered.", ["method", "route", "status"], registry=registry
        )
        self._seconds = Histogram(
            "lsloop_http_request_seconds",
            "Until the answer was complete.",
            ["route"],
            buckets=_BUCKETS,
            registry=registry,
        )

    def note(self, scope: Scope, status: int, seconds: float) -> None:
        """Count one answer, under its route: paths are anybody's choice."""
        route = getattr(scope.get("route"), "path", "none")
        method = scope["method"] if scope["method"] in _METHODS else "other"
        self._answered.labels(method, route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)


class Timing:
    """Middleware that notes every answer in `requests`."""

    def __init__(self, app: ASGIApp, requests: Requests) -> None:
        self._app, self._requests = app, requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        began, status = time.perf_counter(), 500

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            return await self._app(scope, receive, noted)
        finally:
            self._requests.note(scope, status, time.perf_counter() - began)


class LedgerCounts:
    """Counts of the ledger for the registry.

    It asks one question at a time, however many ask and however long it takes.
    """

    def __init__(self, read: Callable[[], Counts], clock: Callable[[], float] = time.monotonic) -> None:
        self._read, self._clock = read, clock
        self._asked: Future[Counts] | None = None
        self._at = float("-inf")
        self._fresh = FRESH
        self._counts: Counts | None = None

    async def refresh(self) -> None:
        """Read the counts again unless they are fresh.

        After PATIENCE seconds, or when PostgreSQL is away, there are none.
        """
        if self._asked is None or (self._asked.done() and self._clock() - self._at >= self._fresh):
            self._at = self._clock()
            self._asked = in_thread(self._timed)
        waiting = asyncio.shield(asyncio.wrap_future(self._asked))
        try:
            self._counts = await asyncio.wait_for(waiting, PATIENCE)
        except (TimeoutError, LsloopError):
            self._counts = None

    def _timed(self) -> Counts:
        began = self._clock()
        counts = self._read()
        self._fresh = max(FRESH, REST * (self._clock() - began))
        return counts

    def collect(self) -> Iterator[Metric]:
        """Return what prometheus_client asks for."""
        counts = self._counts
        yield _gauge("lsloop_ledger_up", "1 when PostgreSQL answered.", {(): counts is not None})
        if counts is None:
            return
        yield _gauge("lsloop_samples", "Samples that are not deleted.", {(): counts.samples})
        yield _gauge("lsloop_tasks", "Tasks in the ledger.", counts.tasks, "task_type", "state")
        yield _gauge(
            "lsloop_conflicts_open", "Conflicts to decide.", _single(counts.open_conflicts), "task_type"
        )
        yield _gauge(
            "lsloop_locks", "Live locks; of tasks, of others, expired.", _single(counts.locks), "kind"
        )
        yield _gauge(
            "lsloop_pull_age_seconds", "Since the last pull ended.", _single(counts.pull_ages), "task_type"
        )
        yield _gauge("lsloop_events", "Events to look at, and given up.", _single(counts.events), "state")
        yield _gauge(
            "lsloop_event_wait_seconds", "Since the oldest event arrived that waits.", {(): counts.event_wait}
        )


def _single(values: Mapping[str, float]) -> dict[tuple[str, ...], float]:
    return {(name,): value for name, value in values.items()}


def _gauge(name: str, help_: str, values: Mapping[Any, float], *labels: str) -> Metric:
    gauge = GaugeMetricFamily(name, help_, labels=labels)
    for key, value in values.items():
        gauge.add_metric(list(key), float(value))
    return gauge


def add(app: FastAPI, read: Callable[[], Counts], token: str) -> None:
    """Serve /metrics and count every request."""
    registry = CollectorRegistry()
    counts = LedgerCounts(read)
    registry.register(counts)
    app.add_middleware(Timing, requests=Requests(registry))

    @app.get("/metrics")
    async def metrics(request: Request) -> Response:
        if not _is_here(request):
            guard.check_token(request.headers, token)
        await counts.refresh()
        return Response(generate_latest(registry), headers={"content-type": CONTENT_TYPE_LATEST})


def _is_here(request: Request) -> bool:
    """Tell whether who asks is on this machine."""
    try:
        return request.client is not None and ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        return False
