"""The meaning of Label Studio's answers.

An answer is parsed JSON, or an error that tells whether work was done.
"""

import html
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from lsloop.errors import LsloopError, Refused, Unauthorised, Uncertain, Unreachable, UsageError

TOO_LARGE = "You cannot access body after reading"
"""In Label Studio's 500 for a body over its DATA_UPLOAD_MAX_MEMORY_SIZE."""

LONGEST = 300  # characters of a server's message worth showing


class Failing(Unreachable):
    """A read that Label Studio answered with an error of its own, or with no JSON.

    Often it is one record that it fails for.
    """


class NotFound(Refused):
    """A thing that Label Studio does not have."""


def parsed(response: httpx.Response) -> Any:
    """The JSON of a good answer, or None for an empty one.

    Raises LsloopError when it is neither.
    """
    if response.status_code == 204 or not response.content:
        return None
    found = json_of(response)
    if found is None:
        what = f"{name(response.request)} was answered with something that is not JSON"
        raise doubtful(response.request, f"{what}: {message(response)}", Failing)
    return found


def json_of(response: httpx.Response) -> Any:
    """The JSON of an answer; None where it has none."""
    try:
        return response.json()
    except (ValueError, RecursionError):
        return None


def failure(response: httpx.Response, kind: str) -> LsloopError:
    """The error for an answer that is not 2xx; `kind` of token was used."""
    what = f"{name(response.request)} was answered {response.status_code}: {message(response)}"
    status = response.status_code
    if status == 401:
        return Unauthorised(f"Label Studio does not accept the {kind}. {what}", _advice(kind))
    if status == 403:
        what = f"The {kind} of this account may not do that. {what}"
        return Unauthorised(what, "Use the token of an account that may, or change what the answer names.")
    if status == 413 or TOO_LARGE in response.text:
        size = len(response.request.content) / 2**20
        what = f"{name(response.request)}: {size:.1f} MiB is too large for Label Studio."
        return Refused(what, "Send fewer tasks at a time (push.batch in params.yaml).")
    if status >= 500:
        error = doubtful(response.request, what, Failing)
        if isinstance(error, Uncertain):
            error.answered = status == 500  # 502, 503 and 504 are a proxy's: what stands behind it may go on
        return error
    if status >= 400:
        no = NotFound if status == 404 else Refused
        return no(what, "Nothing was changed there; correct what it names and run again.")
    target = response.headers.get("location", "elsewhere").split("?")[0]
    what = f"{name(response.request)} was sent on to {target}."
    return UsageError(what, "Set LABEL_STUDIO_URL to where Label Studio really is.")


def doubtful(request: httpx.Request, what: str, read: type[Unreachable] = Unreachable) -> Unreachable:
    """The error for a request that got no clear answer.

    For a read: Label Studio does not work. For a write: it may or may not have done the work.
    """
    if request.method == "GET":
        return read(f"Label Studio fails. {what}", "Look at Label Studio's log, then run again.")
    what = f"Label Studio may or may not have done it. {what}"
    return Uncertain(what, "Run again: what it did is found and kept.")


def name(request: httpx.Request) -> str:
    """A request in words: its method and path, without the query."""
    return f"{request.method} {request.url.copy_with(query=None)}"


def message(response: httpx.Response) -> str:
    """The server's message, in one line."""
    return _shorten(_from_json(response) or _from_html(response.text) or response.reason_phrase or "no words")


def server_time(response: httpx.Response) -> datetime:
    """The server's clock when it answered: whole seconds, never ahead.

    Raises Unreachable when the answer does not tell it.
    """
    try:
        return parsedate_to_datetime(response.headers["date"]).astimezone(UTC)
    except (KeyError, ValueError) as error:
        raise Unreachable(
            f"{name(response.request)} was answered without the server's time (the Date header).",
            "Let the proxy before Label Studio pass the Date header on.",
        ) from error


def _from_json(response: httpx.Response) -> str:
    found = json_of(response)
    if not isinstance(found, dict):
        return str(found or "")
    detail, wrong = found.get("detail"), found.get("validation_errors")
    if not detail and not wrong:
        return str(found)
    return ": ".join(str(part) for part in (detail, _first(wrong)) if part)


def _first(wrong: Any) -> str:
    """The first of Label Studio's validation errors with the field it is about."""
    if isinstance(wrong, dict) and wrong:
        field, inner = next(iter(wrong.items()))
        return _first(inner) if field == "non_field_errors" else f"{field}: {_first(inner)}"
    if isinstance(wrong, list) and wrong:
        return _first(wrong[0])
    return str(wrong or "")


def _from_html(text: str) -> str:
    title = re.search(r"<title[^>]*>(.*?)</title>", text, re.S | re.I)
    if title:
        return html.unescape(title.group(1))
    return html.unescape(re.sub(r"<(script|style)\b.*?</\1\s*>|<[^>]*>", " ", text, flags=re.S | re.I))


def _shorten(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"


def _advice(kind: str) -> str:
    other = "personal access token" if kind == "legacy token" else "legacy token"
    return (
        f"Copy the {kind} anew into LABEL_STUDIO_API_KEY (Label Studio: Account & Settings), "
        f"or use a {other}: the organisation may have switched one kind off."
    )
