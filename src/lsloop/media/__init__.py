"""Media files: which kinds there are, by one table of suffixes, and how much sound can be decoded, by the content."""

from pathlib import Path, PurePosixPath
from typing import Any

# Not the system's table: that differs between machines, and knows types that a browser would run.
TYPES = {
    suffix: kind
    for kind, suffixes in {
        "audio/wav": ".wav",
        "audio/flac": ".flac",
        "audio/mpeg": ".mp3",
        "audio/ogg": ".ogg .oga .opus",
        "audio/aiff": ".aiff .aif .aifc",
        "audio/basic": ".au",
        "audio/mp4": ".m4a",
        "audio/aac": ".aac",
        "audio/webm": ".weba",
        "video/mp4": ".mp4 .m4v",
        "video/webm": ".webm",
        "video/quicktime": ".mov",
        "image/png": ".png",
        "image/jpeg": ".jpg .jpeg",
        "image/webp": ".webp",
        "image/gif": ".gif",
        "image/bmp": ".bmp",
        "image/tiff": ".tif .tiff",
        "application/pdf": ".pdf",
        "text/plain; charset=utf-8": ".txt",
    }.items()
    for suffix in suffixes.split()
}

_MUTE = ("image/", "application/", "text/")
_PACKED = {"FLAC", "OGG", "MP3", "MPEG"}
_PLAIN = ("PCM", "FLOAT", "DOUBLE", "ULAW", "ALAW")
"""Encodings in which a file's length says how much sound there is, unless it is packed; else only decoding does."""

_BLOCK = 2**18  # frames that are decoded at a time


def kind_of(path: str) -> str:
    """`audio`, `image` or `media`: what a file is by its suffix."""
    kind = TYPES.get(PurePosixPath(f"a{path}").suffix.lower(), "").partition("/")[0]
    return kind if kind in ("audio", "image") else "media"


def duration(path: Path) -> float | None:
    """Seconds of sound that can be decoded; None where a file is no sound, or not all of it can be decoded.

    A file says how long it is at its beginning. A recording that was cut off, or has a damaged part, says it, too: models
    then fail where they come to it. So what is measured is what they will hear.
    """
    if TYPES.get(path.suffix.lower(), "").startswith(_MUTE):
        return None
    import soundfile

    try:
        # By number: the name of a file does not say what is in it, and `.raw` would be taken for samples without a header.
        with path.open("rb") as file, soundfile.SoundFile(file.fileno(), closefd=False) as sound:
            is_plain = sound.subtype.startswith(_PLAIN) and sound.format not in _PACKED
            frames = sound.frames if is_plain else _decoded(sound)
            return float(frames / sound.samplerate) if frames > 0 else None
    except (soundfile.SoundFileError, OSError, ValueError, TypeError, RuntimeError):
        return None


def _decoded(sound: Any) -> int:
    """How many frames there are before the first hole. Raises what soundfile raises for what it cannot decode.

    A read that gives less than was asked for has come to the end, or to a part that is skipped in silence.
    """
    heard = count = len(sound.read(_BLOCK, dtype="int16"))
    while count == _BLOCK:
        count = len(sound.read(_BLOCK, dtype="int16"))
        heard += count
    return heard
