"""Locks that a killed DVC leaves, and who holds what is locked.

DVC keeps a list of who reads and writes what in `.dvc/tmp/rwlock`. It takes out processes that are gone, but
not one whose number another process has by now, and a list that was cut off while it was written stops every
later command.
"""

import fcntl
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any


def release(project_dir: Path) -> bool:
    """Take out of DVC's list what no DVC holds; whether there was any such."""
    folder = _folder(project_dir)
    if folder is None or not (folder / "rwlock").is_file():
        return False
    with (folder / "rwlock.lock").open("a") as guard:  # DVC's own guard of the list
        try:
            fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return _release(folder / "rwlock", project_dir)


def holder(project_dir: Path) -> str:
    """The DVC that is at work in the project, for people; empty when none is found."""
    return next((f"process {one.pid} ({' '.join(one.info['cmdline'])})" for one in _at_work(project_dir)), "")


def _release(path: Path, project_dir: Path) -> bool:
    try:
        was = json.loads(path.read_text(encoding="utf-8"))
        now = _only(_is_dvc, was)
    except (ValueError, TypeError, KeyError, AttributeError):  # cut off, or written over
        if holder(project_dir):
            return False
        path.unlink()
        return True
    half = path.with_suffix(".half-made")
    half.write_text(json.dumps(now), encoding="utf-8")
    half.replace(path)
    return bool(now != was)


def _only(is_held: Callable[[int], bool], locks: dict[str, Any]) -> dict[str, Any]:
    """The list with those holders alone for whom `is_held`."""
    read = {
        what: [one for one in who if is_held(int(one["pid"]))] for what, who in locks.get("read", {}).items()
    }
    write = {what: who for what, who in locks.get("write", {}).items() if who and is_held(int(who["pid"]))}
    return {"read": {what: who for what, who in read.items() if who}, "write": write}


def _is_dvc(pid: int) -> bool:
    import psutil

    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and _names_dvc(process.cmdline())
    except psutil.NoSuchProcess:
        return False
    except psutil.Error:  # somebody else's: it may be one
        return True


def _names_dvc(command: list[str]) -> bool:
    return any(os.path.basename(word) == "dvc" for word in command)


def _at_work(project_dir: Path) -> Iterator[Any]:
    import psutil

    folder = _folder(project_dir)
    for one in psutil.process_iter(["cmdline"]):
        try:
            if (
                folder
                and _names_dvc(one.info["cmdline"] or [])
                and Path(one.cwd()).is_relative_to(folder.parents[1])
            ):
                yield one
        except psutil.Error:
            continue


def _folder(project_dir: Path) -> Path | None:
    """DVC's folder for what is temporary."""
    whole = project_dir.resolve()
    return next(
        (folder / ".dvc" / "tmp" for folder in (whole, *whole.parents) if (folder / ".dvc").is_dir()), None
    )
