"""What Label Studio's editor makes of a label config: results as its page submits them (version 1.23).

Chance decides what is marked and said; the shapes are those that each region's `serialize` has in the
editor's source.
"""

import random
from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree

from lsloop.values import regions
from lsloop.values.regions import Control

Item = dict[str, Any]

LENGTH = 5.0
"""Seconds of each recording, and 10,000 times as many rows of a time series."""

WORDS = ("xin", "chào", "meeting", "deadline", "30A-123", "là", "ngày", "mai")
FREE = ("first", "second", "third")
"""Options of a control that takes them from the task's data."""


def answer(config: str, chance: random.Random, most: int = 3) -> list[Item]:
    """What somebody submits: up to `most` regions on each object, something said of some of them, and of
    the task."""
    tags = regions.controls(config)
    kinds = {tag.get("name"): tag.tag.lower() for tag in ElementTree.fromstring(config).iter()}
    made: list[Item] = []
    for place in sorted({tag.to_name for tag in tags.values()}):
        here = {name: tag for name, tag in tags.items() if tag.to_name == place}
        marked = [
            _region(here, place, str(kinds[place]), f"{place}-{i}", chance)
            for i in range(chance.randint(1, most))
        ]
        made += [item for items in marked for item in items]
        made += (
            [_related(place, len(marked), chance)]
            if len(marked) > 1 and all(marked) and chance.random() < 0.3
            else []
        )
    for name, tag in tags.items():
        if tag.type in SAID and not tag.per_region:
            made.append(_item(name, tag, f"{name} said", said(tag, chance)))
        elif tag.type not in (*SAID, *DRAWN, "labels", *LABELS):
            made.append(
                _item(name, tag, f"{name} own", {tag.type: {"deep": [1, {"x": chance.choice(WORDS)}]}})
            )
    return made


def _region(
    here: Mapping[str, Control], place: str, kind: str, region_id: str, chance: random.Random
) -> list[Item]:
    """One region with all that is said of it; none where nothing can be marked."""
    shapes = {name: tag for name, tag in here.items() if tag.type in (*DRAWN, *LABELS)}
    plain = {name: tag for name, tag in here.items() if tag.type == "labels"}
    asked = {name: tag for name, tag in here.items() if tag.per_region}
    if not shapes and not plain and not asked:
        return []
    name = chance.choice(sorted(shapes or plain or asked))
    tag = here[name]
    where = _where(LABELS.get(tag.type, tag.type if tag.type in DRAWN else "span"), kind, chance)
    around = _around(kind, chance)
    names = {} if tag.type in SAID else labels(tag, chance)
    if kind == "video" and tag.type == "videorectangle":
        names = labels(next(iter(plain.values()), tag), chance)
    made = [] if tag.type in SAID else [around | _item(name, tag, region_id, where | names)]
    for other, its in plain.items():
        if shapes and kind != "video":
            made.append(around | _item(other, its, region_id, where | labels(its, chance)))
    for other, its in asked.items():
        if chance.random() < 0.6 or not made:
            made.append(around | _item(other, its, region_id, where | said(its, chance)))
    return made


def _around(kind: str, chance: random.Random) -> Item:
    """What the editor writes beside the value."""
    found: Item = {"origin": chance.choice(["manual", "prediction", "prediction-changed"])}
    if kind == "image":
        found |= {"original_width": 640, "original_height": 480, "image_rotation": chance.choice([0, 90])}
    if kind in ("audio", "video"):
        found["original_length"] = LENGTH
    if chance.random() < 0.2:
        found |= chance.choice([{"meta": {"text": ["look again"]}}, {"readonly": True}, {"score": 0.5}])
    return found


def _item(name: str, tag: Control, region_id: str, value: Item) -> Item:
    kind = "chatmessage" if tag.type == "chat" else tag.type
    return {"id": region_id, "from_name": name, "to_name": tag.to_name, "type": kind, "value": value}


def _related(place: str, many: int, chance: random.Random) -> Item:
    a, b = chance.sample(range(many), 2)
    ends = {"from_id": f"{place}-{a}", "to_id": f"{place}-{b}"}
    return {"type": "relation", **ends, "direction": "right", "labels": ["same"]}


def options(tag: Control) -> tuple[str, ...]:
    """What can be chosen."""
    return tag.values or FREE


