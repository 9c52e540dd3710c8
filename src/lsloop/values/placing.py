"""A region in a few words: what was said of it, and where it is."""

from collections.abc import Mapping
from typing import Any

from lsloop.values.controls import Codec
from lsloop.values.records import Record


def shown(record: Record, codecs: Mapping[str, Codec]) -> str:
    """One region on one line."""
    said = [
        codecs[name].show(answer)
        for name, answer in record["answers"].items()
        if name in codecs and answer is not None
    ]
    page = (
        [f"page {record['more']['item_index'] + 1}"]
        if isinstance(record["more"].get("item_index"), int)
        else []
    )
    return f"{', '.join(filter(None, said)) or 'region'} at {', '.join([*page, place(record['where'])])}"


def place(where: Mapping[str, Any]) -> str:
    """The place of a region: seconds, characters, percent of the picture, frames."""
    if isinstance(where.get("text"), str) and where["text"]:
        return repr(where["text"])
    if "startOffset" in where:
        return f"{where.get('start')}:{where['startOffset']}–{where.get('end')}:{where.get('endOffset')}"
    if "start" in where and "end" in where:
        return f"{_digits(where['start'])}–{_digits(where['end'])}"
    if frames := _frames(where):
        return f"frames {frames}"
    if {"x", "y"} <= where.keys():
        size = (
            f", {_digits(where['width'])} × {_digits(where['height'])}"
            if {"width", "height"} <= where.keys()
            else ""
        )
        return f"{_digits(where['x'])}, {_digits(where['y'])}{size} %"
    if isinstance(where.get("points"), list):
        return " ".join(f"({_digits(x)}, {_digits(y)})" for x, y in where["points"]) + " %"
    return ", ".join(sorted(where)) or "the whole"


def _frames(where: Mapping[str, Any]) -> str:
    ranges = [(one.get("start"), one.get("end")) for one in where.get("ranges", ())]
    tracked = [one["frame"] for one in where.get("sequence", ())]
    ranges += [(min(tracked), max(tracked))] if tracked else []
    return ", ".join(f"{start}–{end}" for start, end in ranges)


def _digits(number: Any) -> str:
    return f"{number:.1f}" if isinstance(number, int | float) else str(number)
