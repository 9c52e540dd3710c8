"""A project folder whose `lsloop up` is the real one, in processes of its own."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from lsloop.stack import children, ports

OURS = (
    "DATABASE_URL",
    "LABEL_STUDIO_URL",
    "LABEL_STUDIO_API_KEY",
    "AUDIO_SERVER_URL",
    "MEDIA_URL",
    "LSLOOP_SECRET",
    "LSLOOP_API_TOKEN",
    "LSLOOP_WEBHOOK_URL",
    "LSLOOP_WEBHOOK_SECRET",
)


@dataclass
class Project:
    folder: Path
    env: dict[str, str]
    prefix: list[str] = field(default_factory=list)

    @property
    def state(self) -> Path:
        return self.folder / ".lsloop"

    @property
    def stack(self) -> dict[str, Any]:
        path = self.state / "stack.json"
        found: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
        return found

    def command(self, *args: str) -> list[str]:
        return [*self.prefix, sys.executable, "-m", "lsloop", "-C", str(self.folder), *args]

    def lsloop(self, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
        how: dict[str, Any] = {"env": self.env | env, "cwd": "/", "timeout": 300}
        return subprocess.run(self.command(*args), capture_output=True, text=True, **how)

    def keep_ports(self, **given: int) -> None:
        """The ports that it remembers from last time."""
        self.state.mkdir(exist_ok=True)
        (self.state / "stack.json").write_text(json.dumps({"ports": given}))

    def processes(self) -> dict[str, psutil.Process]:
        """Everything that runs: what is written down, and below it."""
        known = {name: children.find(one) for name, one in self.stack.get("pids", {}).items()}
        return {name: process for name, process in known.items() if process}

    def family(self) -> list[psutil.Process]:
        return [one for each in self.processes().values() for one in (each, *each.children(recursive=True))]

    @contextmanager
    def foreground(self) -> Iterator[subprocess.Popen[bytes]]:
        """`lsloop up` in the foreground, ready."""
        with (self.folder / "up.out").open("wb") as output:
            process = subprocess.Popen(
                self.command("up"), env=self.env, cwd="/", stdout=output, stderr=subprocess.STDOUT
            )
        try:
            wait_for(lambda: self.is_ready(process.pid) or process.poll() is not None, 120)
            assert process.poll() is None, self.said()
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            process.wait(60)

    def is_ready(self, supervisor: int) -> bool:
        found = self.stack
        return bool(found.get("ready")) and found["pids"]["supervisor"]["pid"] == supervisor

    def said(self) -> str:
        return (self.folder / "up.out").read_text()


def make(folder: Path, **env: str) -> Project:
    """A project folder whose services take any free ports, so that tests never meet a stack in daily use."""
    folder.mkdir(exist_ok=True)
    clean = {name: value for name, value in os.environ.items() if name not in OURS}
    project = Project(folder, clean | env)
    project.keep_ports(postgres=ports.choose([]), label_studio=ports.choose([]), server=ports.choose([]))
    return project


def wait_for(condition: Callable[[], Any], seconds: float = 30) -> None:
    """Return when the condition holds; fail the test when it does not within so many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"did not happen within {seconds} s"
        time.sleep(0.05)


def kill(processes: list[psutil.Process]) -> None:
    """SIGKILL to all of them, and wait until they are gone; some end by themselves as the others go."""
    for one in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            one.kill()
    wait_for(lambda: gone(processes))


def gone(processes: list[psutil.Process]) -> bool:
    return not any(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in processes)


@contextmanager
def taken_port() -> Iterator[int]:
    """A port on which somebody else listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]
