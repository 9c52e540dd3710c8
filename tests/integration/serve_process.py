"""`lsloop serve` as a process of its own."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

NOWHERE = "postgresql://me:hunter2@127.0.0.1:1/x"


@dataclass
class Serving:
    """A server that has said where it is."""

    url: str
    project: Path
    secret: str
    process: subprocess.Popen[str]
    log: Path


def environment(secret: str, database_url: str = NOWHERE) -> dict[str, str]:
    ours = {
        "LSLOOP_SECRET": secret,
        "DATABASE_URL": database_url,
        "LABEL_STUDIO_URL": "http://localhost:8080",
    }
    return {**os.environ, **ours}


@contextmanager
def serve(project: Path, *args: str) -> Iterator[Serving]:
    """Run it on a free port until the end of the block."""
    (project / "data" / "raw").mkdir(parents=True, exist_ok=True)
    secret, log = "a key for one process", project / "serve.log"
    command = [sys.executable, "-m", "lsloop", "-C", str(project), "serve", "--port", "0", *args]
    with log.open("w") as told:
        process = subprocess.Popen(
            command, env=environment(secret), stdout=subprocess.PIPE, stderr=told, text=True
        )
    assert process.stdout
    try:
        url = process.stdout.readline().split()[2]
        yield Serving(url, project, secret, process, log)
    finally:
        process.terminate()
        process.wait(timeout=30)
        process.stdout.close()
