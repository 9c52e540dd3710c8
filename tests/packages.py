"""Packages that bring kinds and model families, installed for a test: a module, and the entry points of a
distribution."""

from collections.abc import Mapping
from pathlib import Path

FAMILIES, KINDS = "lsloop.model_families", "lsloop.task_types"


def write(folder: Path, module: str, source: str, points: Mapping[str, Mapping[str, str]]) -> None:
    """A package of one module. `points`: by group, names and what in the module they stand for (empty: the
    module)."""
    (folder / f"{module}.py").write_text(source, encoding="utf-8")
    distribute(folder, module, points)


def distribute(folder: Path, module: str, points: Mapping[str, Mapping[str, str]]) -> None:
    """What pip leaves behind of a package with a module that is there."""
    info = folder / f"{module}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n", encoding="utf-8")
    lines = [
        line
        for group, names in points.items()
        for line in (
            f"[{group}]",
            *(f"{name} = {module}{':' * bool(what)}{what}" for name, what in names.items()),
        )
    ]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
