"""One connection to one Label Studio.

It holds who we are, what is sent again and what is not, and what went wrong.
"""

import http.cookiejar
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import Any, Self

import httpx
import orjson
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    retry_if_result,
    stop_after_attempt,
    wait_random_exponential,
)

from lsloop import web
from lsloop.errors import Refused, Unreachable, UsageError
from lsloop.labelstudio import answers, credentials

Params = dict[str, str | int]

TRIES = 4
"""How often a read is tried, over about two seconds."""

NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
DROPPED = (httpx.ConnectError, httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError)


class LabelStudio:
    """An open connection to a Label Studio.

    Reads are tried a few times; a write is sent once, whatever happens.
    """

    def __init__(self, url: str, token: credentials.Token, client: httpx.Client) -> None:
        self.url = url
        self._token = token
        self._client = client
        self._keep_alive = False  # until the first answer tells what kind of server it is

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._client.close()

    def get(self, path: str, *, params: Params | None = None, json: Any = None) -> Any:
        """The parsed answer to a read."""
        return answers.parsed(self.send("GET", path, params=params, json=json))

    def post(self, path: str, *, params: Params | None = None, json: Any = None) -> Any:
        """The parsed answer to a write that is never sent twice."""
        return answers.parsed(self.send("POST", path, params=params, json=json))

    def patch(self, path: str, *, params: Params | None = None, json: Any = None) -> Any:
        """The parsed answer to a change that is never sent twice."""
        return answers.parsed(self.send("PATCH", path, params=params, json=json))

    def delete(self, path: str, *, params: Params | None = None, json: Any = None) -> Any:
        """The parsed answer to a deletion that is never sent twice."""
        return answers.parsed(self.send("DELETE", path, params=params, json=json))

    def send(
        self, method: str, path: str, *, params: Params | None = None, json: Any = None, patient: bool = True
    ) -> httpx.Response:
        """Send one request and return its answer, which has a 2xx status.

        A read that is not `patient` is tried once.

        Raises Unreachable (nothing was sent, or a read failed), Uncertain (a write was sent and not
        answered), Refused (4xx: nothing was changed) and Unauthorised (401, 403).
        """
        request = self._build(method, path, params, json)
        attempt = partial(self._authorised, request)
        try:
            response = _patiently(attempt) if method == "GET" and patient else attempt()
        except NOT_SENT as error:
            raise self._unreachable(error) from error
        except httpx.RequestError as error:
            raise answers.doubtful(request, f"{answers.name(request)}: {_words(error)}.") from error
        if not response.is_success:
            raise answers.failure(response, self._token.kind)
        return response

    def renew(self) -> str:
        """Renew the token now, where it is of a kind that is renewed; return its kind.

        Raises as `send` does.
        """
        self._token.renew(self._token.header(self._buy))
        self._token.header(self._buy)
        return self._token.kind

    def browser(self) -> httpx.Client:
        """A client with cookies and no token.

        It is for what only a signed-in person may do.
        """
        return web.client(self.url, base_url=self.url, timeout=self._client.timeout)

    def _build(self, method: str, path: str, params: Params | None, json: Any) -> httpx.Request:
        url = f"{self.url}/{path.lstrip('/')}"
        if json is None:
            return self._client.build_request(method, url, params=params)
        headers = {"Content-Type": "application/json"}
        return self._client.build_request(method, url, params=params, content=_encoded(json), headers=headers)

    def _authorised(self, request: httpx.Request) -> httpx.Response:
        """Send with credentials, and again if a short-lived one was rejected.

        The rejected request did nothing.
        """
        header = self._token.header(self._buy)
        response = self._transmit(request, header)
        if response.status_code == 401 and self._token.renew(header):
            response = self._transmit(request, self._token.header(self._buy))
        return response

    def _transmit(self, request: httpx.Request, authorization: str = "") -> httpx.Response:
        if authorization:
            request.headers["Authorization"] = authorization
        request.headers["Connection"] = "keep-alive" if self._keep_alive else "close"
        response = self._client.send(request)
        # Django's development server answers 44 ms late on a kept connection (delayed ACK).
        self._keep_alive = "WSGIServer" not in response.headers.get("server", "")
        return response

    def _buy(self, personal: str) -> str:
        """Buy an access token for a personal one.

        When this fails, the request itself was never sent.
        """
        request = self._build("POST", "api/token/refresh/", None, {"refresh": personal})
        try:
            response = _patiently(partial(self._transmit, request))
        except httpx.RequestError as error:
            raise self._unreachable(error) from error
        if response.status_code == 401:
            raise answers.failure(response, self._token.kind)
        found = answers.json_of(response)
        if not isinstance(found, dict) or not found.get("access"):
            what = f"{answers.name(request)} gives no access token: {answers.message(response)}"
            raise Unreachable(what, "Check LABEL_STUDIO_URL, and look at Label Studio's log.")
        return str(found["access"])

    def _unreachable(self, error: Exception) -> Unreachable:
        return Unreachable(
            f"Label Studio at {self.url} does not answer{web.way(self.url)}: {_words(error)}.",
            "Start it (`lsloop up` starts the embedded one), or correct LABEL_STUDIO_URL.",
        )


def connect(url: str, api_key: str, *, timeout: float = 300.0) -> LabelStudio:
    """A connection to the Label Studio at `url`; nothing is sent yet.

    `timeout` is in seconds, for an answer. Raises UsageError when the URL or the token cannot be one.
    """
    base = _checked(url)
    token = credentials.read(api_key)
    client = web.client(
        str(base),
        timeout=httpx.Timeout(timeout, connect=min(10.0, timeout)),
        # gunicorn closes an idle connection after 2 s; let it go before.
        limits=httpx.Limits(keepalive_expiry=1.5),
        # Every answer sets a session cookie; sent back beside a token it would ask for CSRF tokens.
        cookies=http.cookiejar.CookieJar(http.cookiejar.DefaultCookiePolicy(allowed_domains=[])),
    )
    return LabelStudio(str(base).rstrip("/"), token, client)


def _patiently(send: Callable[[], httpx.Response]) -> httpx.Response:
    """Try what may safely be sent again.

    Returns the last answer, or raises the last error, if none was good.
    """
    return Retrying(
        stop=stop_after_attempt(TRIES),
        wait=wait_random_exponential(multiplier=0.25, max=2),
        retry=retry_if_exception_type(DROPPED) | retry_if_result(_is_failing),
        retry_error_callback=_last,
    )(send)


def _is_failing(response: httpx.Response) -> bool:
    return response.status_code >= 500 or response.status_code == 429


def _last(state: RetryCallState) -> httpx.Response:
    assert state.outcome is not None
    return state.outcome.result()  # type: ignore[no-any-return]


def _encoded(json: Any) -> bytes:
    try:
        return orjson.dumps(json)
    except orjson.JSONEncodeError as error:
        raise Refused(
            f"What was to be sent to Label Studio is not JSON: {error}.", "Correct the sample."
        ) from error


def _checked(url: str) -> httpx.URL:
    try:
        found = httpx.URL(url)
    except httpx.InvalidURL as error:
        # its own words hold part of what it could not read, which may be a password
        raise UsageError(
            "LABEL_STUDIO_URL is not a URL.", "Write it as http://host:8080 or https://host."
        ) from error
    if found.scheme not in ("http", "https") or not found.host:
        raise UsageError("LABEL_STUDIO_URL names no server.", "Write it as http://host:8080 or https://host.")
    if found.userinfo:
        raise UsageError(
            "LABEL_STUDIO_URL holds a user name.", "Take it out; LABEL_STUDIO_API_KEY is enough."
        )
    return found


def _words(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
