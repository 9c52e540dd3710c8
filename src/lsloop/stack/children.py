"""Child processes, started so that they never outlive this one.

They are stopped so that they can finish cleanly.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lsloop.errors import LsloopError

INHERITED = ("PATH", "HOME", "USER", "LANG", "LC_ALL", "LC_CTYPE", "TMPDIR", "TZ")
PR_SET_PDEATHSIG = 1
SAME_START_SECONDS = 0.1
POLL_SECONDS = 0.05


class Failed(LsloopError):
    """Failure of a child to do what it was started for.

    `last_words` are the last lines of its log.
    """

    def __init__(self, problem: str, log: Path) -> None:
        super().__init__(problem, f"Read the whole log: {log}")
        self.last_words = tail(log)

    def __str__(self) -> str:
        return f"{self.problem} Its last words:\n{self.last_words}"


@dataclass(frozen=True)
class Child:
    """Process that this one started.

    `stop_signal` is the one it answers by ending in good order.
    """

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    stop_signal: signal.Signals
    begin: int = 0  # where in the log its words begin

    @property
    def has_spoken(self) -> bool:
        """Tell whether it has written anything."""
        return self.log.stat().st_size > self.begin


def environment(**more: str) -> dict[str, str]:
    """Return the few variables a service may see, and `more`.

    No stray PGDATA or DEBUG may change what it does.
    """
    return {name: os.environ[name] for name in INHERITED if name in os.environ} | more


def spawn(
    name: str,
    command: list[str],
    log: Path,
    cwd: Path,
    env: dict[str, str],
    user: tuple[int, int] | None = None,
    stop_signal: signal.Signals = signal.SIGTERM,
) -> Child:
    """Start `command` in a process group of its own.

    Its output is appended to `log`; `user` is (uid, gid).

    Call it from a thread that lives as long as the child should: the kernel ends the child with that thread.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    identity = {"user": user[0], "group": user[1], "extra_groups": []} if user else {}
    with log.open("ab") as output:
        begin = output.tell()
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=cwd,
            env=env,
            start_new_session=True,
            preexec_fn=_end_with_parent(stop_signal),
            **identity,  # type: ignore[call-overload]
        )
    return Child(name, process, log, stop_signal, begin)


def wait_until(ready: Callable[[], bool], child: Child, seconds: float) -> None:
    """Return when `ready()`.

    Raises Failed if `child` ends or time runs out.
    """
    deadline = time.monotonic() + seconds
    while not ready():
        if child.process.poll() is not None:
            raise Failed(f"{child.name} ended while starting ({how_it_ended(child)}).", child.log)
        if time.monotonic() > deadline:
            raise Failed(f"{child.name} did not answer within {seconds:.0f} s.", child.log)
        time.sleep(POLL_SECONDS)


def how_it_ended(child: Child) -> str:
    """Its exit code, or the name of the signal that ended it."""
    code = child.process.returncode
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"


def stop(children: Iterable[Child], seconds: float = 20) -> None:
    """End each child and its group, in the order given.

    Ask, wait up to `seconds`, then kill.
    """
    for child in children:
        _signal_group(child.process.pid, child.stop_signal)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.process.wait(seconds)
        _signal_group(child.process.pid, signal.SIGKILL)
        child.process.wait()


def tail(log: Path, lines: int = 15) -> str:
    """The last lines of a log, or a word that there are none."""
    if not log.is_file():
        return "  (it wrote nothing)"
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 20_000))
        found = file.read().decode("utf-8", "replace").strip().splitlines()
    return "\n".join(f"  {line}" for line in found[-lines:]) or "  (it wrote nothing)"


def identity(pid: int) -> dict[str, float]:
    """Return what tells a process from a later one of the same number.

    That is its pid and start (seconds since the machine's).
    """
    import psutil

    return {"pid": pid, "started": _started(psutil.Process(pid))}


def find(known: dict[str, float]) -> Any:
    """Find the running process (a psutil.Process) that `identity()` described.

    None when it has ended.
    """
    import psutil

    try:
        process = psutil.Process(int(known["pid"]))
        same = abs(_started(process) - known["started"]) < SAME_START_SECONDS
        return process if same and process.status() != psutil.STATUS_ZOMBIE else None
    except psutil.NoSuchProcess:
        return None


def end(process: Any, stop_signal: signal.Signals, seconds: float = 20) -> None:
    """End a psutil.Process of another parent, and its children.

    Ask, wait up to `seconds`, then kill.
    """
    import psutil

    with contextlib.suppress(psutil.NoSuchProcess):
        family = [process, *process.children(recursive=True)]
        process.send_signal(stop_signal)
        _, left = psutil.wait_procs(family, timeout=seconds)
        for one in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
        psutil.wait_procs(left, timeout=seconds)


def _started(process: Any) -> float:
    """Compute seconds from the machine's start to the process's.

    These stay the same when somebody sets the clock.
    """
    import psutil

    return float(process.create_time()) - float(psutil.boot_time())


def _signal_group(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS: EPERM for a group of zombies
        os.killpg(group, number)


def _end_with_parent(number: signal.Signals) -> Callable[[], None] | None:
    """Have the kernel send `number` to the new child when the parent ends.

    Run in the child. It holds however the parent ends. Linux only.
    """
    if not sys.platform.startswith("linux"):
        return None
    prctl, parent = ctypes.CDLL(None).prctl, os.getpid()

    def prepare() -> None:
        prctl(PR_SET_PDEATHSIG, int(number), 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return prepare
