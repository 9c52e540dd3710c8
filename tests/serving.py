"""The HTTP server on a free port of this machine, and raw requests that no client library tidies up."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import uvicorn

from lsloop.server import api, app, ml_backend, webhook

SECRET = "a key for tests"
STUDIO = "http://localhost:8080"


@contextmanager
def serving(
    raw_dir: Path,
    *,
    cache: Path | None = None,
    ping: Callable[[], None] = lambda: None,
    studio: str = STUDIO,
    desk: api.Desk | None = None,
    hook: webhook.Hook | None = None,
    ml: ml_backend.Backends | None = None,
) -> Iterator[str]:
    """The address of a running server, which stops at the end."""
    application = app.create(
        raw_dir=raw_dir,
        dvc_cache=cache,
        secret=SECRET,
        label_studio_url=studio,
        ping=ping,
        desk=desk,
        hook=hook,
        ml=ml,
    )
    server = uvicorn.Server(uvicorn.Config(application, log_config=None, access_log=False))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(timeout=30)


def raw(url: str, target: str, method: str = "GET", headers: str = "") -> tuple[int, bytes]:
    """Status and body of a request whose target goes out as it stands, dots and all."""
    place = urlsplit(url)
    with socket.create_connection((place.hostname, place.port), timeout=10) as connection:
        head = f"{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n"
        connection.sendall(head.encode("latin-1"))
        with connection.makefile("rb") as answer:
            told = answer.read()
    head_part, _, body = told.partition(b"\r\n\r\n")
    return int(head_part.split()[1]), body
