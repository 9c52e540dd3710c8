"""Media file as an HTTP answer: whole, a range, or "you have it already" (RFC 9110)."""

import os
import re
from collections.abc import Iterator, Mapping
from email.utils import formatdate, parsedate_to_datetime
from pathlib import PurePosixPath
from typing import BinaryIO, NamedTuple
from urllib.parse import quote

from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from lsloop.media import HEAD, type_of

CHUNK = 256 * 1024  # bytes

_RANGE = re.compile(r"bytes\s*=\s*([0-9]*)\s*-\s*([0-9]*)\s*", re.IGNORECASE | re.ASCII)


class Plan(NamedTuple):
    """Answer to give: the status, the headers, and the bytes where there is a body."""

    status: int
    headers: dict[str, str]
    start: int = 0
    stop: int = 0


def respond(file: BinaryIO, name: str, request: Mapping[str, str], *, head: bool) -> Response:
    """Answer a request for an open file, which is closed afterwards.

    `request` is its headers.
    """
    plan = _plan(os.fstat(file.fileno()), name, _type(file, name), request, head)
    if head or plan.status in (304, 416):
        file.close()
        return Response(status_code=plan.status, headers=plan.headers)
    return _Streamed(file, plan)


def _type(file: BinaryIO, name: str) -> str:
    """Tell the type by the content.

    This way a browser shows what bears a wrong suffix.
    """
    try:
        return type_of(name, os.pread(file.fileno(), HEAD, 0))
    except OSError:  # the body will say it
        return type_of(name, b"")


def _plan(found: os.stat_result, name: str, media_type: str, request: Mapping[str, str], head: bool) -> Plan:
    headers, size = _headers(found, name), found.st_size
    if _has_it(request, headers, found.st_mtime):
        return Plan(304, headers)
    part = None if head or not _range_counts(request, headers) else wanted(request.get("range", ""), size)
    start, stop = part or (0, size)
    if part and start >= stop:
        return Plan(416, headers | {"content-range": f"bytes */{size}"})
    headers["content-type"] = media_type
    headers["content-length"] = str(stop - start)
    if part:
        headers["content-range"] = f"bytes {start}-{stop - 1}/{size}"
    return Plan(206 if part else 200, headers, start, stop)


def wanted(header: str, size: int) -> tuple[int, int] | None:
    """The one byte range that a Range header asks for, as (start, stop).

    start ≥ stop where the file has no such bytes; None when the whole file is the
    answer: no range, several, or one that makes no sense.
    """
    match = _RANGE.fullmatch(header)
    if not match or len(header) > 100:
        return None
    first, last = match.groups()
    if not first:
        return (max(size - int(last), 0), size if int(last) else 0) if last else None
    if last and int(last) < int(first):
        return None
    return int(first), min(int(last) + 1, size) if last else size


def _headers(found: os.stat_result, name: str) -> dict[str, str]:
    """Return the headers that every answer about the file has.

    The tag changes with any replacement, also one with the old times.
    """
    return {
        "accept-ranges": "bytes",
        "cache-control": "private, no-cache",
        "content-disposition": f"inline; filename*=UTF-8''{quote(PurePosixPath(name).name, safe='')}",
        "etag": f'"{found.st_ino:x}-{found.st_size:x}-{found.st_mtime_ns:x}"',
        "last-modified": formatdate(found.st_mtime, usegmt=True),
        "x-content-type-options": "nosniff",
    }


def _has_it(request: Mapping[str, str], headers: Mapping[str, str], modified: float) -> bool:
    """Tell whether the browser's copy is today's.

    A tag counts more than a time.
    """
    if tags := request.get("if-none-match"):
        return tags.strip() == "*" or headers["etag"] in (
            tag.strip().removeprefix("W/") for tag in tags.split(",")
        )
    since = _time(request.get("if-modified-since", ""))
    return since is not None and int(modified) <= since


def _range_counts(request: Mapping[str, str], headers: Mapping[str, str]) -> bool:
    """Tell whether a range may be sent.

    It may not when the browser holds a part of an older file.
    """
    return request.get("if-range") in (None, headers["etag"], headers["last-modified"])


def _time(text: str) -> float | None:
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError):
        return None


def _chunks(file: BinaryIO, start: int, stop: int) -> Iterator[bytes]:
    file.seek(start)
    while start < stop and (chunk := file.read(min(CHUNK, stop - start))):
        start += len(chunk)
        yield chunk


class _Streamed(StreamingResponse):
    """Answer that closes the file itself.

    A listener who leaves would keep it open until the next garbage collection.
    """

    def __init__(self, file: BinaryIO, plan: Plan) -> None:
        super().__init__(_chunks(file, plan.start, plan.stop), plan.status, plan.headers)
        self._file = file

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._file:
            await super().__call__(scope, receive, send)
