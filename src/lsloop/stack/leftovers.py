"""Remains of a crash: processes of a killed `lsloop up`, and half-written files."""

import signal
from pathlib import Path

from lsloop.stack import children, files, postgres, state


def clear(here: Path) -> bool:
    """End the recorded processes that still run, the server before what it uses.

    Returns whether there were any. Half-written files go, too. Only the one who holds the folder may call it:
    then nobody else runs them.
    """
    found = False
    for name, known in reversed(state.read(here).get("pids", {}).items()):
        process = None if name == "supervisor" else children.find(known)
        if process is not None:
            children.end(process, signal.Signals(known["signal"]))
            found = True
    for folder in (here, here / "postgres", here / "label-studio"):
        files.clear_half_made(folder)
    return postgres.clear_leftover(here / "postgres") or found
