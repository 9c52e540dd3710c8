"""Types of media files, by content, else by one table of suffixes.

`measuring` says how large or long a file is.
"""

from pathlib import PurePosixPath

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
        "video/x-msvideo": ".avi",
        "video/x-matroska": ".mkv",
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

UNKNOWN = "application/octet-stream"

HEAD = 1024  # bytes of a file that `type_of` looks at

_BEGINNINGS = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"II*\0", "image/tiff"),
    (b"MM\0*", "image/tiff"),
    (b"fLaC", "audio/flac"),
    (b"OggS", "audio/ogg"),
    (b"ID3", "audio/mpeg"),
    (b".snd", "audio/basic"),
    (b"%PDF-", "application/pdf"),
)
_FORMS = {
    (b"RIFF", b"WAVE"): "audio/wav", (b"RIFF", b"WEBP"): "image/webp", (b"RIFF", b"AVI "): "video/x-msvideo",
    (b"FORM", b"AIFF"): "audio/aiff", (b"FORM", b"AIFC"): "audio/aiff",
}  # fmt: skip
"""What a file is whose first bytes are one, and whose bytes from the ninth on are the other."""


def type_of(name: str, head: bytes) -> str:
    """Tell the media type of a file that begins with `head`.

    A suffix that the content contradicts counts for nothing.
    """
    by_name = TYPES.get(PurePosixPath(f"a{name}").suffix.lower(), UNKNOWN)
    found = _by_content(head, by_name)
    # The beginnings of some containers do not say which of their kinds a file is; a suffix of the same family
    # does.
    return by_name if found is None or _family(found) == _family(by_name) != "image" else found


def _by_content(head: bytes, by_name: str) -> str | None:
    for beginning, found in _BEGINNINGS:
        if head.startswith(beginning):
            return found
    if form := _FORMS.get((head[:4], head[8:12])):
        return form
    if head[4:8] == b"ftyp":
        return "audio/mp4" if head[8:11] == b"M4A" else "video/mp4"
    if head.startswith(b"\x1aE\xdf\xa3"):
        return by_name if by_name.endswith(("/webm", "/x-matroska")) else "video/webm"
    return "image/bmp" if head.startswith(b"BM") and by_name == UNKNOWN else None


def _family(media_type: str) -> str:
    return {"audio/mp4": "mp4", "video/mp4": "mp4", "video/quicktime": "mp4"}.get(
        media_type, media_type.partition("/")[0]
    )


def kind_of(path: str) -> str:
    """`audio`, `image` or `media`: what a file is by its suffix."""
    kind = TYPES.get(PurePosixPath(f"a{path}").suffix.lower(), "").partition("/")[0]
    return kind if kind in ("audio", "image") else "media"
