"""One sample of an export: what the ledger says of it, as a layout takes it.

The recording that people heard is with it.
"""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from lsloop.ledger.exports import Entry
from lsloop.media.paths import BadPath, RawData
from lsloop.media.sound import duration
from lsloop.records import Reviewed, Sample
from lsloop.task_types import Kind


class NoMedia(Exception):
    """The reason why the media file of a sample cannot be exported."""


@dataclass(frozen=True)
class Making:
    """The way samples of a task type are made ready.

    With a label config, they get their regions, too.
    """

    kind: Kind
    raw_dir: str
    raw: RawData
    label_config: str | None

    def reviewed(self, entry: Entry, document: dict[str, Any]) -> Reviewed:
        """The sample of an entry, whose document was parsed.

        Raises NoMedia, and what its values make the kind raise.
        """
        media, answers = document["media"], document["answers"]
        value = {name: answer["value"] for name, answer in answers.items()}
        file = self._media(entry, media) if media else None
        sample = Sample(
            UUID(entry.sample_id),
            document["external_id"],
            document["reads"] | value,
            *(
                (media["path"], media["md5"], _duration(media, file), media["width"], media["height"])
                if media
                else ()
            ),
        )
        for answer in answers.values():
            value |= answer["remarks"]
        result = tuple(self.kind.to_result(value, self.label_config, sample)) if self.label_config else ()
        rows = self.kind.training_rows(sample, value)
        return Reviewed(entry.sample_id, entry.split, entry.arrival, document, rows, file, result)

    def _media(self, entry: Entry, media: dict[str, Any]) -> str:
        """The media file, which must be the one that people heard or saw."""
        try:
            found = self.raw.find(media["path"])
            path = os.path.join(self.raw_dir, found.path)  # of a link the link: its name says what it is
            if _changed(found.size, found.mtime_ns, entry) and _md5(path) != media["md5"]:
                raise NoMedia(f"its media file {media['path']} changed since it was ingested.")
        except BadPath as why:
            raise NoMedia(f"{why}.") from why
        except OSError as error:
            raise NoMedia(f"its media file {media['path']} cannot be read: {error.strerror}.") from error
        return path


def _changed(size: int, mtime_ns: int, entry: Entry) -> bool:
    """Return whether a file's size or time changed since its content was looked at."""
    return (size, mtime_ns) != (entry.media_bytes, entry.media_mtime_ns)


def check_copy(entry: Entry, media: dict[str, Any], source: str, target: str) -> None:
    """Raise NoMedia, and remove the copy, of a file written to while copied."""
    found = os.stat(source)
    if _changed(found.st_size, found.st_mtime_ns, entry) and _md5(target) != media["md5"]:
        os.unlink(target)
        raise NoMedia(f"its media file {media['path']} was written to while it was exported.")


def unreadable(raw: RawData, path: str) -> str | None:
    """Say why a media file cannot be read to its end; None for one that can."""
    try:
        _md5(raw.find(path).real)
    except BadPath as why:
        return str(why)
    except OSError as error:
        return error.strerror or type(error).__name__
    return None


def _duration(media: dict[str, Any], file: str | None) -> float | None:
    """The duration: what was measured at the ingest, or else now.

    It is measured now for a kind of file that the ingest did not know then.
    """
    known: float | None = media["duration"]
    return duration(Path(file)) if known is None and file else known


def _md5(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
