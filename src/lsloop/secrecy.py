"""Text for logs, errors and health answers, without what must not be told.

Two nets: what looks like a secret, and what the settings say is one (`learn`), wherever a library put it.
"""

import re
from collections.abc import Iterable
from urllib.parse import quote, unquote

_NAMES = "signature|secret|password|api_key|token"

_PATTERNS = (
    (re.compile(r"(\w://[^\s/:@]*):[^\s/]*@"), r"\1:***@"),
    (re.compile(rf"((?:{_NAMES})(?:[\"']?\s*=\s*[\"']?|[\"']\s*:\s*[\"']?))[^\s&'\",]+", re.I), r"\1***"),
    (re.compile(r"\b((?:Token|Bearer)\s+)[\w.~+/=-]{8,}"), r"\1***"),
)

_learned: dict[str, re.Pattern[str]] = {}


def learn(secrets: Iterable[str]) -> None:
    """Blank these from now on, as they are, encoded and escaped.

    A plain word or number is left to the patterns: `postgres` is a password of many, and stands in many
    sentences.
    """
    for secret in secrets:
        if len(secret) < 4 or (len(secret) < 12 and (secret.isalpha() or secret.isdigit())):
            continue
        written = {secret, quote(secret, safe=""), quote(secret), unquote(secret), repr(secret)[1:-1]}
        for one in written:
            _learned[one] = re.compile(rf"(?<!\w){re.escape(one)}(?!\w)")


def without_secrets(text: str) -> str:
    """The text with passwords in URLs, tokens and signatures blanked.

    They are blanked however they got into `text`.
    """
    for secret in sorted(_learned, key=len, reverse=True):
        text = _learned[secret].sub("***", text)
    for pattern, instead in _PATTERNS:
        text = pattern.sub(instead, text)
    return text
