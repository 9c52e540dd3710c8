"""Tables of the three sides of a conflict.

These are what was sent, what people made of it, and what upstream made of it.
"""

from collections.abc import Sequence
from typing import Any

from lsloop.commands._output import Marked, Table
from lsloop.ledger.conflicts import Conflict
from lsloop.records import Value
from lsloop.values import merging
from lsloop.values.text import words


def tables(conflict: Conflict, merged: Value | None, why_not: str) -> list[Table]:
    """Draw one table per field in dispute or answered.

    Each side is compared with the base, word by word.
    """
    names = [*conflict.writes, *(name for name in conflict.fields if name not in conflict.writes)]
    shown = [_field(conflict, name, merged, why_not) for name in names]
    remarks = {name: value for name, value in (conflict.ours or {}).items() if name not in conflict.writes}
    said = [(name, _plain(value)) for name, value in remarks.items() if value not in (None, "", [])]
    return [*shown, *([Table(("remark of the annotator", ""), said)] if said else [])]


def _field(conflict: Conflict, name: str, merged: Value | None, why_not: str) -> Table:
    base, theirs = _said(conflict.base, name), _said(conflict.theirs, name)
    mover = "upstream" if conflict.moved.get(name, "upstream") == "upstream" else "others"
    when = "now" if conflict.status == "open" else "then"
    rows: list[tuple[str, Any]] = [("as sent", _text(base))]
    if name in conflict.writes:
        rows.append((conflict.annotator, _against(base, (conflict.ours or {}).get(name))))
    rows.append((f"{mover} {when}", _against(base, theirs)))
    if name in conflict.writes and merged is not None:
        rows.append(("merged", _against(base, merged[name])))
        if unheard := merging.added((conflict.ours or {}).get(name), merged[name]):
            rows.append(("nobody checked", "  ".join(map(_plain, unheard))))
    elif name in conflict.writes and conflict.status == "open":
        rows.append(("merged", f"(not possible: {why_not})"))
    note = "in dispute" if name in conflict.fields else "not in dispute"
    return Table((name, note), rows)


def _said(side: dict[str, Any], name: str) -> Any:
    if name == "media":
        return (
            None
            if side["media_path"] is None
            else f"{side['media_path']} content {str(side['media_md5'])[:8]}"
        )
    return side["fields"].get(name)


def _against(base: Any, side: Any) -> Marked | str:
    """`side` with its differences from `base` marked."""
    if side is None:
        return "(nothing)"
    between = "\n" if isinstance(side, list) or isinstance(base, list) else " "
    runs = merging.changes(_pieces(base), _pieces(side))
    return Marked([(mark, between.join(run)) for mark, run in runs], between)


def _text(value: Any) -> str:
    return "(nothing)" if value is None else ("\n" if isinstance(value, list) else " ").join(_pieces(value))


def _pieces(value: Any) -> Sequence[str]:
    if value is None:
        return []
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return words(value) if isinstance(value, str) else [_plain(value)]


def _plain(item: Any) -> str:
    """A value on one line: of an object, its values."""
    if isinstance(item, dict):
        return "  ".join(_plain(value) for value in item.values() if value not in (None, "", []))
    return ", ".join(map(_plain, item)) if isinstance(item, list) else str(item)
