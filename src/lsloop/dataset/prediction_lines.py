"""Predictions as JSON lines, as other tools hand them over.

They are read one by one; one that cannot be taken stops no other.
"""

import gzip
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import orjson

from lsloop.records import Result, Value
from lsloop.values.text import nfc

Refuse = Callable[[int, str], None]
"""What is called with the number of a line that cannot be taken, and why."""


@dataclass(frozen=True)
class PredictionLine:
    """A prediction of a sample, either as a value or as Label Studio's result.

    `name` is the sample's external id or its own id; `source` is None where any will do.
    """

    number: int
    name: str
    source: str | None
    version: str
    value: Value | None
    result: Result | None
    score: float | None
    uncertainty: float | None


def read(path: Path, version: str | None, refuse: Refuse) -> Iterator[PredictionLine]:
    """Read the lines of a file, plain or gzip, in constant memory.

    A line is {"external_id" (and "source") or "sample_id", "model_version", "value" or "result", "score",
    "uncertainty"}; "prediction" is another name for "value", and `version` that of lines without one.
    """
    number = 0
    with _opened(path) as file:
        try:
            for number, text in enumerate(file, 1):
                if text.strip():
                    try:
                        yield _parsed(number, text, version)
                    except ValueError as error:
                        refuse(number, str(error))
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            refuse(number + 1, f"the file is cut off or damaged from here on ({error})")


def _opened(path: Path) -> IO[bytes]:
    with path.open("rb") as file:
        is_packed = file.read(2) == b"\x1f\x8b"
    return gzip.open(path, "rb") if is_packed else path.open("rb")  # type: ignore[return-value]


def _parsed(number: int, text: bytes, version: str | None) -> PredictionLine:
    """Turn one line into a prediction.

    Raises ValueError with what is wrong.
    """
    try:
        one = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise ValueError(f"it is not JSON ({error})") from error
    if not isinstance(one, dict):
        raise ValueError("it is not an object")
    name = _text(one, "sample_id") or _text(one, "external_id")
    if name is None:
        raise ValueError("it has no external_id and no sample_id")
    version = _text(one, "model_version") or version
    if version is None:
        raise ValueError("it has no model_version; give one with --version")
    source, (value, result) = _text(one, "source"), _answer(one)
    return PredictionLine(
        number, nfc(name), source, version, value, result, _number(one, "score"), _number(one, "uncertainty")
    )


def _answer(one: dict[str, Any]) -> tuple[Value | None, Result | None]:
    value, result = one.get("value", one.get("prediction")), one.get("result")
    if (value is None) == (result is None):
        raise ValueError("it needs a value (an object of fields) or a result (Label Studio's)")
    if value is not None and not isinstance(value, dict):
        raise ValueError("its value is not an object of fields")
    if result is not None and not isinstance(result, list):
        raise ValueError("its result is not a list")
    return value, result


def _text(one: dict[str, Any], key: str) -> str | None:
    found = one.get(key)
    if found is None:
        return None
    if not isinstance(found, str) or not found.strip() or "\0" in found:  # which PostgreSQL cannot store
        raise ValueError(f"its {key} is no text")
    return found


def _number(one: dict[str, Any], key: str) -> float | None:
    found = one.get(key)
    if found is None:
        return None
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise ValueError(f"its {key} is not a number")
    return float(found)
