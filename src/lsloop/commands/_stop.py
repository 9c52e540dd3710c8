"""Orderly ending: a signal is remembered, and work looks at it where it can stop."""

import queue
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self


class Stop:
    """Flag that tells whether somebody asked to stop.

    Signals that come while something is at work do not disturb it. `by` is the signal that did, once that was
    noticed.
    """

    def __init__(self) -> None:
        self.by: int | None = None
        # The one thing in the standard library that a signal handler may use and a sleeper may wait for.
        self._asked: queue.SimpleQueue[int] = queue.SimpleQueue()

    @classmethod
    @contextmanager
    def on(cls, *signals: signal.Signals) -> Iterator[Self]:
        """Let these signals ask to stop while the block runs, and do nothing else."""
        stop = cls()
        before = {number: signal.signal(number, lambda got, _: stop._asked.put(got)) for number in signals}
        try:
            yield stop
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @property
    def asked(self) -> bool:
        """Tell whether it is time to stop."""
        return not self._asked.empty()

    def sleep(self, seconds: float) -> None:
        """Wait so long, or until it is time to stop."""
        try:
            self._notice(max(seconds, 0.0))
        except queue.Empty:
            return

    def wait(self) -> None:
        """Wait until it is time to stop."""
        self._notice(None)

    def _notice(self, seconds: float | None) -> None:
        got = self._asked.get(timeout=seconds)
        self.by = self.by or got
        self._asked.put(got)
