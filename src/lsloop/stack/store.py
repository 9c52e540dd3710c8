"""Label Studio's SQLite store as a file: copied while in use, and checked."""

import shutil
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from lsloop.errors import LsloopError
from lsloop.stack.studio import ADMIN, MADE_BY
from lsloop.stack.studio_env import STORE

BESIDE = (ADMIN, MADE_BY, "media")
"""What belongs to a store and lies beside it: the account, the version, what people uploaded."""

Counts = dict[str, int]
"""Rows by table."""


def copy(data: Path, target: Path) -> Counts:
    """Copy a store that may be in use, whole as of one moment.

    What lies beside it is copied, too. Returns how many rows it has. Raises LsloopError where the copy is
    damaged.
    """
    target.mkdir(parents=True, exist_ok=True)
    try:
        _copy_store(data, target)
    except sqlite3.Error as error:
        raise LsloopError(
            f"Label Studio's store could not be copied to {target}: {error}.", "Make room, then run again."
        ) from error
    for name in BESIDE:
        if (data / name).is_dir():
            shutil.copytree(data / name, target / name, dirs_exist_ok=True, copy_function=_copy_if_there)
        elif (data / name).is_file():
            shutil.copy2(data / name, target / name)
    return look_through(target)


def _copy_store(data: Path, target: Path) -> None:
    with (
        closing(sqlite3.connect(_read_only(data), uri=True, timeout=60)) as source,
        closing(sqlite3.connect(target / STORE)) as copied,
    ):
        source.backup(copied)
        copied.execute("PRAGMA journal_mode = DELETE")  # one file, nothing beside it


def _copy_if_there(source: str, target: str) -> None:
    """Copy a file; one that was deleted meanwhile is missed by nobody."""
    with suppress(FileNotFoundError):
        shutil.copy2(source, target)


def _read_only(data: Path) -> str:
    return f"{(data / STORE).absolute().as_uri()}?mode=ro"  # a path may hold ? and #


def look_through(data: Path) -> Counts:
    """Count the rows of each table.

    Raises LsloopError where SQLite finds the store damaged.
    """
    try:
        with closing(sqlite3.connect(_read_only(data), uri=True)) as store:
            (said,) = store.execute("PRAGMA integrity_check(1)").fetchone()
            if said != "ok":
                raise sqlite3.DatabaseError(said)
            tables = [
                name for (name,) in store.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            ]
            return {
                name: store.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0] for name in sorted(tables)
            }
    except sqlite3.DatabaseError as error:
        problem = f"The copy of Label Studio's store is damaged: {error}"
        raise LsloopError(problem, "Look at the disk, then run again.") from error
