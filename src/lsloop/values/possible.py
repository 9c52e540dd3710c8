"""Checks whether a region can be where it says.

It has an extent, lies in the picture, and runs from a start to an end after it. Label Studio takes whatever a
client sends. What cannot be is no answer; why not is said in a sentence.
"""

import math
from collections.abc import Mapping
from typing import Any

from lsloop.values import shapes
from lsloop.values.records import Record

Geometry = Mapping[str, Any]

PADDING = 0.25, 0.02
"""Seconds, and share of the length: a player counts the padding of a compressed recording, which a header
leaves out."""


def why_not(record: Record) -> str:
    """The reason why a region cannot be; empty where it can."""
    where = record["where"]
    try:
        why = _of_extent(where) or _of_picture(where) or _of_span(where) or _of_track(where)
    except (TypeError, ValueError, KeyError, OverflowError):
        why = "is not where a region can be"
    return f"A region of {record['on']!r} {why}." if why else ""


def too_late(record: Record, duration: float) -> str:
    """The reason why a region cannot be of a recording of so many seconds.

    Empty where it can.
    """
    end = record["where"].get("end")
    padding = max(PADDING[0], PADDING[1] * duration)
    if not isinstance(end, int | float) or end <= duration + padding:
        return ""
    return f"A region of {record['on']!r} ends at {end:g} s, and the recording is {duration:g} s long."


def _of_extent(where: Geometry) -> str:
    sides = [where[name] for name in ("width", "height", "radiusX", "radiusY") if name in where]
    if "height" not in where and "radiusX" not in where:
        sides = []  # the width of a key point is how large it is drawn
    if any(not _number(side) > 0 for side in sides):
        return "has no width or no height"
    if "points" in where and len(where["points"]) < 3:
        return "has fewer than three corners"
    return "has no extent" if where.get("rle") == [] else ""


def _of_picture(where: Geometry) -> str:
    return "lies outside the picture" if _is_drawn(where) and not shapes.is_in_picture(where) else ""


def _is_drawn(where: Geometry) -> bool:
    return "points" in where or ("x" in where and "y" in where)


def _of_span(where: Geometry) -> str:
    if "globalOffsets" in where:
        return _of_pair(where["globalOffsets"], "start", "end", is_text=True)
    if "startOffset" in where:
        is_one = where.get("start") == where.get("end")
        return (
            _of_pair(where, "startOffset", "endOffset", is_text=True)
            if is_one
            else _of_pair(where, "start", "end")
        )
    return _of_pair(where, "start", "end", is_text="text" in where) if "start" in where else ""


def _of_pair(pair: Geometry, first: str, last: str, *, is_text: bool = False) -> str:
    start, end = (shapes.moment(pair[name]) for name in (first, last))
    if start is None or end is None:
        return ""  # a path in a page: only the browser knows what comes before what
    if end < start or start < 0:
        return "ends before it starts"
    return (
        "holds nothing" if start == end and not pair.get("instant") and (is_text or first == "start") else ""
    )


def _of_track(where: Geometry) -> str:
    ranges = [one for one in where.get("ranges", ()) if None not in (one.get("start"), one.get("end"))]
    if any(one["end"] < one["start"] for one in ranges):
        return "ends before it starts"
    if "sequence" not in where:
        return ""
    told = (
        _of_extent(frame) or _of_picture(frame) for frame in where["sequence"] if frame.get("enabled", True)
    )
    return next(filter(None, told), "") if where["sequence"] else "is in no frame"


def _number(given: Any) -> float:
    if isinstance(given, bool) or not isinstance(given, int | float) or not math.isfinite(given):
        raise ValueError("no number")
    return float(given)
