"""HTTP server: truthful health, media, events of Label Studio, and the API.

Media are for annotators, the API for who holds its token.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from fastapi import FastAPI, Request
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import JSONResponse, Response

from lsloop import signing
from lsloop.ledger import metrics as ledger_metrics
from lsloop.ledger import servers
from lsloop.server import api, canary, files, guard, media, metrics, ml_backend, webhook
from lsloop.server.health import Pulse
from lsloop.server.log import AccessLog

LARGER: dict[str, int] = dict.fromkeys(webhook.PATHS, webhook.MOST)
"""Paths whose requests may carry more than guard.BODY, and how many bytes."""

_LOOPBACK = ("localhost", "127.0.0.1")


def create(
    *,
    raw_dir: Path,
    dvc_cache: Path | None,
    secret: str,
    label_studio_url: str,
    ping: Callable[[], None],
    desk: api.Desk | None = None,
    hook: webhook.Hook | None = None,
    ml: ml_backend.Backends | None = None,
) -> FastAPI:
    """Create the application.

    `ping` raises LsloopError unless PostgreSQL answers; `dvc_cache` is where links may lead. Without a `desk`
    there are no API and no metrics, without a `hook` no events are taken, without `ml` no model answers.
    """
    app = FastAPI(
        title="lsloop",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        lifespan=ml.running if ml else None,
    )
    app.add_middleware(
        CORSMiddleware,
        allow_origins=origins(label_studio_url),
        allow_methods=["GET", "HEAD"],
        allow_headers=["Range", "If-Range", "If-None-Match", "If-Modified-Since"],
        expose_headers=["Accept-Ranges", "Content-Length", "Content-Range", "ETag", "Last-Modified"],
        allow_private_network=True,
    )
    app.add_middleware(guard.Limits, larger=LARGER | (ml.larger if ml else {}), may=_may(hook))
    app.add_middleware(guard.Headers)
    app.add_middleware(AccessLog)
    guard.explain(app)
    _add_health(app, Pulse(ping), lambda: bool(ml and ml.is_loaded))
    _add_media(app, raw_dir, [dvc_cache] if dvc_cache else [], secret)
    canary.add(app, secret)
    if desk:
        _add_desk(app, desk)
    if hook:
        webhook.add(app, hook)
    if ml:
        ml_backend.add(app, ml)
    return app


def _add_desk(app: FastAPI, desk: api.Desk) -> None:
    api.add(app, desk)
    spelling = desk.config.label_studio_server
    metrics.add(
        app, lambda: ledger_metrics.read(desk.ledger, servers.spelled(desk.ledger, spelling)), desk.token
    )


def _may(hook: webhook.Hook | None) -> Callable[[str, Mapping[str, str]], bool]:
    """A large event is held in memory only for who brings the secret."""

    def may(path: str, headers: Mapping[str, str]) -> bool:
        return path not in webhook.PATHS or (hook is not None and webhook.brings(headers, hook.secret))

    return may


def origins(url: str) -> list[str]:
    """Return the origins that browsers name when they show the pages at `url`.

    Both spellings of this machine count.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    hosts = _LOOPBACK if host in _LOOPBACK else (f"[{host}]" if ":" in host else host,)
    port = "" if parts.port in (None, {"http": 80, "https": 443}.get(parts.scheme)) else f":{parts.port}"
    return [f"{parts.scheme}://{name}{port}" for name in hosts]


def _add_health(app: FastAPI, pulse: Pulse, model_loaded: Callable[[], bool]) -> None:
    @app.get("/health")
    async def health() -> JSONResponse:
        trouble = await pulse.trouble()
        if trouble:
            return JSONResponse(
                {"status": "unavailable", "reason": trouble, "model_loaded": model_loaded()}, 503
            )
        return JSONResponse({"status": "ok", "model_loaded": model_loaded()})


def _add_media(app: FastAPI, raw_dir: Path, also: Sequence[Path], secret: str) -> None:
    @app.api_route("/media/{path:path}", methods=["GET", "HEAD"])
    def serve(request: Request, path: str) -> Response:
        query = request.query_params
        why = signing.refusal(secret, path, query.get("expires", ""), query.get("signature", ""), time.time())
        if why:
            return JSONResponse({"error": why}, 403)
        file = files.open_media(raw_dir, also, path)
        if file is None:
            return JSONResponse({"error": "there is no such media file"}, 404)
        return media.respond(file, path, request.headers, head=request.method == "HEAD")
