"""Three-way merges of what two sides made of one base.

The result is a clean merge, or None where people must look.
"""

import difflib
import re
from collections.abc import Sequence
from functools import partial
from typing import Any

from lsloop.values.text import nfc
from lsloop.values.text import words as words_of


def words(base: str, ours: str, theirs: str) -> str | None:
    """The text with the edits of both sides.

    None where they touch the same or neighbouring words. Word-level diff3 (Khanna, Kunal and Pierce, "A
    Formal Investigation of Diff3", FSTTCS 2007); texts that differ only in Unicode form are one text.
    """
    base, ours, theirs = nfc(base), nfc(ours), nfc(theirs)
    if ours == theirs or theirs == base:
        return ours
    if ours == base:
        return theirs
    return _diff3(_tokens(base), _tokens(ours), _tokens(theirs))


def whole(base: Any, ours: Any, theirs: Any) -> Any:
    """Merge what cannot be divided: theirs if only they changed it, otherwise ours."""
    return theirs if ours == base else ours


def items(base: Sequence[str] | None, ours: Sequence[str] | None, theirs: Sequence[str] | None) -> list[str]:
    """Merge sets, sorted.

    With everything that either side added, without everything that either removed.
    """
    was, a, b = set(base or ()), set(ours or ()), set(theirs or ())
    return sorted((was & a & b) | (a - was) | (b - was))


def changes(base: Sequence[str], side: Sequence[str]) -> list[tuple[str, list[str]]]:
    """The changes that `side` made to `base`, in runs.

    (`-`, what it took out), (`+`, what it put in), ("", what it left).
    """
    runs: list[tuple[str, list[str]]] = []
    for what, i, j, k, m in difflib.SequenceMatcher(None, base, side, autojunk=False).get_opcodes():
        if what == "equal":
            runs.append(("", list(base[i:j])))
        else:
            runs += [("-", list(base[i:j]))] if j > i else []
            runs += [("+", list(side[k:m]))] if m > k else []
    return runs


def added(ours: Any, merged: Any) -> list[Any]:
    """The words of a text, or items of a list, that a merge adds to our side."""
    if isinstance(ours, list) and isinstance(merged, list):
        return [item for item in merged if item not in ours]
    if not isinstance(ours, str) or not isinstance(merged, str):
        return [] if ours == merged else [merged]
    return [word for mark, run in changes(words_of(ours), words_of(merged)) if mark == "+" for word in run]


def _tokens(text: str) -> list[str]:
    """The words of a text with the blanks after them.

    The last gets one too, so that adding a word does not change it.
    """
    return re.findall(r"\S+\s*", text.strip() + " ")


def _diff3(base: list[str], ours: list[str], theirs: list[str]) -> str | None:
    from merge3 import Merge3

    # autojunk drops words that are frequent in a long text, and then sees overlaps where there are none
    matcher: Any = partial(difflib.SequenceMatcher, autojunk=False)
    groups = list(Merge3(base, ours, theirs, sequence_matcher=matcher).merge_groups())
    if any(group[0] == "conflict" for group in groups):
        return None
    return "".join(token for group in groups for token in group[1]).strip()
