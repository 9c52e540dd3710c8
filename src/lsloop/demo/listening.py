"""Webhook path of the demo, from Label Studio by the server to the worker.

Label Studio tells what people do, the server stores it, the worker looks at it.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from lsloop.demo.scene import Scene
from lsloop.ledger import events

PATIENCE = 120.0  # seconds; what is not looked at by then, the sweep brings


@contextmanager
def held_back(scene: Scene) -> Iterator[None]:
    """Store events while the block runs, with nobody looking at them.

    The worker is busy elsewhere.
    """
    with scene.ledger.in_turn("lsloop events"):
        yield


def settle(scene: Scene) -> None:
    """Wait until the worker has looked at everything that Label Studio told."""
    deadline = time.monotonic() + PATIENCE
    while events.counts(scene.ledger)["waiting"] and time.monotonic() < deadline:
        time.sleep(0.05)
