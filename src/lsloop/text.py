"""Text as people mean it: one Unicode form, one kind of blank."""

import re
import unicodedata

NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")
"""The character NUL as it stands in JSON text (an escaped backslash before `u0000` is none): PostgreSQL cannot hold it."""


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
