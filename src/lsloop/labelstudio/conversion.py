"""Formats that Label Studio's own converter knows: COCO, Pascal VOC and YOLO.

The SDK is imported only when it is asked.
"""

import logging
import re
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import orjson

from lsloop.errors import LsloopError, UsageError

TASKS = "tasks.json"
"""What is to be converted: tasks as Label Studio exports them, `image` in the data being a path in the
folder."""


def require_images(label_config: str, task_type: str) -> None:
    """Raise UsageError unless the label config is about images."""
    if not re.search(r"<Image\b", label_config):
        raise UsageError(f"{task_type} has no images.", "Use another --format, or another --task-type.")


def convert(folder: Path, label_config: str, form: str) -> dict[str, str]:
    """Turn `tasks.json` of a folder, in that folder, into `COCO`, `VOC` or `YOLO`.

    The same tasks give the same bytes. Returns the samples that the format cannot hold, and why;
    nothing of them is there then. Raises LsloopError when it can hold none of the regions: the
    converter leaves them out in silence.
    """
    tasks = orjson.loads((folder / TASKS).read_bytes())
    for task in tasks:  # what is not there as a file it takes for a URL, and renames
        task["data"]["image"] = str(folder / task["data"]["image"])
    work = partial(_converted, label_config=_config(label_config), form=form)
    try:
        work(tasks, folder, folder.name)
        return {}
    except Exception as error:  # one sample's, mostly: which one it is about is found below
        _require_data(error)
        _clear(folder)
        bad = _misfits(work, tasks, error)
        kept = [task for task in tasks if task["id"] not in bad]
        if isinstance(error, LsloopError) and not any(map(_regions, kept)):
            raise
    for task in tasks:
        if task["id"] in bad:
            Path(task["data"]["image"]).unlink()
    if kept:
        work(kept, folder, folder.name)
    else:
        shutil.rmtree(folder)
    return {Path(task["data"]["image"]).stem: bad[task["id"]] for task in tasks if task["id"] in bad}


def _converted(tasks: list[dict[str, Any]], folder: Path, name: str, *, label_config: str, form: str) -> None:
    from label_studio_sdk.converter.converter import Converter

    logging.getLogger("label_studio_sdk.converter").setLevel(
        logging.ERROR
    )  # images without regions are no news
    path = folder / TASKS
    path.write_bytes(orjson.dumps(tasks))
    converter: Any = Converter  # has no types
    converter(label_config, str(folder), download_resources=False).convert(
        str(path), str(folder), form, is_dir=False
    )
    path.unlink()
    given = sum(map(_regions, tasks))
    if (held := _FINISH[form](folder)) < given:
        problem = f"{form} holds {held:,} of {given:,} regions of {name}."
        raise LsloopError(
            problem, "Use --format coco, which holds polygons, or tree, which holds everything."
        )


def _misfits(work: Callable[..., None], tasks: list[dict[str, Any]], why: Exception) -> dict[int, str]:
    """The tasks that cannot be converted, by id, found by halving.

    `why` is what all of them together raised.
    """
    if len(tasks) == 1:
        raised = f"The converter takes none of its regions ({type(why).__name__}: {why})."
        return {tasks[0]["id"]: why.problem if isinstance(why, LsloopError) else raised}
    found: dict[int, str] = {}
    for half in (tasks[: len(tasks) // 2], tasks[len(tasks) // 2 :]):
        with TemporaryDirectory() as scratch:
            try:
                work(half, Path(scratch), "the sample")
            except Exception as error:  # the same one again, of this half
                _require_data(error)
                found |= _misfits(work, half, error)
    return found


def _require_data(error: Exception) -> None:
    """Raise the error again where its cause is not the data to be converted.

    Examples are a full disk, or no memory.
    """
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno is not None):
        raise error


def _clear(folder: Path) -> None:
    """Remove what an unfinished conversion left."""
    for path in folder.iterdir():
        if path.is_dir() and path.name != "images":
            shutil.rmtree(path)
        elif not path.is_dir():
            path.unlink()


def _regions(task: dict[str, Any]) -> int:
    values = (one.get("value") for one in task["annotations"][0]["result"])
    return sum(isinstance(value, dict) and _is_region(value) for value in values)


def _is_region(value: dict[str, Any]) -> bool:
    return "x" in value or "points" in value or "format" in value  # rectangle or ellipse, polygon, brush


def _config(label_config: str) -> str:
    """The label config with its image under the name that the tasks here have."""
    return re.sub(r"""(<Image\b[^>]*?\bvalue\s*=\s*["'])[^"']*""", r"\1$image", label_config)


def _coco(folder: Path) -> int:
    path = folder / "result.json"
    found: dict[str, Any] = orjson.loads(path.read_bytes())
    for image in found["images"]:
        image["file_name"] = str(Path(*Path(image["file_name"]).parts[-2:]))  # images/name
    found["info"] = {"version": "1.0"}  # without the time
    path.write_bytes(orjson.dumps(found, option=_PRETTY))
    return len(found["annotations"])


def _voc(folder: Path) -> int:
    return sum(
        path.read_text(encoding="utf-8").count("<object>") for path in folder.glob("Annotations/*.xml")
    )


def _yolo(folder: Path) -> int:
    notes = folder / "notes.json"
    found = orjson.loads(notes.read_bytes())
    notes.write_bytes(orjson.dumps({"categories": found["categories"]}, option=_PRETTY))
    return sum(len(path.read_text(encoding="utf-8").splitlines()) for path in folder.glob("labels/*.txt"))


_FINISH = {"COCO": _coco, "VOC": _voc, "YOLO": _yolo}
"""What each format needs afterwards; answers how many regions it holds."""

_PRETTY = orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE
