"""Text as people mean it: one Unicode form, one kind of blank."""

import re
import unicodedata

_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")
"""The character NUL as it stands in JSON text (an escaped backslash before `u0000` is none)."""


_INVISIBLE = (
    *(code for code in (*range(32), 127, *range(128, 160)) if chr(code) not in "\n\t"),
    0x061C, 0x200B, 0x200E, 0x200F, 0x2028, 0x2029, *range(0x202A, 0x202F), 0x2060,
    *range(0x2066, 0x206A), 0xFEFF,
)  # fmt: skip
_SHOWN = {code: f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" for code in _INVISIBLE}
"""Characters that command a terminal, turn the direction of what follows, or break a line unseen."""


def visible(text: str) -> str:
    """`text` for a terminal, with dangerous characters shown as escapes.

    They are those that would act there, or hide what stands there.
    """
    return text.translate(_SHOWN)


def counted(count: int, one: str, many: str = "") -> str:
    """A count with its noun: "1 sample", "2,000 samples".

    `many` is for where an s is not enough.
    """
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"


def has_nul(document: str) -> bool:
    """Say whether JSON text holds the one character that PostgreSQL cannot."""
    return "\\u0000" in document and _NUL.search(document) is not None


def without_nul(document: str) -> str:
    """JSON text with U+FFFD where the character NUL was."""
    return _NUL.sub("\\g<1>\ufffd", document) if "\\u0000" in document else document


_BLANK_SIGNS = frozenset("\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0\ufffc")
"""Letters and signs that show nothing, though Unicode's categories do not say so."""


_SHOWING_NOTHING = frozenset(("Cc", "Cf", "Cs", "Zs", "Zl", "Zp", "Mn", "Mc", "Me"))


def is_blank(text: str) -> bool:
    """Say whether `text` shows nothing.

    That is blanks, controls, invisible characters, accents without a letter under them.
    """
    return all(unicodedata.category(each) in _SHOWING_NOTHING or each in _BLANK_SIGNS for each in text)


def nfc(text: str) -> str:
    """`text` in Unicode normal form C.

    So Vietnamese typed on two keyboards is one text.
    """
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def is_nfc(text: str) -> bool:
    """Say whether `text` is in Unicode normal form C already."""
    return unicodedata.is_normalized("NFC", text)


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
