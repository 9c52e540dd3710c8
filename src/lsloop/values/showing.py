"""Answers that do not agree, side by side, for whoever is to decide.

HTML that a label config shows as HyperText. Pure.
"""

from collections.abc import Sequence
from difflib import SequenceMatcher
from html import escape
from string import ascii_uppercase
from typing import Any

from lsloop.records import Value
from lsloop.values.text import words

_ROW = '<p style="margin:4px 0"><b>{letter}</b> {said}</p>'
_MARK = '<mark style="background:#ffe58f">{}</mark>'
_LOST = '<del style="color:#cf1322">{}</del>'


def html(answers: Sequence[Value], writes: Sequence[str]) -> str:
    """The answers under letters, without names; empty without answers.

    In each what differs from the first is marked. The fields that the task type `writes` come first, then
    remarks.
    """
    if not answers:
        return ""
    ordered = [{name: answer[name] for name in (*writes, *answer) if name in answer} for answer in answers]
    rows = [
        _row(letter, answer, ordered[0]) for letter, answer in zip(ascii_uppercase, ordered, strict=False)
    ]
    return "<p><b>These answers do not agree. Which is right, or what is?</b></p>" + "".join(rows)


def _row(letter: str, answer: Value, first: Value) -> str:
    said = [
        _field(name, value, first.get(name)) for name, value in answer.items() if value not in (None, "", [])
    ]
    return _ROW.format(letter=letter, said="<br>".join(said) or "(empty)")


def _field(name: str, value: Any, first: Any) -> str:
    if isinstance(value, str) and isinstance(first, str):
        return f"<i>{escape(name)}:</i> {_compared(words(value), words(first))}"
    return f"<i>{escape(name)}:</i> {'; '.join(escape(_plain(item)) for item in _items(value))}"


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _plain(item: Any) -> str:
    if isinstance(item, dict) and "start" in item and "end" in item:
        rest = [_plain(value) for key, value in item.items() if value and key not in ("start", "end")]
        return f"{item['start']}–{item['end']} s {', '.join(rest)}"
    if isinstance(item, dict):
        return ", ".join(
            f"{key} {_plain(value)}" for key, value in item.items() if value not in (None, "", [])
        )
    return ", ".join(map(_plain, item)) if isinstance(item, list) else str(item)


def _compared(ours: list[str], first: list[str]) -> str:
    parts = []
    for what, i, j, k, m in SequenceMatcher(None, first, ours, autojunk=False).get_opcodes():
        if what == "equal":
            parts.append(escape(" ".join(ours[k:m])))
        else:
            parts += [_MARK.format(escape(" ".join(ours[k:m])))] if m > k else []
            parts += [_LOST.format(escape(" ".join(first[i:j])))] if j > i else []
    return " ".join(parts)
