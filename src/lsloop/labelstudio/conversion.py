"""Formats that Label Studio's own converter knows: COCO, Pascal VOC, YOLO. The SDK is imported when it is asked."""

import logging
import re
from pathlib import Path
from typing import Any

import orjson

from lsloop.errors import LsloopError, UsageError

TASKS = "tasks.json"
"""What is to be converted: tasks as Label Studio exports them, `image` in the data being a path in the folder."""


def require_images(label_config: str, task_type: str) -> None:
    """Raises UsageError unless the label config is about images."""
    if not re.search(r"<Image\b", label_config):
        raise UsageError(f"{task_type} has no images.", "Use another --format, or another --task-type.")


def convert(folder: Path, label_config: str, form: str) -> None:
    """Turn `tasks.json` of a folder, in that folder, into `COCO`, `VOC` or `YOLO`; the same tasks give the same bytes.

    Raises LsloopError when there are regions that the format cannot hold: the converter leaves them out in silence.
    """
    from label_studio_sdk.converter.converter import Converter

    logging.getLogger("label_studio_sdk.converter").setLevel(logging.ERROR)  # images without regions are no news
    path = folder / TASKS
    tasks = orjson.loads(path.read_bytes())
    for task in tasks:  # what is not there as a file it takes for a URL, and renames
        task["data"]["image"] = str(folder / task["data"]["image"])
    path.write_bytes(orjson.dumps(tasks))
    converter: Any = Converter  # has no types
    converter(_config(label_config), str(folder), download_resources=False).convert(
        str(path), str(folder), form, is_dir=False
    )
    path.unlink()
    given = sum(_is_region(one["value"]) for task in tasks for one in task["annotations"][0]["result"])
    if (held := _FINISH[form](folder)) < given:
        problem = f"{form} holds {held:,} of {given:,} regions of {folder.name}."
        raise LsloopError(problem, "Use --format coco, which holds polygons, or tree, which holds everything.")


def _is_region(value: dict[str, Any]) -> bool:
    return "x" in value or "points" in value or "format" in value  # rectangle or ellipse, polygon, brush


def _config(label_config: str) -> str:
    """The label config with its image under the name that the tasks here have."""
    return re.sub(r"""(<Image\b[^>]*?\bvalue\s*=\s*["'])[^"']*""", r"\1$image", label_config)


def _coco(folder: Path) -> int:
    path = folder / "result.json"
    found: dict[str, Any] = orjson.loads(path.read_bytes())
    for image in found["images"]:
        image["file_name"] = str(Path(image["file_name"]).relative_to(folder))
    found["info"] = {"version": "1.0"}  # without the time
    path.write_bytes(orjson.dumps(found, option=_PRETTY))
    return len(found["annotations"])


def _voc(folder: Path) -> int:
    return sum(path.read_text(encoding="utf-8").count("<object>") for path in folder.glob("Annotations/*.xml"))


def _yolo(folder: Path) -> int:
    notes = folder / "notes.json"
    found = orjson.loads(notes.read_bytes())
    notes.write_bytes(orjson.dumps({"categories": found["categories"]}, option=_PRETTY))
    return sum(len(path.read_text(encoding="utf-8").splitlines()) for path in folder.glob("labels/*.txt"))


_FINISH = {"COCO": _coco, "VOC": _voc, "YOLO": _yolo}
"""What each format needs afterwards; answers how many regions it holds."""

_PRETTY = orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE
