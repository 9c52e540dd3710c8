"""/canary: how `lsloop doctor` learns whether what Label Studio sends arrives here.

Whoever has the link, which doctor signs for minutes, may deliver something, and ask whether something came.
Nothing of it is looked at or stored.
"""

import time
from collections import OrderedDict

from fastapi import FastAPI, Request
from starlette.responses import Response

from lsloop import signing
from lsloop.server import guard

MOST = 100  # that are remembered


def add(app: FastAPI, secret: str) -> None:
    """Serve /canary."""
    arrived: OrderedDict[str, int] = OrderedDict()

    def check(request: Request, nonce: str) -> None:
        query = request.query_params
        path = signing.canary_path(nonce)
        why = signing.refusal(secret, path, query.get("expires", ""), query.get("signature", ""), time.time())
        if why:
            raise guard.Problem(403, why)

    @app.post("/canary/{nonce}")
    async def deliver(request: Request, nonce: str) -> Response:
        check(request, nonce)
        arrived[nonce] = arrived.get(nonce, 0) + 1
        while len(arrived) > MOST:
            arrived.popitem(last=False)
        return guard.answer({"status": "arrived"})

    @app.get("/canary/{nonce}")
    async def ask(request: Request, nonce: str) -> Response:
        check(request, nonce)
        return guard.answer({"arrived": arrived.get(nonce, 0)})
