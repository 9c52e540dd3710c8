"""Health of PostgreSQL, asked so that a hanging one cannot hold the server up."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import TypeVar

from lsloop.errors import LsloopError
from lsloop.secrecy import without_secrets

T = TypeVar("T")


class Pulse:
    """Check of PostgreSQL by `ping`, which returns, or raises LsloopError.

    It asks one question at a time, however many want to know.
    """

    def __init__(self, ping: Callable[[], None], patience: float = 2) -> None:
        self._ping = ping
        self._patience = patience  # seconds
        self._asked: Future[None] | None = None

    async def trouble(self) -> str | None:
        """Tell what is wrong; None when PostgreSQL answers.

        Known after `patience` seconds at the latest.
        """
        if self._asked is None or self._asked.done():
            self._asked = in_thread(self._ping)
        waiting = asyncio.shield(asyncio.wrap_future(self._asked))
        try:
            await asyncio.wait_for(waiting, self._patience)
        except TimeoutError:
            return f"PostgreSQL has not answered for {self._patience:g} seconds."
        except LsloopError as error:
            return without_secrets(error.problem)
        return None


def in_thread(ask: Callable[[], T]) -> Future[T]:
    """Run `ask` in a thread that does not outlive the process, unlike an executor's."""
    asked: Future[T] = Future()

    def run() -> None:
        try:
            asked.set_result(ask())
        except Exception as error:  # handed to whoever waits
            asked.set_exception(error)

    Thread(target=run, daemon=True, name="ask").start()
    return asked
