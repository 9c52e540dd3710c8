"""Control of the stack from outside its process: start it, ask about it, end it.

It is started in the background.
"""

import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import psutil

from lsloop.config import STATE
from lsloop.errors import LsloopError
from lsloop.stack import children, leftovers, services, state
from lsloop.stack.children import Child, Failed
from lsloop.stack.studio_env import Say

STARTING_SECONDS = 1800.0  # the first start downloads Label Studio
STOPPING_SECONDS = 60.0


def running(project_dir: Path, say: Say) -> dict[str, Any]:
    """Return what the stack that runs here wrote down; empty when none runs.

    Waits for one that is starting.
    """
    here = project_dir.resolve() / STATE
    if not state.running(here) and state.supervisor(here):
        say("Another `lsloop up` is starting here: waiting for it")
    while not (found := state.running(here)) and state.supervisor(here):
        time.sleep(0.1)
    return found


def detach(project_dir: Path, say: Say) -> dict[str, Any]:
    """Start the stack in a process of its own; return what it wrote down.

    It returns once all of the stack answers. Raises Failed with the end of its log when it does not.
    """
    here = project_dir.resolve() / STATE
    state.prepare(here)
    log = state.logs(here) / "up.log"
    with log.open("ab") as output:
        # What it prints on stdout holds the password: only what it tells on the way is kept.
        process = subprocess.Popen(
            [*services.LSLOOP, "-C", str(project_dir.resolve()), "up"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=output,
            start_new_session=True,
        )
        begin = output.tell()
    try:
        return _follow(here, Child("lsloop up", process, log, signal.SIGTERM), begin, say)
    except BaseException:
        process.terminate()
        process.wait(STOPPING_SECONDS)
        raise


def down(project_dir: Path) -> bool:
    """Stop the stack of a project folder, whoever started it, or what a crash left.

    Returns whether there was any. Raises LsloopError when it cannot be stopped.
    """
    here = project_dir.resolve() / STATE
    if not here.is_dir():
        return False
    was_running = _end_supervisor(here)
    with state.held(here):
        found = leftovers.clear(here) or was_running
        state.update(here, ready=False, left_down={}, pids={})
    return found


def mend(project_dir: Path) -> None:
    """Put a `stack.json` that cannot be read aside: `up` and `down` write it anew."""
    path = project_dir / STATE / state.FILE
    if path.is_file() and not state.read(path.parent):
        path.rename(path.with_suffix(".broken"))


def _follow(here: Path, child: Child, begin: int, say: Say) -> dict[str, Any]:
    """Pass on what the new process tells until it is ready."""
    deadline = time.monotonic() + STARTING_SECONDS
    with child.log.open("rb") as told:
        told.seek(begin)
        while True:
            ended = child.process.poll() is not None
            for line in told:
                say(line.decode("utf-8", "replace").rstrip("\n"))
            if found := state.running(here):
                return found
            if ended or time.monotonic() > deadline:
                raise Failed(f"The stack did not start ({children.how_it_ended(child)}).", child.log)
            time.sleep(0.1)


def _end_supervisor(here: Path) -> bool:
    """End the `lsloop up` that runs here, which ends what it started.

    Returns whether there was one.
    """
    process = state.last_supervisor(here)
    if process is None:
        return False
    try:
        process.terminate()
        if not _ended(process, STOPPING_SECONDS):
            process.kill()
            _ended(process, STOPPING_SECONDS)
    except psutil.NoSuchProcess:
        pass
    except psutil.AccessDenied:
        raise LsloopError(
            f"The stack here is run by another user ({process.username()}).",
            "Run `lsloop down` as that user.",
        ) from None
    return True


def _ended(process: psutil.Process, seconds: float) -> bool:
    """Tell whether it ends in time.

    One that its parent never looks after stays a zombie: that has ended, too.
    """
    deadline = time.monotonic() + seconds
    while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
