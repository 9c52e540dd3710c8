"""One sample of an export: what the ledger says of it, as a layout takes it, with the recording that people heard."""

import hashlib
import os
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from lsloop.ledger.exports import Entry
from lsloop.records import Reviewed, Sample
from lsloop.task_types import Kind


class NoMedia(Exception):
    """Why the media file of a sample cannot be exported."""


@dataclass(frozen=True)
class Making:
    """How samples of a task type are made ready. With a label config, they get their regions, too."""

    kind: Kind
    raw_dir: str
    label_config: str | None

    def reviewed(self, entry: Entry, document: dict[str, Any]) -> Reviewed:
        """The sample of an entry, whose document was parsed. Raises NoMedia."""
        media, answers = document["media"], document["answers"]
        value = {name: answer["value"] for name, answer in answers.items()}
        sample = Sample(
            UUID(entry.sample_id),
            document["external_id"],
            document["reads"] | value,
            *((media["path"], media["md5"], media["duration"], media["width"], media["height"]) if media else ()),
        )
        for answer in answers.values():
            value |= answer["remarks"]
        file = self._media(entry, document["external_id"], media) if media else None
        result = tuple(self.kind.to_result(value, self.label_config, sample)) if self.label_config else ()
        row = self.kind.training_row(sample, value)
        return Reviewed(entry.sample_id, entry.split, entry.arrival, document, row, file, result)

    def _media(self, entry: Entry, external_id: str, media: dict[str, Any]) -> str:
        """The media file, which must be the one that people heard or saw."""
        path = os.path.join(self.raw_dir, media["path"])
        name = f"{external_id}: its media file {media['path']}"
        try:
            found = os.stat(path)
            same = (found.st_size, found.st_mtime_ns) == (entry.media_bytes, entry.media_mtime_ns)
            if not same and _md5(path) != media["md5"]:
                raise NoMedia(f"{name} changed since it was ingested.")
        except OSError as error:
            raise NoMedia(f"{name} cannot be read: {error.strerror}.") from error
        return path


def _md5(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