def labels(tag: Control, chance: random.Random) -> Item:
    """The labels of a region under the key of its control."""
    if tag.type in DRAWN and tag.type != "videorectangle":
        return {}
    key = "labels" if tag.type == "videorectangle" else tag.type
    return {key: [chance.choice(options(tag))]}


def said(tag: Control, chance: random.Random) -> Item:
    """What a control says that marks nothing."""
    number = chance.randint(1, 5)
    return {
        "textarea": lambda: {"text": [" ".join(chance.choices(WORDS, k=number))]},
        "choices": lambda: {"choices": [chance.choice(options(tag))]},
        "rating": lambda: {"rating": chance.randint(1, 5)},
        "number": lambda: {"number": chance.choice([number, number / 3])},
        "datetime": lambda: {"datetime": f"2026-01-0{number}"},
        "taxonomy": lambda: {"taxonomy": [[chance.choice(options(tag))]]},
        "pairwise": lambda: {"selected": chance.choice(["left", "right"])},
        "ranker": lambda: {"ranker": {"rank": chance.sample(FREE, 3)}},
    }[tag.type]()  # fmt: skip


SAID = ("textarea", "choices", "rating", "number", "datetime", "taxonomy", "pairwise", "ranker")
DRAWN = (
    "rectangle",
    "polygon",
    "keypoint",
    "ellipse",
    "brush",
    "bitmask",
    "vector",
    "videorectangle",
    "chat",
)
LABELS = {
    "rectanglelabels": "rectangle", "polygonlabels": "polygon", "keypointlabels": "keypoint",
    "ellipselabels": "ellipse",
    "brushlabels": "brush", "bitmasklabels": "bitmask", "vectorlabels": "vector", "ocrlabels": "page",
    "hypertextlabels": "html", "paragraphlabels": "paragraphs", "timeserieslabels": "series",
    "timelinelabels": "frames",
}  # fmt: skip


def _where(shape: str, kind: str, chance: random.Random) -> Item:
    """Where a region lies."""
    x, y = chance.uniform(0, 80), chance.uniform(0, 80)
    wide, high = chance.uniform(0.5, 20), chance.uniform(0.5, 20)
    first = chance.randint(0, 20)
    last = first + chance.randint(1, 9)
    box = {
        "x": x,
        "y": y,
        "width": wide,
        "height": high,
        "rotation": chance.choice([0, 0, chance.uniform(0, 359)]),
    }
    path = "/div[1]/p[1]/text()[1]"
    made: dict[str, Item] = {
        "rectangle": box,
        "page": box | {"pageIndex": chance.randint(0, 2), "ocrtext": chance.choice(WORDS)},
        "polygon": {"points": [[x, y], [x + wide, y], [x + wide, y + high]], "closed": True},
        "keypoint": {"x": x, "y": y, "width": 0.5},
        "ellipse": {"x": x, "y": y, "radiusX": wide, "radiusY": high, "rotation": 0},
        "brush": {"format": "rle", "rle": [chance.randint(0, 255) for _ in range(9)]},
        "bitmask": {"imageDataURL": f"data:image/png;base64,{first}"},
        "vector": {"vertices": [{"id": "a", "x": x, "y": y}, {"id": "b", "x": x + wide, "y": y}],
        "closed": False},
        "videorectangle": {"framesCount": 120, "duration": LENGTH, "sequence": [
            {"frame": frame, "enabled": True, **box, "time": frame / 24} for frame in (first + 1, last + 1)]},
        "html": {"start": path, "end": path, "startOffset": first, "endOffset": last, "text": "chào",
                 "globalOffsets": {"start": first, "end": last}},
        "paragraphs": {"start": "0", "end": chance.choice("01"), "startOffset": first, "endOffset": last},
        "series": {"start": first * 100, "end": last * 100, "instant": False},
        "frames": {"ranges": [{"start": first + 1, "end": last + 1}]},
        "chat": {"chatmessage": {"role": "user", "content": chance.choice(WORDS), "createdAt": 1e12 + first}},
        "span": _span(kind, first, last, chance),
    }  # fmt: skip
    return made[shape]


def _span(kind: str, first: int, last: int, chance: random.Random) -> Item:
    """A stretch of a recording or a text; elsewhere something is said of the whole."""
    if kind in ("audio", "video"):
        start = chance.uniform(0, LENGTH - 1)
        return {"start": start, "end": start + chance.uniform(0.01, 1), "channel": 0}
    return {"start": first, "end": last, "text": "chào"} if kind in ("text", "hypertext") else {}
