"""Settings whose values do not fit, in our own words.

They say which key, and what is expected; never the value, which may be a secret.
"""

import difflib
from collections.abc import Collection
from typing import Any

from pydantic import ValidationError

from lsloop.config.yamlfile import kind

EXPECTED = {
    "int": "must be a whole number", "float": "must be a number", "bool": "must be true or false",
    "string": "must be a text", "list": "must be a list", "dict": "must hold keys with values",
    "model": "must hold keys with values", "mapping": "must hold keys with values", "path": "must be a path",
    "finite": "must be a number", "decimal": "must be a number",
}  # fmt: skip
BOUNDS = {
    "greater_than_equal": ("ge", "must be {} or more"), "greater_than": ("gt", "must be more than {}"),
    "less_than_equal": ("le", "must be {} or less"), "less_than": ("lt", "must be less than {}"),
    "string_too_long": ("max_length", "must have {} characters at most"),
    "string_too_short": ("min_length", "must have {} characters at least"),
    "literal_error": ("expected", "must be one of {}"), "enum": ("expected", "must be one of {}"),
}  # fmt: skip


def first(
    error: ValidationError, known: Collection[str] = (), called: str = ""
) -> tuple[tuple[Any, ...], str]:
    """Return the keys of the first value that does not fit, and what is expected.

    The value is named as `called`, or by its keys.
    """
    detail = error.errors(include_url=False)[0]
    keys, reason, context = detail["loc"], str(detail["type"]), detail.get("ctx", {})
    name = called or ".".join(map(str, keys))
    if reason == "value_error":
        return keys, f"{name}: {context.get('error', 'does not fit')}"
    return keys, f"{name} {_expected(reason, context, keys, detail['input'], known)}"


def _expected(reason: str, context: dict[str, Any], keys: Any, found: Any, known: Collection[str]) -> str:
    if reason == "extra_forbidden":
        meant = difflib.get_close_matches(str(keys[-1]), known, 1)
        return f"is not a setting of lsloop{f'; {meant[0]} is' if meant else ''}"
    if reason == "missing":
        return "is missing"
    if reason in BOUNDS:
        limit, words = BOUNDS[reason]
        return words.format(str(context.get(limit)).replace("'", ""))
    return (
        f"{EXPECTED.get(reason.partition('_')[0], 'has a value that does not fit')}; {kind(found)} was found"
    )
