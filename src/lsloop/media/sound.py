"""Amount of sound in a file: what can be decoded of it.

That holds whatever it is called and whatever its header says.
"""

from pathlib import Path
from typing import Any

from lsloop.media import HEAD, type_of

_MUTE = ("image/", "application/pdf", "text/")
_PACKED = {"FLAC", "OGG", "MP3", "MPEG"}
_PLAIN = ("PCM", "FLOAT", "DOUBLE", "ULAW", "ALAW")
"""Encodings in which a file's length says how much sound there is, unless it is packed; else only decoding
does."""

_BLOCK = 2**18  # frames that are decoded at a time


def duration(path: Path) -> float | None:
    """Measure the seconds of sound that can be decoded.

    None where a file is no sound, or not all of it can be decoded.

    A file says how long it is at its beginning. A recording that was cut off, or has a damaged part, says it,
    too: models then fail where they come to it. So what is measured is what they will hear.
    """
    import soundfile

    try:
        with path.open("rb") as file:
            if type_of(path.name, file.read(HEAD)).startswith(_MUTE):
                return None
        # By number: the name of a file does not say what is in it, and `.raw` would be taken for samples
        # without a header.
        with path.open("rb") as file, soundfile.SoundFile(file.fileno(), closefd=False) as sound:
            is_plain = sound.subtype.startswith(_PLAIN) and sound.format not in _PACKED
            frames = sound.frames if is_plain else _decoded(sound)
            return float(frames / sound.samplerate) if frames > 0 else None
    except (soundfile.SoundFileError, OSError, ValueError, TypeError, RuntimeError):
        return None


def _decoded(sound: Any) -> int:
    """Count the frames before the first hole.

    Raises what soundfile raises for what it cannot decode.

    A read that gives less than was asked for has come to the end, or to a part that is skipped in silence.
    """
    heard = count = len(sound.read(_BLOCK, dtype="int16"))
    while count == _BLOCK:
        count = len(sound.read(_BLOCK, dtype="int16"))
        heard += count
    return heard
