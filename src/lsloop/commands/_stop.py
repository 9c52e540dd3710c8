"""Ending in order: SIGTERM is remembered, and what works looks at it where it can stop."""

import queue
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self


class Stop:
    """Whether somebody asked to stop. Signals that come while something is at work do not disturb it."""

    def __init__(self) -> None:
        # The one thing in the standard library that a signal handler may use and a sleeper may wait for.
        self._asked: queue.SimpleQueue[None] = queue.SimpleQueue()

    @classmethod
    @contextmanager
    def on_sigterm(cls) -> Iterator[Self]:
        """While the block runs, SIGTERM asks to stop, and does nothing else."""
        stop = cls()
        before = signal.signal(signal.SIGTERM, lambda *_: stop._asked.put(None))
        try:
            yield stop
        finally:
            signal.signal(signal.SIGTERM, before)

    @property
    def asked(self) -> bool:
        """Whether it is time to stop."""
        return not self._asked.empty()

    def sleep(self, seconds: float) -> None:
        """Wait so long, or until it is time to stop."""
        try:
            self._asked.get(timeout=max(seconds, 0.0))
        except queue.Empty:
            return
        self._asked.put(None)
