"""Keeper of services: one that ends by itself is started again.

That is done ever later, until it has ended too often.

The others are not touched: the worker and the server wait for what they need, and find it at the same address
again.
"""

import time
from dataclasses import dataclass
from pathlib import Path

from lsloop.errors import LsloopError
from lsloop.stack import children, ports, services, state
from lsloop.stack.services import Service
from lsloop.stack.studio_env import Say
from lsloop.values.text import counted


@dataclass(frozen=True)
class Patience:
    """Seconds from an end to the next start.

    `first`, then twice as long each time, up to `most`. It is left down after `ends` ends within `within`
    seconds.
    """

    first: float = 1.0
    most: float = 30.0
    ends: int = 6
    within: float = 600.0


class Keeper:
    """Looks after one service that runs."""

    def __init__(
        self, here: Path, service: Service, say: Say, warn: Say, patience: Patience = Patience()
    ) -> None:
        self._here, self._service, self._say, self._warn, self._patience = here, service, say, warn, patience
        self._title, self._log = service.running.name, service.running.log
        self._ends: list[float] = []
        self._due: float | None = None  # when it is started again
        self._began: float | None = None  # when it was, until it answers
        self.gave_up = False

    def look(self) -> None:
        """Do what is due now.

        Never waits for the service.
        """
        if self.gave_up:
            return
        child, now = self._service.child, time.monotonic()
        if child is None:
            if self._due is not None and now >= self._due:
                self._begin(now)
        elif child.process.poll() is not None:
            self._ended(f"ended by itself ({children.how_it_ended(child)})", now)
        elif self._began is not None:
            self._await(self._began, now)

    def _begin(self, now: float) -> None:
        port = self._service.port
        try:
            if port and not ports.is_free(port):
                return self._ended(f"cannot start: somebody else has taken its port {port}", now)
            services.begin(self._here, self._service)
            self._began = now
        except (LsloopError, OSError) as error:
            self._ended(f"cannot start: {' '.join(str(error).split())}", now)

    def _await(self, began: float, now: float) -> None:
        if self._service.ready(self._service.running, self._service.port):
            self._began = None
            self._say(f"{self._title} is there again.")
        elif now - began > self._service.seconds:
            self._ended(f"did not answer within {self._service.seconds:.0f} s", now)

    def _ended(self, how: str, now: float) -> None:
        """Clear away what is left of it; decide whether and when it starts again.

        Say what was decided.
        """
        if self._service.child:
            children.stop([self._service.child])
            self._service.child = None
        self._ends = [end for end in self._ends if now - end < self._patience.within] + [now]
        if len(self._ends) >= self._patience.ends:
            self._give_up(how)
        else:
            wait = min(self._patience.first * 2 ** (len(self._ends) - 1), self._patience.most)
            self._due = now + wait
            again = f"It is started again in {wait:g} s; the others go on."
            self._warn(f"{self._title} {how}. {again} Its log: {self._log}")

    def _give_up(self, how: str) -> None:
        self.gave_up = True
        often = f"{counted(len(self._ends), 'time')} within {self._patience.within / 60:g} minutes"
        said = f"{self._title} {how}. That was {often}: it is left down, and the others go on."
        self._warn(f"{said} Read {self._log}, then run `lsloop down` and `lsloop up`.")
        state.update(
            self._here, left_down=state.read(self._here).get("left_down", {}) | {self._service.name: said}
        )
