"""Access log, for -v: method, path and status.

It never has the query, which holds signatures.
"""

import logging
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

logger = logging.getLogger(__name__)


class AccessLog:
    """Middleware that writes one line per answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                logger.info("%s %s %d", scope["method"], _path(scope), message["status"])
            await send(message)

        await self._app(scope, receive, noted)


def _path(scope: dict[str, Any] | Scope) -> str:
    return bytes(scope.get("raw_path") or b"").decode("ascii", "backslashreplace")
