"""Text as people mean it: one Unicode form, one kind of blank."""

import re
import unicodedata

_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")
"""The character NUL as it stands in JSON text (an escaped backslash before `u0000` is none)."""


def has_nul(document: str) -> bool:
    """Whether JSON text holds the one character that PostgreSQL cannot."""
    return "\\u0000" in document and _NUL.search(document) is not None


def without_nul(document: str) -> str:
    """JSON text with U+FFFD where the character NUL was."""
    return _NUL.sub("\\g<1>\ufffd", document) if "\\u0000" in document else document


def nfc(text: str) -> str:
    """`text` in Unicode normal form C, so that Vietnamese typed on two keyboards is one text."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def words(text: str) -> list[str]:
    """The words of `text` in normal form C, split at blanks."""
    return nfc(text).split()


def clean(text: object) -> str:
    """`text` in normal form C with one kind of line end and no blanks around it.

    A field that is missing reads as empty. Raises ValueError for anything that is not text.
    """
    if text is None:
        return ""
    if not isinstance(text, str):
        raise ValueError(f"Expected text, got {type(text).__name__}.")
    return nfc(text.replace("\r\n", "\n").replace("\r", "\n")).strip()
