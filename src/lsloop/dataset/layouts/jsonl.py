"""Folder per split with `rows.jsonl`: a training row a line.

Its `media` is a path under data/raw.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lsloop.dataset.layouts import Folders, Place, Write, is_for_training
from lsloop.records import Reviewed

NAME = "jsonl/1"


def unit(entry: dict[str, Any]) -> str | None:
    """The folder of its split."""
    return str(entry["split"]) if is_for_training(entry) else None


@contextmanager
def writer(folder: Path, task_type: str, place: Place) -> Iterator[Write]:
    """Write rows."""
    with Folders(folder, "rows.jsonl") as folders:

        def write(sample: Reviewed) -> None:
            folders.add(str(sample.split), sample.rows)

        yield write
