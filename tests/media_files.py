"""Media files that can be shown: small, and of another content for each name."""

import io
import struct
import wave
from pathlib import PurePosixPath

from lsloop.media import TYPES


def content(name: str, says: str | None = None) -> bytes:
    """A file of the kind that the suffix names; `says` makes its content another one."""
    kind = TYPES.get(PurePosixPath(name).suffix, "").partition("/")[0]
    return {"audio": sound, "image": picture}.get(kind, str.encode)(says or name)


def sound(says: str = "sound") -> bytes:
    """A WAV whose samples are a text."""
    samples = says.encode().ljust(64)
    with io.BytesIO() as made:
        with wave.open(made, "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(1)
            file.setframerate(8000)
            file.writeframes(samples)
        return made.getvalue()


def picture(says: str = "picture", size: tuple[int, int] = (4, 3), **options: object) -> bytes:
    """A picture whose colour is made of a text; `options` are Pillow's, such as `format` and `exif`."""
    from PIL import Image

    (number,) = struct.unpack("I", says.encode().rjust(4)[-4:])
    with io.BytesIO() as made:
        form = str(options.pop("format", "PNG"))
        Image.new("RGB", size, number & 0xFFFFFF).save(made, form, **options)
        return made.getvalue()
