"""Text for logs, errors and health answers, without what must not be told."""

import re

_NAMES = "signature|secret|password|api_key|token"

_PATTERNS = (
    (re.compile(r"(\w://[^\s/:@]*):[^\s/]*@"), r"\1:***@"),
    (re.compile(rf"((?:{_NAMES})(?:[\"']?\s*=\s*[\"']?|[\"']\s*:\s*[\"']?))[^\s&'\",]+", re.I), r"\1***"),
    (re.compile(r"\b((?:Token|Bearer)\s+)[\w.~+/=-]{8,}"), r"\1***"),
)


def without_secrets(text: str) -> str:
    """`text` with passwords in URLs, tokens and signatures blanked, however they got into it."""
    for pattern, instead in _PATTERNS:
        text = pattern.sub(instead, text)
    return text
