"""The overlap of regions: boxes, polygons, spans and tracks, in [0, 1].

It is how far two regions lie in one place. Geometry is as Label Studio has it: percent of the width and
height, rotation in degrees around the upper left corner, seconds in recordings, characters in texts, frames
in videos. Symmetric; 1 for equal regions.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shapely import Polygon

Geometry = Mapping[str, Any]
Point = tuple[float, float]

NEAR = 5.0
"""Percent of the picture's side: two key points that far apart have nothing in common."""

PLACE = ("pageIndex", "pageNumber", "page", "channel")
"""What must be the same before two regions can overlap at all."""


def overlap(a: Geometry, b: Geometry) -> float:
    """The shared part ÷ joined part of two regions; 0 for different kinds."""
    if a == b:
        return 1.0
    if any(a.get(name) != b.get(name) for name in PLACE):
        return 0.0
    try:
        return _overlap(a, b)
    except (TypeError, ValueError, KeyError, OverflowError):
        return 0.0  # a shape that is not understood is only equal to itself


def may_meet(a: Geometry, b: Geometry) -> bool:
    """Say whether two regions share a part.

    Of shapes that are not understood nobody can rule it out.
    """
    if any(a.get(name) != b.get(name) for name in PLACE):
        return False
    return overlap(a, b) > 0 or not (_is_understood(a) and _is_understood(b))


def _is_understood(geometry: Geometry) -> bool:
    try:
        known = _span(geometry) or "sequence" in geometry or "ranges" in geometry or _is_key_point(geometry)
        return bool(known) or _polygon(geometry) is not None
    except (TypeError, ValueError, KeyError, OverflowError):
        return False


def is_in_picture(geometry: Geometry) -> bool:
    """Say whether some part of a region lies in the picture.

    Raises ValueError for a region without an outline.
    """
    import shapely

    if _is_key_point(geometry):
        return all(-EDGE <= _finite(geometry[side]) <= 100 + EDGE for side in "xy")
    outline = _outline(geometry)
    if not outline or not all(math.isfinite(side) for point in outline for side in point):
        raise ValueError("no outline")
    return bool(
        shapely.box(-EDGE, -EDGE, 100 + EDGE, 100 + EDGE).intersects(shapely.MultiPoint(outline).convex_hull)
    )


EDGE = 1e-6
"""Percent that an editor's arithmetic may put a region beyond the edge of its picture."""


def _finite(given: Any) -> float:
    if isinstance(given, bool) or not math.isfinite(float(given)):
        raise ValueError("no number")
    return float(given)


def moment(given: Any) -> float | None:
    """A place on an axis as a number; None for a path in a page.

    The place is in seconds, characters, a paragraph or a date.
    """
    if isinstance(given, bool) or not isinstance(given, int | float | str):
        raise ValueError("no place")
    try:
        return _finite(given)
    except ValueError:
        if not isinstance(given, str):
            raise
    try:
        return datetime.fromisoformat(given).replace(tzinfo=None).timestamp()
    except (ValueError, OverflowError):
        return None


def _overlap(a: Geometry, b: Geometry) -> float:
    ours, theirs = _span(a), _span(b)
    if ours and theirs:
        return _shared_time(ours, theirs)
    if "sequence" in a and "sequence" in b:
        return _shared_track(a["sequence"], b["sequence"])
    if "ranges" in a and "ranges" in b:
        return _shared_frames(_frames(a["ranges"]), _frames(b["ranges"]))
    if _is_key_point(a) and _is_key_point(b):
        distance = math.hypot(float(a["x"]) - float(b["x"]), float(a["y"]) - float(b["y"]))
        return max(0.0, 1 - distance / NEAR)
    return _outline_overlap(a, b)


def _span(geometry: Geometry) -> tuple[str, float, float] | None:
    """(where, start, end) of a span of time or of characters."""
    offsets = geometry.get("globalOffsets")
    if isinstance(offsets, Mapping):
        return "", float(offsets["start"]), float(offsets["end"])
    if "startOffset" in geometry and "endOffset" in geometry:
        return _span_of_paragraphs(geometry)
    if "start" in geometry and "end" in geometry:
        start, end = moment(geometry["start"]), moment(geometry["end"])
        return None if start is None or end is None else ("", start, end)
    return None


def _span_of_paragraphs(geometry: Geometry) -> tuple[str, float, float] | None:
    """The span of a region of paragraphs.

    It is by characters within one paragraph; over several, whose lengths are not known here, mostly by
    paragraphs.
    """
    first, last = (moment(geometry[name]) for name in ("start", "end"))
    if first is None or last is None:
        path = str(geometry["start"])
        same = path == geometry["end"]
        return (path, float(geometry["startOffset"]), float(geometry["endOffset"])) if same else None
    return "", first + float(geometry["startOffset"]) / LONG, last + float(geometry["endOffset"]) / LONG


LONG = 1e6
"""Characters that no paragraph has."""


def _shared_time(a: tuple[str, float, float], b: tuple[str, float, float]) -> float:
    shared = max(0.0, min(a[2], b[2]) - max(a[1], b[1])) if a[0] == b[0] else 0.0
    joined = (a[2] - a[1]) + (b[2] - b[1]) - shared
    return _share(shared, joined)


def _share(shared: float, joined: float) -> float:
    return min(1.0, max(0.0, shared / joined)) if joined > 0 else 0.0


def _is_key_point(geometry: Geometry) -> bool:
    return "x" in geometry and "y" in geometry and "height" not in geometry and "radiusX" not in geometry


def _polygon(geometry: Geometry) -> "Polygon | None":
    """The outline of a box, an ellipse or a polygon, in percent."""
    import shapely

    points = _outline(geometry)
    if points is None or len(points) < 3:
        return None
    found = shapely.Polygon(points)
    return found if found.is_valid else shapely.convex_hull(found)  # an outline that crosses itself


def _outline(geometry: Geometry) -> list[Point] | None:
    if "points" in geometry:
        return [(float(x), float(y)) for x, y in geometry["points"]]
    x, y, turn = float(geometry["x"]), float(geometry["y"]), float(geometry.get("rotation") or 0)
    if "radiusX" in geometry:
        return _turned(_ellipse(x, y, float(geometry["radiusX"]), float(geometry["radiusY"])), (x, y), turn)
    if "width" in geometry:
        width, height = float(geometry["width"]), float(geometry["height"])
        corners = [(x, y), (x + width, y), (x + width, y + height), (x, y + height)]
        return _turned(corners, (x, y), turn)
    return None


def _ellipse(x: float, y: float, across: float, down: float, corners: int = 32) -> list[Point]:
    turns = (2 * math.pi * step / corners for step in range(corners))
    return [(x + across * math.cos(turn), y + down * math.sin(turn)) for turn in turns]


def _turned(points: Sequence[Point], around: Point, degrees: float) -> list[Point]:
    if not degrees:
        return list(points)
    sine, cosine = math.sin(math.radians(degrees)), math.cos(math.radians(degrees))
    moved = ((x - around[0], y - around[1]) for x, y in points)
    return [(around[0] + x * cosine - y * sine, around[1] + x * sine + y * cosine) for x, y in moved]


def _shared_area(a: "Polygon", b: "Polygon") -> float:
    shared = a.intersection(b).area
    return _share(float(shared), float(a.area + b.area - shared))


def _shared_track(a: Sequence[Geometry], b: Sequence[Geometry]) -> float:
    """The mean overlap of the boxes over all key frames of either.

    A frame of one only counts as 0.
    """
    ours, theirs = ({int(one["frame"]): one for one in side} for side in (a, b))
    frames = ours.keys() | theirs.keys()
    found = [_outline_overlap(ours[frame], theirs[frame]) for frame in sorted(ours.keys() & theirs.keys())]
    return sum(found) / len(frames) if frames else 0.0


def _outline_overlap(a: Geometry, b: Geometry) -> float:
    ours, theirs = _polygon(a), _polygon(b)
    return _shared_area(ours, theirs) if ours is not None and theirs is not None else 0.0


def _frames(ranges: Iterable[Geometry]) -> list[tuple[int, int]]:
    return sorted((int(one["start"]), int(one["end"]) + 1) for one in ranges)


def _shared_frames(a: Sequence[tuple[int, int]], b: Sequence[tuple[int, int]]) -> float:
    shared = sum(max(0, min(end, other) - max(start, begin)) for start, end in a for begin, other in b)
    joined = sum(end - start for start, end in (*a, *b)) - shared
    return _share(shared, joined)
