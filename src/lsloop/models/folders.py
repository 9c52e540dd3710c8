"""Model versions as folders of the project, each written once and never changed.

Knows no torch.
"""

import hashlib
from collections.abc import Collection
from pathlib import Path

from lsloop import models
from lsloop.dataset import trees
from lsloop.errors import LsloopError, UsageError


def fingerprint(folder: Path) -> str:
    """The hash that tells one model folder from another.

    It is that of its weights; without such files, of all that it holds.
    """
    try:
        return models.fingerprint(folder)
    except UsageError:
        files = sorted(file for file in folder.rglob("*") if file.is_file())
        if not files:
            raise
    told = "".join(f"{file.relative_to(folder).as_posix()} {models.sha256(file)}\n" for file in files)
    return hashlib.sha256(told.encode()).hexdigest()[:12]


def keep(trained: Path, folder: Path) -> None:
    """Put a trained model where versions are, in one step.

    One that is there already is the same, and stays.
    """
    if folder.is_dir():
        return
    trees.mend(folder)
    building = trees.building(folder)
    building.parent.mkdir(parents=True, exist_ok=True)
    trees.Placer().carry(trained, building)
    building.rename(folder)


def is_whole(folder: Path, weights: str) -> bool:
    """Say whether a folder holds the model whose weights have this fingerprint."""
    try:
        return folder.is_dir() and fingerprint(folder) == weights
    except LsloopError:
        return False


def require_whole(version: str, folder: Path, weights: str) -> None:
    """Raise UsageError for a version whose files are not there or changed.

    Changed: they are not those that were registered.
    """
    if not folder.is_dir():
        raise UsageError(
            f"The files of the model version {version} are not at {folder}.",
            "Run `dvc pull`; for an older version, check out the commit that had it first.",
        )
    if not is_whole(folder, weights):
        raise UsageError(
            f"The model version {version} was altered: its weights are not those that were registered.",
            f"Remove {folder} and run `dvc checkout`, or `lsloop models rollback`.",
        )


def prune(folder: Path, wanted: Collection[str]) -> list[str]:
    """Remove all versions but the wanted from a task type's folder.

    Returns the names of those removed. DVC's cache keeps them.
    """
    gone = sorted(one.name for one in folder.iterdir() if one.is_dir() and one.name not in wanted)
    for name in gone:
        trees.remove(folder / name)
    return gone
