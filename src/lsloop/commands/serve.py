"""`lsloop serve`: the HTTP server."""

import errno
import secrets
import signal
import socket
import sys
from functools import partial

import typer
import uvicorn

from lsloop import dvc, ledger
from lsloop.commands._call import Call
from lsloop.commands._options import HostOpt, PortOpt
from lsloop.config import API_TOKEN, Config
from lsloop.config.following import Following
from lsloop.errors import LsloopError, UsageError
from lsloop.ledger import events
from lsloop.server import api, app, ml_backend, webhook


def serve(ctx: typer.Context, host: HostOpt = "127.0.0.1", port: PortOpt = 8000) -> None:
    """Serve health, media, events and the API over HTTP until Ctrl-C or SIGTERM.

    Only this machine can reach it unless --host says otherwise. Annotators' browsers fetch media from it with
    signed links that expire. Label Studio tells it under /webhook what people do; `lsloop worker` looks at
    that. The API (/api/conflicts, /api/stats) wants the token of LSLOOP_API_TOKEN, or else the one in
    .lsloop/api_token, which is made by the first start. Under /ml/T the model in use for the task type T
    answers Label Studio.

    Example:
      lsloop serve --port 8000
      lsloop serve --host 0.0.0.0
    """
    call = Call.of(ctx)
    config, now = call.config, Following(call.config, call.out.warn)
    ledger_ = ledger.connect(config.database_url, check_schema=False)
    application = app.create(
        raw_dir=config.raw_dir,
        dvc_cache=dvc.cache(config.project_dir),
        secret=config.secret,
        label_studio_url=config.label_studio_url,
        ping=ledger_.ping,
        desk=api.Desk(ledger_, now, _token(config)),
        # connections of its own: events never wait for somebody's long question
        hook=webhook.Hook(
            config.webhook_secret,
            partial(events.store, ledger.connect(config.database_url, check_schema=False)),
        ),
        ml=ml_backend.Backends(ledger.connect(config.database_url, check_schema=False), now),
    )
    # uvicorn stops gracefully and then raises the signal again, which would end in "Terminated"
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    listener = _listen(host, port)
    url = f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}"
    call.out.result({"url": url}, f"Serving on {url} (Ctrl-C stops)")
    settings = uvicorn.Config(
        application, access_log=False, log_config=None, server_header=False, timeout_graceful_shutdown=5
    )
    uvicorn.Server(settings).run(sockets=[listener])


def _token(config: Config) -> str:
    """Return the token that opens the API.

    It is made up once, in a file that only its owner may read.
    """
    if token := config.api_token:
        return token
    from lsloop.stack import files, state

    state.prepare(config.state_dir)
    return files.keep(config.state_dir / API_TOKEN, secrets.token_urlsafe(32))


def _listen(host: str, port: int) -> socket.socket:
    """A socket that takes connections from now on.

    Raises UsageError, LsloopError.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.create_server((host, port), family=family, backlog=2048)
        # asyncio sets it only on sockets made by itself; without it a kept connection answers 44 ms late.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listener
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            fix = "Stop what listens there, or name another --port."
            raise LsloopError(f"Port {port} on {host} is taken.", fix) from error
        problem = f"Cannot listen on {host}, port {port}: {(error.strerror or '').partition(' (')[0]}."
        raise UsageError(problem, "Name another --host or --port.") from error
