"""Layout for Hugging Face's `load_dataset`, a folder per split.

`load_dataset("audiofolder"|"imagefolder", data_dir=…/dataset)` reads `metadata.jsonl` and the media files it
names. Without media: `rows.jsonl`, which `load_dataset(…/dataset)` reads.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lsloop.dataset.layouts import Folders, Place, Write, is_for_training
from lsloop.records import Reviewed

NAME = "hf/1"


def unit(entry: dict[str, Any]) -> str | None:
    """Return the folder of the sample's split.

    It is apart from the index, which the loader would take for data.
    """
    return f"dataset/{entry['split']}" if is_for_training(entry) else None


@contextmanager
def writer(folder: Path, task_type: str, place: Place) -> Iterator[Write]:
    """Write rows and media."""
    with Folders(folder, "metadata.jsonl") as with_media, Folders(folder, "rows.jsonl") as without:

        def write(sample: Reviewed) -> None:
            rows, there = [dict(row) for row in sample.rows], f"dataset/{sample.split}"
            if sample.media is None or None in [row.pop("media", None) for row in rows]:
                without.add(there, rows)
                return
            name, media = f"{sample.sample_id}{sample.media_suffix}", sample.media
            named = [{"file_name": name, **row} for row in rows]
            with_media.add(there, named, lambda folder: place(media, str(folder / name)))

        yield write
