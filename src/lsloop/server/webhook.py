"""Events of Label Studio: stored, then answered.

A worker looks at them later.

Label Studio waits one second for an answer and never sends an event twice, so the answer says at once what
can be said: stored, or that it cannot be stored now. What is not stored, the next pull finds.
"""

import asyncio
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import orjson
from fastapi import FastAPI, Request
from starlette.responses import Response

from lsloop.errors import Unreachable
from lsloop.labelstudio.webhooks import HEADER
from lsloop.server import guard
from lsloop.server.health import in_thread

PATHS = ("/webhook", "/v1/webhooks/label-studio")

MOST = 16 * 2**20
"""Bytes of one event. Label Studio tells of a thousand tasks in 0.8 MB, and of up to five thousand at
once."""

PATIENCE = 0.8  # seconds: Label Studio hangs up after one, and its annotator waits meanwhile
AT_ONCE = 8  # events that are being stored; more wait

Store = Callable[[str, bytes, dict[str, Any]], object]
"""Keep an event: path, body, and the body parsed. Raises LsloopError when it cannot be kept."""


@dataclass(frozen=True)
class Hook:
    """The secret that every event must bring, and where events go."""

    secret: str
    store: Store


def add(app: FastAPI, hook: Hook) -> None:
    """Take events under both paths."""
    intake = _Intake(hook.store)

    async def receive(request: Request) -> Response:
        check_secret(request.headers, hook.secret)
        body = await request.body()
        await intake.keep(request.url.path, body, parsed(body))
        return guard.answer({"status": "stored"})

    for path in PATHS:
        app.add_api_route(path, receive, methods=["POST"])


def brings(headers: Mapping[str, str], secret: str) -> bool:
    """Tell whether a request brings the secret.

    Takes as long whatever it brings.
    """
    given = headers.get(HEADER, "").encode(errors="replace")
    return hmac.compare_digest(given, secret.encode())


def check_secret(headers: Mapping[str, str], secret: str) -> None:
    """Raise Problem (401) unless the request brings the secret."""
    if not brings(headers, secret):
        what = "The secret is wrong." if headers.get(HEADER) else f"The header {HEADER} is missing."
        raise guard.Problem(401, what, "`lsloop setup` tells Label Studio the right one.")


def parsed(body: bytes) -> dict[str, Any]:
    """The event as an object.

    Raises Problem (400).
    """
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        found = None
    if not isinstance(found, dict):
        raise guard.Problem(400, "The body is not a JSON object.", "Send an event as Label Studio does.")
    try:
        orjson.dumps(found)  # what is read may be nested more deeply than what can be written
    except orjson.JSONEncodeError as error:
        what = f"The event cannot be kept: {error}."
        raise guard.Problem(400, what, "The next pull finds what it tells.") from error
    return found


class _Intake:
    """Intake of events, stored in threads, so many at once.

    It gives up waiting before Label Studio does.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._free = asyncio.Semaphore(AT_ONCE)

    async def keep(self, path: str, body: bytes, payload: dict[str, Any]) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                await self._free.acquire()
                storing = asyncio.wrap_future(in_thread(partial(self._store, path, body, payload)))
                storing.add_done_callback(self._ended)
                await asyncio.shield(storing)
        except TimeoutError as error:
            what = f"PostgreSQL has not answered for {PATIENCE:g} seconds."
            raise Unreachable(what, "The next pull finds what this event tells.") from error

    def _ended(self, storing: "asyncio.Future[object]") -> None:
        self._free.release()
        if not storing.cancelled():
            storing.exception()  # nobody may be waiting for it any more
