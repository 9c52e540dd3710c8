"""Tar files of up to a thousand samples, as WebDataset reads them.

Each sample is `<sample_id>.json` and `<sample_id>.<media>`.

For data sets that DVC and file systems are slow with as small files. A sample's shard follows from when it
came in, so that a change writes one shard anew.
"""

import io
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lsloop.dataset.layouts import Place, Write, is_for_training, line
from lsloop.records import Reviewed

NAME = "shards/1"
SAMPLES = 1000


def unit(entry: dict[str, Any]) -> str | None:
    """The tar file."""
    return _name(entry["split"], entry["arrival"]) if is_for_training(entry) else None


def _name(split: str | None, arrival: int) -> str:
    return f"{split}-{arrival // SAMPLES:06}.tar"


@contextmanager
def writer(folder: Path, task_type: str, place: Place) -> Iterator[Write]:
    """Write samples into tar files, of which one per split is open at a time."""
    opened: dict[str | None, tuple[str, tarfile.TarFile]] = {}

    def shard(sample: Reviewed) -> tarfile.TarFile:
        name = _name(sample.split, sample.arrival)
        before = opened.get(sample.split)
        if before and before[0] == name:
            return before[1]
        if before:
            before[1].close()
        made = tarfile.open(folder / name, "x", format=tarfile.PAX_FORMAT)  # noqa: SIM115 - closed below
        opened[sample.split] = name, made
        return made

    def write(sample: Reviewed) -> None:
        tar = shard(sample)
        rows = [{name: value for name, value in row.items() if name != "media"} for row in sample.rows]
        row = line(rows[0] if len(rows) == 1 else rows)
        with _all_or_nothing(tar):
            tar.addfile(_info(f"{sample.sample_id}.json", len(row)), io.BytesIO(row))
            if sample.media:
                with open(sample.media, "rb") as media:
                    size = media.seek(0, io.SEEK_END)
                    media.seek(0)
                    tar.addfile(_info(f"{sample.sample_id}{sample.media_suffix}", size), media)

    try:
        yield write
    finally:
        for _, tar in opened.values():
            tar.close()


@contextmanager
def _all_or_nothing(tar: tarfile.TarFile) -> Iterator[None]:
    """Take out again what was begun of a sample when it fails."""
    file: Any = tar.fileobj
    began, count = tar.offset, len(tar.getmembers())
    try:
        yield
    except BaseException:
        file.seek(began)
        file.truncate()
        tar.offset = began
        del tar.getmembers()[count:]
        raise


def _info(name: str, size: int) -> tarfile.TarInfo:
    """Describe a file without owner and time: the same content is the same file."""
    info = tarfile.TarInfo(name)
    info.size = size
    return info
