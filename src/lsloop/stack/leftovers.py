"""What a crash left behind: processes that a killed `lsloop up` had started."""

import signal
from pathlib import Path

from lsloop.stack import children, postgres, state


def clear(here: Path) -> bool:
    """End the recorded processes that still run, the server before what it uses; whether there were any.

    Only the one who holds the folder may call it: then nobody else runs them.
    """
    found = False
    for name, known in reversed(state.read(here).get("pids", {}).items()):
        process = None if name == "supervisor" else children.find(known)
        if process is not None:
            children.end(process, signal.Signals(known["signal"]))
            found = True
    return postgres.clear_leftover(here / "postgres") or found
