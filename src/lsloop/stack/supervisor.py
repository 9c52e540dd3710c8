"""Run the stack in this process: start everything, watch it, stop everything."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from lsloop.config import Config
from lsloop.stack import children, leftovers, services, state
from lsloop.stack.children import Child, Failed
from lsloop.stack.studio_env import Say


@contextmanager
def run(config: Config, say: Say, upgrade: Callable[[str], None]) -> Iterator[list[Child]]:
    """Start everything, yield the children once all of them answer, and stop them at the end.

    `upgrade` is called with the URL of the embedded database as soon as it answers. SIGTERM and a closed
    terminal end the block as Ctrl-C does, with KeyboardInterrupt. Call it from the main thread. Raises Held when
    the stack already runs, Failed when a part of it does not start.
    """
    here = config.state_dir
    state.prepare(here)
    started: list[Child] = []
    with state.held(here), _stoppable():
        leftovers.clear(here)
        state.record_self(here)
        try:
            services.start(config, say, upgrade, started)
            state.update(here, ready=True)
            yield started
        finally:
            _stop(here, started)


def watch(started: list[Child]) -> None:
    """Stay until a child ends by itself, which raises Failed."""
    while True:
        for child in started:
            if child.process.poll() is not None:
                raise Failed(f"{child.name} ended by itself ({children.how_it_ended(child)}).", child.log)
        time.sleep(0.2)


def _stop(here: Path, started: list[Child]) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # a second Ctrl-C must not leave half of them running
    children.stop(reversed(started))
    state.update(here, ready=False, pids={})


@contextmanager
def _stoppable() -> Iterator[None]:
    """SIGTERM and SIGHUP raise KeyboardInterrupt, as SIGINT does, unless they were ignored (nohup)."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
