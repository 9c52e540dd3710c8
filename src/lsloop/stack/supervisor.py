"""Run the stack in this process: start everything, keep it running, stop everything."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lsloop.config import Config
from lsloop.stack import children, leftovers, services, state
from lsloop.stack.keeping import Keeper
from lsloop.stack.services import Service
from lsloop.stack.studio_env import Say


@dataclass(frozen=True)
class Running:
    """A stack that answers.

    `signals` are those that asked it to stop.
    """

    here: Path
    services: list[Service]
    signals: list[int]

    def tell(self) -> None:
        """Let everybody know from now on that it runs."""
        state.update(self.here, ready=True)


@contextmanager
def run(config: Config, say: Say, upgrade: Callable[[str], None]) -> Iterator[Running]:
    """Start everything, yield once all of it answers, and stop it at the end.

    `tell` the others once all of it answers.

    `upgrade` is called with the URL of the embedded database as soon as it answers. SIGTERM and a closed
    terminal end the block as Ctrl-C does, with KeyboardInterrupt. Call it from the main thread. Raises Held
    when the stack already runs, Failed when a part of it does not start.
    """
    here = config.state_dir
    state.prepare(here)
    started: list[Service] = []
    with state.held(here), _stoppable() as signals:
        leftovers.clear(here)
        state.record_self(here)
        try:
            services.start(config, say, upgrade, started)
            yield Running(here, started, signals)
        finally:
            _stop(here, started)


def watch(running: Running, say: Say, warn: Say) -> None:
    """Stay until a signal comes, which raises KeyboardInterrupt.

    A service that ends by itself is started again.
    """
    keepers = [Keeper(running.here, service, say, warn) for service in running.services]
    while not running.signals:
        for keeper in keepers:
            keeper.look()
        time.sleep(0.2)
    # The signal's own was lost: Python drops what is raised while an object is cleared away.
    raise KeyboardInterrupt


def _stop(here: Path, started: list[Service]) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # a second Ctrl-C must not leave half of them running
    children.stop(service.child for service in reversed(started) if service.child)
    state.update(here, ready=False, left_down={}, pids={})


@contextmanager
def _stoppable() -> Iterator[list[int]]:
    """Have SIGTERM and SIGHUP raise KeyboardInterrupt, as SIGINT does.

    They do not if they were ignored (nohup). The signals are kept, too.
    """
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}
    came: list[int] = []

    def interrupt(number: int, _: object) -> None:
        came.append(number)
        raise KeyboardInterrupt

    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, interrupt)
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
