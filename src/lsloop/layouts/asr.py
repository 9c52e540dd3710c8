"""The manifest that speech toolkits read (NeMo and others), one folder per split with its recordings: a line has
`audio_filepath` (relative to the manifest), `duration` in seconds and `text`.

Written from the ledger: Label Studio's own converter opens each file as WAV and leaves out what it cannot read.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lsloop.errors import UsageError
from lsloop.layouts import Folders, Place, Write, is_for_training
from lsloop.records import Reviewed

NAME = "asr/1"


def unit(entry: dict[str, Any]) -> str | None:
    """The folder of its split."""
    return str(entry["split"]) if is_for_training(entry) else None


@contextmanager
def writer(folder: Path, task_type: str, place: Place) -> Iterator[Write]:
    """Write lines and recordings. Raises UsageError for samples without recording or transcript."""
    with Folders(folder, "manifest.json") as folders:

        def write(sample: Reviewed) -> None:
            if sample.media is None or not {"duration", "transcript"} <= sample.row.keys():
                raise UsageError(
                    f"{task_type} has no recordings with transcripts.",
                    "Use another --format, or another --task-type.",
                )
            audio = f"{sample.sample_id}{sample.media_suffix}"
            row = {
                "audio_filepath": audio,
                "duration": sample.row["duration"],
                "text": sample.row["transcript"],
            }
            place(sample.media, str(folders.add(str(sample.split), row) / audio))

        yield write
