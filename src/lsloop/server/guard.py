"""Guard of requests: who may ask, how much they may send, and safe headers.

The headers are what every answer says to browsers.
"""

import hmac
import re
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.datastructures import Headers as StarletteHeaders
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lsloop.errors import LsloopError, Refused, Unfit, Unreachable, UsageError
from lsloop.secrecy import without_secrets

BODY = 64 * 1024
"""Bytes that a request may carry where its path is not in `Limits.larger`."""

ACTOR = "X-Actor"
_ACTOR = re.compile(r"[^\x00-\x1f\x7f-\x9f]{1,100}")
_CREDENTIALS = re.compile(r"(?:Bearer|Token) +(\S+)", re.IGNORECASE)
_STATUS: tuple[tuple[type[LsloopError], int], ...] = (
    (Unreachable, 503),
    (UsageError, 422),
    (Refused, 409),
    (Unfit, 400),
)


class Problem(LsloopError):
    """Request that cannot be answered.

    `status` is the HTTP one, `wants` of a 401 the scheme that opens it.
    """

    def __init__(self, status: int, problem: str, fix: str = "", *, wants: str = "Bearer") -> None:
        super().__init__(problem, fix)
        self.status, self.wants = status, wants


def check_token(headers: Mapping[str, str], token: str) -> None:
    """Raise Problem (401) unless the request holds the token.

    Takes as long whatever is wrong with it.
    """
    given = _CREDENTIALS.fullmatch(headers.get("authorization", "").strip())
    right = hmac.compare_digest((given[1] if given else "").encode(errors="replace"), token.encode())
    if not given or not right:
        raise Problem(
            401,
            "The token is wrong." if given else "A token is needed.",
            "Send `Authorization: Bearer …` with the token of LSLOOP_API_TOKEN, or of .lsloop/api_token.",
        )


def actor(headers: Mapping[str, str]) -> str:
    """Name who acts, as the header X-Actor says (UTF-8).

    Without it that is `api`, who holds the token. Raises Problem (422).
    """
    given = headers.get(ACTOR)
    if given is None:
        return "api"
    name = given.encode("latin-1", "replace").decode("utf-8", "replace").strip()
    if not _ACTOR.fullmatch(name):
        raise Problem(
            422, f"{ACTOR} is not a name.", "Send 1 to 100 characters, none of them control characters."
        )
    return name


def answer(document: Any, status: int = 200) -> Response:
    """A document as JSON: dataclasses, UUIDs and times are fine in it."""
    return Response(
        orjson.dumps(document), status, {"cache-control": "no-store"}, media_type="application/json"
    )


def explain(app: FastAPI) -> None:
    """Answer whatever goes wrong in JSON: `error` and `fix`.

    They say what happened, and what to do.
    """
    app.exception_handler(LsloopError)(_failed)
    app.exception_handler(RequestValidationError)(_invalid)
    app.exception_handler(HTTPException)(_refused)


async def _failed(request: Request, error: LsloopError) -> Response:
    status = error.status if isinstance(error, Problem) else _status(error)
    told = {"error": without_secrets(error.problem), "fix": without_secrets(error.fix)}
    response = answer(told, status)
    if isinstance(error, Problem) and status == 401:
        response.headers["www-authenticate"] = f'{error.wants} realm="lsloop"'
    return response


def _status(error: LsloopError) -> int:
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 500)


async def _invalid(request: Request, error: RequestValidationError) -> Response:
    """Names the first thing wrong, never what was given: it may be anything."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"][1:] if _is_name(str(part))) or "The request"
    return answer({"error": f"{where}: {first['msg']}.", "fix": "Correct it and send it again."}, 422)


def _is_name(text: str) -> bool:
    return text.isidentifier() and len(text) <= 50


async def _refused(request: Request, error: HTTPException) -> Response:
    told = {"error": HTTPStatus(error.status_code).phrase, "fix": ""}
    response = answer(told, error.status_code)
    response.headers.update(error.headers or {})
    return response


class Headers:
    """Middleware that keeps answers from being misread or framed.

    No answer is taken for something else than it says it is, or shown inside another page.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.setdefault("x-content-type-options", "nosniff")
                headers.setdefault("referrer-policy", "no-referrer")
                if headers.get("content-type", "").startswith("application/json"):
                    headers.setdefault(
                        "content-security-policy", "default-src 'none'; frame-ancestors 'none'"
                    )
            await send(message)

        await self._app(scope, receive, guarded)


class Limits:
    """Middleware that answers a body over BODY with 413.

    It does so whether or not the length was told first. The bound is `larger[path]` where `may(path,
    headers)` says so. A body is held until all of it is there, so that no handler begins on one that turns
    out to be too large.
    """

    def __init__(
        self,
        app: ASGIApp,
        larger: Mapping[str, int] | None = None,
        may: Callable[[str, Mapping[str, str]], bool] = lambda path, headers: True,
    ) -> None:
        self._app = app
        self._larger = larger or {}
        self._may = may

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD", "OPTIONS"):
            return await self._app(scope, receive, send)
        larger = self._larger.get(scope["path"])
        limit = larger if larger and self._may(scope["path"], StarletteHeaders(scope=scope)) else BODY
        if _told_length(scope) > limit or (held := await _held(receive, limit)) is None:
            too_large = {"error": "The body is too large.", "fix": f"Send at most {limit:,} bytes."}
            refusal = answer(too_large, 413)
            refusal.headers["connection"] = "close"  # what is still on its way is not waited for
            return await refusal(scope, receive, send)
        return await self._app(scope, _replay(held, receive), send)


def _told_length(scope: Scope) -> int:
    told = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
    return int(told) if told.isdigit() else 0


async def _held(receive: Receive, limit: int) -> bytes | None:
    """The whole body; None when there is more of it than `limit` bytes."""
    parts: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        parts.append(message.get("body", b""))
        size, more = size + len(parts[-1]), message.get("more_body", False)
        if size > limit:
            return None
    return b"".join(parts)


def _replay(body: bytes, receive: Receive) -> Callable[[], Any]:
    waiting = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return waiting.pop() if waiting else await receive()

    return again
