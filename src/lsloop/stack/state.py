"""State in `.lsloop/`: where all is (`stack.json`) and that it runs (`up.lock`)."""

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from lsloop.errors import LsloopError
from lsloop.stack import children, files

FILE = "stack.json"
SUPERVISOR = "up.pid"
BACKUP = "backup.json"
PATIENCE_SECONDS = 60.0  # ending what a crash left takes some


class Held(LsloopError):
    """Another process runs the stack of this project folder."""


def prepare(here: Path) -> None:
    """Make the state folder, closed to other users and to git."""
    here.mkdir(parents=True, exist_ok=True)
    here.chmod(0o700)
    if files.read(here / ".gitignore") != "*\n":
        files.write(here / ".gitignore", "*\n")


def logs(here: Path) -> Path:
    """The folder of the logs, made on first use."""
    folder = here / "logs"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def read(here: Path) -> dict[str, Any]:
    """Read `stack.json`; nothing when it is not there or broken.

    All of it can be written anew.
    """
    try:
        found = json.loads((here / FILE).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def last_backup(here: Path) -> dict[str, Any] | None:
    """Return the last backup of this project folder: `path`, `made_at`, `bytes`.

    None where none is known.
    """
    try:
        found = json.loads((here / BACKUP).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def update(here: Path, **changes: Any) -> dict[str, Any]:
    """Change some of what `stack.json` says.

    Only the one who holds the folder may.
    """
    found = read(here) | changes
    files.write(here / FILE, json.dumps(found, indent=2) + "\n")
    return found


@contextmanager
def held(here: Path) -> Iterator[None]:
    """Be the only one who runs this stack; the kernel lets go when the process ends.

    Waits for one that holds it and has not yet written down who it is: it is clearing up, or it is a `down`.
    Raises Held.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    with (here / "up.lock").open("w") as lock:
        while not _taken(lock):
            if last_supervisor(here) or time.monotonic() > deadline:
                raise Held("The stack is already running here.", "Stop it with `lsloop down`.") from None
            time.sleep(0.02)
        yield


def _taken(lock: TextIO) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def running(here: Path) -> dict[str, Any]:
    """Return what `stack.json` says when all of the stack answers.

    It is empty while the stack starts and when it is down.
    """
    found = read(here)
    return found if found.get("ready") and supervisor(here) else {}


def supervisor(here: Path) -> Any:
    """The process (a psutil.Process) of the `lsloop up` that runs here, or None."""
    known = read(here).get("pids", {}).get("supervisor")
    return children.find(known) if known else None


def last_supervisor(here: Path) -> Any:
    """Find the supervisor, also where `stack.json` was lost or damaged under it.

    Otherwise nobody could stop it any more.
    """
    if found := supervisor(here):
        return found
    try:
        return children.find(json.loads((here / SUPERVISOR).read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError, KeyError):
        return None


def record(here: Path, name: str, pid: int, stop_signal: int) -> None:
    """Write down a process.

    A later `up` or `down` can then end it if this one cannot.
    """
    pids = read(here).get("pids", {})
    update(here, pids=pids | {name: children.identity(pid) | {"signal": int(stop_signal)}})


def record_self(here: Path) -> None:
    """Write down that this process runs the stack, which is not ready yet."""
    this = children.identity(os.getpid())
    # In this order: whoever meets the second file waits for what the first one tells.
    update(here, ready=False, left_down={}, pids={"supervisor": this})
    files.write(here / SUPERVISOR, json.dumps(this))
