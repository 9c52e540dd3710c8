"""Manifest that speech toolkits read (NeMo and others).

One folder per split with its recordings: a line has `audio_filepath` (relative to the manifest), `duration`
in seconds and `text`.

Written from the ledger: Label Studio's own converter opens each file as WAV and leaves out what it cannot
read.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lsloop.dataset.layouts import Folders, Place, Unfit, Write, is_for_training
from lsloop.errors import UsageError
from lsloop.records import Reviewed

NAME = "asr/1"


def unit(entry: dict[str, Any]) -> str | None:
    """The folder of its split."""
    return str(entry["split"]) if is_for_training(entry) else None


@contextmanager
def writer(folder: Path, task_type: str, place: Place) -> Iterator[Write]:
    """Write lines and recordings."""
    nothing = UsageError(
        f"{task_type} has no recordings with transcripts.", "Use another --format, or another --task-type."
    )
    with Folders(folder, "manifest.json") as folders:

        def write(sample: Reviewed) -> None:
            row = sample.rows[0] if len(sample.rows) == 1 else {}
            if sample.media is None or not {"duration", "transcript"} <= row.keys():
                raise Unfit("It is no recording with a transcript.", nothing)
            if not row["duration"]:
                raise Unfit(
                    "How long it lasts is not known: it is no sound that can be decoded, or a damaged one."
                )
            audio, media = f"{sample.sample_id}{sample.media_suffix}", sample.media
            told = {"audio_filepath": audio, "duration": row["duration"], "text": row["transcript"]}
            folders.add(str(sample.split), [told], lambda there: place(media, str(there / audio)))

        yield write
