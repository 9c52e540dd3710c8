"""What an export is asked for, and what it answers."""

import hashlib
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lsloop.dataset import indexes
from lsloop.dataset.layouts import Layout
from lsloop.errors import UsageError
from lsloop.task_types import Kind


@dataclass(frozen=True)
class Wanted:
    """What to export, and how.

    `limit` bounds how many samples are exported for the first time.
    """

    target: Path
    raw_dir: Path
    project_dir: Path
    layout: Layout
    kinds: dict[str, Kind]  # by task type
    validation: float
    test: float
    limit: int | None = None
    again: bool = False  # also write what is there already
    with_manifest: bool = True
    label_configs: dict[str, str] = field(
        default_factory=dict
    )  # by task type, where the layout needs results
    also: Callable[[], Sequence[Path]] = tuple  # folders that links in raw_dir may lead to: DVC's cache

    @property
    def destination(self) -> str:
        return f"{platform.node()}:{self.target}"

    def layout_of(self, name: str) -> str:
        """The layout of a task type's folder.

        It has the label config where that says what is written.
        """
        config = self.label_configs.get(name)
        if config is None:
            return self.layout.NAME
        return f"{self.layout.NAME} {hashlib.sha256(config.encode()).hexdigest()[:16]}"


@dataclass
class Part:
    """What an export did for one task type.

    `waiting` are reviewed but beyond the limit; `problems` were left out.
    """

    samples: int = 0
    added: int = 0
    changed: int = 0
    removed: int = 0
    written: int = 0
    waiting: int = 0
    problems: list[str] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)  # by sample id: why

    def leave_out(self, sample_id: str, name: str, reason: str) -> None:
        """Leave out one sample that could not be exported; the others are."""
        self.problems.append(f"{name}: {reason}")
        self.left_out[sample_id] = reason


@dataclass
class Exported:
    """What an export did, or would do. `replaced`: the folder is another one now."""

    target: Path
    task_types: dict[str, Part]
    replaced: bool = False
    manifest_sha256: str | None = None


def require_replaceable(wanted: Wanted) -> None:
    """Raise UsageError where the target holds, or is, what no export made."""
    target, kept = wanted.target, (wanted.project_dir, wanted.raw_dir)
    if any(folder.is_relative_to(target) for folder in kept) or target.is_relative_to(wanted.raw_dir):
        raise UsageError(
            f"{target} is no place for an export: more is kept there.", "Name a folder only for exports."
        )
    if not target.exists():
        return
    if not target.is_dir():
        raise UsageError(f"{target} is a file.", "Name a folder.")
    there = [path for path in target.iterdir() if not path.name.startswith(".")]
    if there and not any(target.glob(f"*/{indexes.FILE}")):
        raise UsageError(
            f"{target} holds {there[0].name}, which no export made.", "Name an empty folder, or a new one."
        )
    for name in wanted.kinds:
        folder = target / name
        if folder.exists() and any(folder.iterdir()) and not (folder / indexes.FILE).is_file():
            raise UsageError(f"{folder} holds what no export made.", "Move it away, or name another folder.")
