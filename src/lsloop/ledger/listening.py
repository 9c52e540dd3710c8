"""A thread that looks whenever PostgreSQL notifies, and every few seconds.

It also looks without a notification because one can be lost.
"""

import contextlib
import time
from collections.abc import Callable
from threading import Event, Thread

import psycopg
from psycopg import sql

from lsloop.ledger import Ledger, keywords

EVERY = 5.0
"""Seconds between two looks when nothing is notified."""


_AGAIN = 1.0
"""Seconds until it listens again when the connection broke: what is notified meanwhile is told to nobody."""


_SLICE = 0.25
"""Seconds after which it is noticed that nobody wants to know any more."""


class Watch:
    """A watcher that calls `look`: at the start, on each notification, and regularly.

    Notifications are those of `channel`; the regular calls come every few seconds. What `look` raises
    ends nothing.
    """

    def __init__(self, ledger: Ledger, channel: str, look: Callable[[], None], every: float = EVERY) -> None:
        # A connection of its own: one of the pool would be given back, and with it what was listened to.
        self._there = keywords(ledger.address)
        self._channel, self._look, self._every = channel, look, every
        self._stopped = Event()
        self._thread = Thread(target=self._run, daemon=True, name=f"listen to {channel}")

    def start(self) -> None:
        self._thread.start()

    def stop(self, seconds: float = 5) -> None:
        """Stop looking.

        A look that is under way is waited for, but not for ever.
        """
        self._stopped.set()
        self._thread.join(seconds)

    def _run(self) -> None:
        while not self._stopped.is_set():
            with contextlib.suppress(psycopg.Error):
                self._listen()
            if not self._stopped.is_set():  # PostgreSQL is away
                self._safely()
                self._stopped.wait(min(self._every, _AGAIN))

    def _listen(self) -> None:
        with psycopg.connect(autocommit=True, **self._there) as connection:
            connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(self._channel)))
            while not self._stopped.is_set():
                self._safely()  # also after LISTEN: what was notified before that is not told
                self._wait(connection)

    def _wait(self, connection: psycopg.Connection[object]) -> None:
        """Wait for a notification, until `every` seconds went by, or until the stop."""
        ends = time.monotonic() + self._every
        while time.monotonic() < ends and not self._stopped.is_set():
            if list(connection.notifies(timeout=_SLICE, stop_after=1)):
                return

    def _safely(self) -> None:
        with contextlib.suppress(Exception):
            self._look()
