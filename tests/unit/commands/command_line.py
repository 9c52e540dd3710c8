"""The command line in a process of its own, as a shell runs it."""

import os
import pty
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).parent

# The sample commands stand in for lsloop's own where a test needs one that fails in a certain way.
SAMPLES = (
    "import sys; from lsloop.commands import main; from sample_commands import ROWS;"
    " sys.exit(main(rows=ROWS))"
)


def command(args: Sequence[str], *, samples: bool = False) -> list[str]:
    return [sys.executable, *(["-c", SAMPLES] if samples else ["-m", "lsloop"]), *args]


def environment(**more: str) -> dict[str, str]:
    plain = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
    paths = os.pathsep.join(filter(None, [str(HERE), os.environ.get("PYTHONPATH")]))
    return {**plain, "PYTHONPATH": paths, "TERM": "xterm", "COLUMNS": "100", **more}


def run(*args: str, samples: bool = False, **more: str) -> subprocess.CompletedProcess[str]:
    """Run to the end; stdout and stderr are pipes."""
    return subprocess.run(
        command(args, samples=samples), env=environment(**more), capture_output=True, text=True, timeout=60
    )


def run_on_terminal(*args: str, **more: str) -> str:
    """Run a sample command on a terminal; everything it showed there."""
    ours, theirs = pty.openpty()
    child = subprocess.Popen(
        command(args, samples=True), env=environment(**more), stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    shown = b""
    while chunk := _read(ours):
        shown += chunk
    os.close(ours)
    child.wait(timeout=60)
    return shown.decode()


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:  # Linux: the other end is closed
        return b""
