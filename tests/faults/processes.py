"""lsloop commands in processes of their own, and the exact points at which something happens to them."""

import contextlib
import functools
import importlib
import itertools
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import connection
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Literal

import psutil

WARM = [
    "lsloop.commands", "lsloop.loop", "lsloop.stack", "label_studio_sdk.label_interface", "yoyo",
    "lsloop.models.families.speech_ctc",
]  # fmt: skip
LONGEST = 60.0  # seconds that a command may take


@dataclass(frozen=True)
class Point:
    """Before or after the `nth` call of a function of lsloop, named `module:function`."""

    function: str
    when: Literal["before", "after"] = "after"
    nth: int = 1

    def __str__(self) -> str:
        return f"{self.when} {self.function.split('.')[-1]} {self.nth}"


@dataclass(frozen=True)
class Command:
    """A command at work. What it says on either stream goes into the file `output`."""

    process: BaseProcess
    output: Path

    @property
    def said(self) -> str:
        return self.output.read_text()

    def wait(self) -> int:
        """Its exit code, or minus the signal that ended it."""
        self.process.join(LONGEST)
        code = self.process.exitcode
        assert code is not None, f"still at work after {LONGEST} s; it said: {self.said}"
        return code

    def kill(self) -> None:
        """SIGKILL, and it is gone when this returns. For any thread; only one may `wait`."""
        assert self.process.pid is not None
        os.kill(self.process.pid, signal.SIGKILL)
        connection.wait([self.process.sentinel], LONGEST)


@contextmanager
def start(folder: Path, *args: str, at: Point | None = None, kill: Sequence[int] = ()) -> Iterator[Command]:
    """Run `lsloop -C folder ARGS`. At the point `at` it kills the processes `kill` and their children,
    else itself."""
    output = folder / f"{args[0]}-{len(list(folder.glob('*.out')))}.out"
    output.touch()
    process = _server().Process(target=_run, args=(folder, args, output, at, tuple(kill)))
    process.start()
    try:
        yield Command(process, output)
    finally:
        if process.is_alive():
            process.kill()
        process.join(LONGEST)


def run(folder: Path, *args: str, at: Point | None = None, kill: Sequence[int] = ()) -> Command:
    """Run a command to its end, whatever that is."""
    with start(folder, *args, at=at, kill=kill) as command:
        command.wait()
    return command


@functools.cache
def _server() -> ForkServerContext:
    # Importing lsloop and what it needs takes seconds: once, in a process that is forked for each command.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(WARM)
    return context


def _run(folder: Path, args: Sequence[str], output: Path, at: Point | None, victims: Sequence[int]) -> None:
    with output.open("wb") as file:
        os.dup2(file.fileno(), sys.stdout.fileno())
        os.dup2(file.fileno(), sys.stderr.fileno())
    from lsloop.commands import main

    if at:
        _do(at, lambda: kill_all(victims or [os.getpid()]))
    sys.exit(main(["-C", str(folder), *args]))


def kill_all(pids: Sequence[int]) -> None:
    """SIGKILL each and its children."""
    for pid in pids:
        family = psutil.Process(pid).children(recursive=True)
        os.kill(pid, signal.SIGKILL)
        for child in family:
            with contextlib.suppress(psutil.NoSuchProcess):  # it may end by itself when its parent does
                child.kill()


def _do(at: Point, action: Callable[[], None]) -> None:
    """Put the action into the real function."""
    module_name, name = at.function.split(":")
    module = importlib.import_module(module_name)
    original, counted = getattr(module, name), itertools.count(1)

    @functools.wraps(original)
    def acting(*args: Any, **options: Any) -> Any:
        is_here = next(counted) == at.nth
        if is_here and at.when == "before":
            action()
        answer = original(*args, **options)
        if is_here and at.when == "after":
            action()
        return answer

    setattr(module, name, acting)
