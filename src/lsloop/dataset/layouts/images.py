"""Folder per split with `images/` and `tasks.json`, as Label Studio exports tasks.

That is what the converter of Label Studio reads.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson

from lsloop.dataset.layouts import Place, Unfit, Write, is_for_training
from lsloop.errors import UsageError
from lsloop.records import Reviewed

NAME = "images/1"
CONVERTED = ""


def unit(entry: dict[str, Any]) -> str | None:
    """The folder of its split."""
    return str(entry["split"]) if is_for_training(entry) else None


@contextmanager
def writer(folder: Path, task_type: str, place: Place) -> Iterator[Write]:
    """Write images and tasks."""
    tasks: dict[str, list[dict[str, Any]]] = {}

    def write(sample: Reviewed) -> None:
        if sample.media is None:
            raise Unfit(
                "It has no image.",
                UsageError(f"{task_type} has no images.", "Use another --format, or another --task-type."),
            )
        there, name = folder / str(sample.split), f"images/{sample.sample_id}{sample.media_suffix}"
        (there / "images").mkdir(parents=True, exist_ok=True)
        task = {
            "id": sample.arrival,
            "data": {"image": name},
            "annotations": [{"result": list(sample.result)}],
        }
        orjson.dumps(task)  # raises here for what cannot be written
        place(sample.media, str(there / name))
        tasks.setdefault(str(sample.split), []).append(task)

    yield write
    for split, found in tasks.items():
        (folder / split / "tasks.json").write_bytes(orjson.dumps(found, option=_PRETTY))


_PRETTY = orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE
