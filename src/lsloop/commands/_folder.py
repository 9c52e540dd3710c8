"""The project a command is about: the current folder, or the nearest project above it.

A project folder has a params.yaml with `task_types`, or the `.lsloop/stack.json` of a stack that ran there.
Any other params.yaml belongs to somebody else: DVC has files of that name, too.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from lsloop.errors import UsageError

_OURS = re.compile(rb"""^(?:\{\s*)?["']?task_types["']?\s*:""", re.MULTILINE)
_EMPTY = (
    "Put it back (`git checkout params.yaml`), or delete it: `lsloop init` writes one with every setting."
)
_LOOKED_AT = 1_000_000  # bytes; a larger params.yaml is not ours


def project(start: Path) -> Path:
    """The project that `start` lies in.

    Raises UsageError.

    Without any, it is `start` itself where the environment or `.env` names the services, as in a container.
    """
    if (found := nearest(start)) or _is_named_by_the_environment(start):
        return found or start
    raise not_a_project(start)


def of_a_stack(start: Path) -> Path:
    """Find the folder for `lsloop up`, likewise.

    It must not make a second stack because it was called in the wrong folder.
    """
    if (found := nearest(start)) or _is_named_by_the_environment(start, wholly=True):
        return found or start
    raise not_a_project(start)


def nearest(start: Path) -> Path | None:
    """Return the nearest project folder: `start` as it was given, or one above it.

    None when there is none.
    """
    found = next(_projects(start), None)
    if found is None or not _may_be_followed(found, start):
        return None
    return start if found == start.resolve() else found


def not_a_project(start: Path) -> UsageError:
    """Say what to do where no project is, or only somebody else's."""
    if found := next(_projects(start), None):
        return UsageError(
            f"The lsloop project above this folder belongs to another user: {found}.",
            f"If you trust its settings, name it: -C {found}.",
        )
    if found := next((folder for folder in _upwards(start) if _is_empty(folder / "params.yaml")), None):
        return UsageError(f"{found / 'params.yaml'} is empty.", _EMPTY)
    return UsageError(
        f"Not an lsloop project: {start.resolve()}, nor any folder above it.",
        "Go to your project folder or name it with -C, or make one with `lsloop init DIR`.",
    )


def _projects(start: Path) -> Iterator[Path]:
    return (folder for folder in _upwards(start) if _is_project(folder))


def _upwards(start: Path) -> tuple[Path, ...]:
    whole = start.resolve()
    return (whole, *whole.parents)


def _is_empty(file: Path) -> bool:
    try:
        return file.stat().st_size <= _LOOKED_AT and not file.read_bytes().strip()
    except OSError:  # not there, or not for us to read
        return False


def _may_be_followed(found: Path, start: Path) -> bool:
    """Tell whether the settings there are not a stranger's.

    They say, for one, where the token of Label Studio goes.
    """
    if not hasattr(os, "geteuid"):
        return True
    return found.stat().st_uid in {start.stat().st_uid, os.geteuid(), 0}


def _is_project(folder: Path) -> bool:
    try:
        if (folder / ".lsloop" / "stack.json").is_file():
            return True
        with (folder / "params.yaml").open("rb") as file:
            return bool(_OURS.search(file.read(_LOOKED_AT)))
    except OSError:  # not there, or not for us to read
        return False


def _is_named_by_the_environment(start: Path, *, wholly: bool = False) -> bool:
    from lsloop import config

    found = config.load(start).environment
    named = (found.database_url, found.label_studio_url)
    return all(named) if wholly else any(named)
