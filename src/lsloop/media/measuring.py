"""Measures of a media file, from its header: how large or long it is.

They also say whether it can be shown to people at all.
"""

import os
import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from lsloop.media import HEAD, UNKNOWN, type_of
from lsloop.media.sound import duration


@dataclass(frozen=True)
class Measured:
    """Record of what is known of a file.

    `problem` says why nobody can see or hear it; None where they can, or nobody knows.

    `width` and `height` are of the picture as it is shown, in pixels; `duration` is in seconds.
    """

    media_type: str
    duration: float | None = None
    width: int | None = None
    height: int | None = None
    frame_rate: float | None = None
    frames: int | None = None
    pages: int | None = None
    problem: str | None = None


def measure(path: Path, name: str | None = None) -> Measured:
    """Measure a file.

    `name` is what it is called, where its path says something else. Raises OSError.
    """
    with path.open("rb") as file:
        media_type = type_of(name or path.name, file.read(HEAD))
    found = Measured(media_type)
    try:
        return _OF[media_type.partition("/")[0] if media_type != UNKNOWN else ""](path, found)
    except _Damaged as why:
        return replace(found, problem=str(why))


class _Damaged(Exception):
    """Reason why a file cannot be shown."""


_UNPLAYED = ("audio/mp4", "audio/aac", "audio/webm")
"""Sound that browsers play and nothing here decodes."""


def _sound(path: Path, found: Measured) -> Measured:
    seconds = duration(path)
    if seconds is None and found.media_type not in _UNPLAYED:
        raise _Damaged("it has no sound that can be decoded")
    return replace(found, duration=seconds)


def _picture(path: Path, found: Measured) -> Measured:
    from PIL import Image, UnidentifiedImageError

    warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
    try:
        with Image.open(path) as picture:
            width, height = picture.size
            if picture.getexif().get(_ORIENTATION) in _LYING:
                width, height = height, width
            if not _ends_as_it_should(path, picture.format):
                picture.load()
    except UnidentifiedImageError as error:
        raise _Damaged("it is no picture that can be decoded") from error
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise _Damaged(f"the picture is damaged: {error}") from error
    return replace(found, width=width, height=height)


_ORIENTATION = 0x0112  # of EXIF
_LYING = (5, 6, 7, 8)
"""Orientations in which a picture is shown turned by a quarter."""

_ENDINGS = {"JPEG": b"\xff\xd9", "PNG": b"IEND", "GIF": b";"}
_TAIL = 4096  # bytes; cameras write more behind a picture's end, and then it is decoded to be sure


def _ends_as_it_should(path: Path, form: str | None) -> bool:
    """Tell whether the end of a picture is there.

    One that was cut off still says its size at its beginning.
    """
    if form not in _ENDINGS:
        return True
    with path.open("rb") as file:
        file.seek(-min(_TAIL, os.fstat(file.fileno()).st_size), os.SEEK_END)
        return _ENDINGS[form] in file.read()


def _film(path: Path, found: Measured) -> Measured:
    os.environ.setdefault(
        "OPENCV_FFMPEG_LOGLEVEL", "-8"
    )  # what is wrong is said by name; FFmpeg says it in between
    import cv2

    cv2.setLogLevel(0)
    film = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    try:
        if not film.isOpened() or not film.grab():
            return _sound_of_a_film(path, found)
        rate, frames = film.get(cv2.CAP_PROP_FPS), int(film.get(cv2.CAP_PROP_FRAME_COUNT))
        size = (int(film.get(prop)) or None for prop in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
        width, height = size
    finally:
        film.release()
    counts = frames > 0 and rate > 0
    return replace(
        found, width=width, height=height, frame_rate=rate if rate > 0 else None,
        frames=frames if frames > 0 else None, duration=frames / rate if counts else None,
    )  # fmt: skip


def _sound_of_a_film(path: Path, found: Measured) -> Measured:
    """A container of films may hold sound alone."""
    with path.open("rb") as file:
        head = file.read(2**20)
    if any(sound in head for sound in (b"soun", b"A_OPUS", b"A_VORBIS", b"A_AAC")):
        return replace(found, duration=duration(path))
    raise _Damaged("it has no frame that can be decoded")


def _pages(path: Path, found: Measured) -> Measured:
    import pypdfium2

    with _ONE_AT_A_TIME:
        try:
            document = pypdfium2.PdfDocument(path)
        except pypdfium2.PdfiumError as error:
            raise _Damaged(f"it is no PDF that can be opened: {error}") from error
        try:
            return replace(found, pages=len(document))
        finally:
            document.close()


_ONE_AT_A_TIME = threading.Lock()  # PDFium is not safe for threads


def _unknown(path: Path, found: Measured) -> Measured:
    """Recognise sound without a suffix by its content.

    Of anything else nothing is said.
    """
    return replace(found, duration=duration(path))


_OF: dict[str, Callable[[Path, Measured], Measured]] = {
    "audio": _sound, "image": _picture, "video": _film, "application": _pages,
    "text": lambda path, found: found, "": _unknown,
}  # fmt: skip
