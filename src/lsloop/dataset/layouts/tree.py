"""Folder per sample: the media file, JSON files, `metadata.json`.

Each accepted field has a JSON file.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson

from lsloop.dataset.layouts import Place, Write
from lsloop.media import kind_of
from lsloop.records import Reviewed

NAME = "tree/1"


def unit(entry: dict[str, Any]) -> str | None:
    """The sample's own folder; gold has one, too, and is marked."""
    return str(entry["sample_id"])


@contextmanager
def writer(folder: Path, task_type: str, place: Place) -> Iterator[Write]:
    """Write samples, each into a new folder."""

    def write(sample: Reviewed) -> None:
        there = f"{folder}/{sample.sample_id}"
        os.mkdir(there)
        try:
            _fill(there, sample, place)
        except BaseException:
            shutil.rmtree(there)
            raise

    yield write


def _fill(there: str, sample: Reviewed, place: Place) -> None:
    for field, answer in sample.document["answers"].items():
        _write(f"{there}/{field}.json", {"field": field, **answer})
    name = _media_name(sample)
    if sample.media:
        place(sample.media, f"{there}/{name}")
    _write(f"{there}/metadata.json", _metadata(sample, name))


def _metadata(sample: Reviewed, media_name: str) -> dict[str, Any]:
    document = sample.document
    said = {"answers": {field: answer["revision"] for field, answer in document["answers"].items()}}
    media = {**document["media"], "file": media_name} if document["media"] else None
    return {**document, **said, "split": sample.split, "media": media, **_learnt(sample.rows)}


def _learnt(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what is learnt from a sample: a row, or a list where it is not one."""
    return {"training_row": rows[0]} if len(rows) == 1 else {"training_rows": rows}


def _media_name(sample: Reviewed) -> str:
    return f"{kind_of(sample.media_suffix)}{sample.media_suffix}"


def _write(path: str, content: dict[str, Any]) -> None:
    # Without a file object, which asks the system three more questions: a third of what a small file takes.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        left = orjson.dumps(content, option=_PRETTY)
        while left:
            left = left[os.write(descriptor, left) :]
    finally:
        os.close(descriptor)


_PRETTY = orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE
