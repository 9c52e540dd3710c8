"""Whole, untampered model folders: checks before loading, and writing.

Knows no torch.
"""

import json
import shutil
import struct
import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from lsloop.errors import UsageError
from lsloop.models import sha256, weights

SEAL = "lsloop.json"
"""In a folder that lsloop wrote: the SHA-256 of every other file, and where the model comes from."""

FIX = "Run `dvc pull`, or name another model in params.yaml."


def check(model: str) -> None:
    """Raise UsageError for a folder that is not a whole, unaltered model.

    Unaltered: it is the one that was written. The id of a model on a hub passes: the hub's own client checks
    what it downloads.
    """
    folder = Path(model)
    if not folder.is_dir():
        if _is_no_hub_id(model):
            raise UsageError(f"There is no model at {model}.", FIX)
        return
    if not (folder / "config.json").is_file():
        raise UsageError(f"{model} is not a whole model: it has no config.json.", FIX)
    for file in weights(folder):
        if file.suffix == ".safetensors" and file.stat().st_size != _length(file):
            raise UsageError(f"{file} is not whole: it is shorter or longer than it says.", FIX)
    _check_shards(folder)
    _check_seal(folder)


def architectures(place: str) -> list[str]:
    """The architectures that a checkpoint's config.json names.

    The file is a local folder's, else the hub's. Raises UsageError.
    """
    if Path(place).is_dir():
        try:
            return _architectures(Path(place) / "config.json")
        except (OSError, ValueError) as error:
            problem = f"{place} is not a whole model: its config.json cannot be read."
            raise UsageError(problem, "Run `dvc pull`, or name another model.") from error
    if _is_no_hub_id(place):
        raise UsageError(f"There is no model at {place}.", FIX)
    try:
        return _architectures(_from_hub(place))
    except (OSError, ValueError) as error:
        problem = f"The model {place} is neither a folder here nor to be had from the hub."
        raise UsageError(problem, "Run `dvc pull`, or check the name and the network.") from error


ASKED_AGAIN = 10.0
"""Seconds for which a hub that did not have a model is not asked again: each family asks."""


def _is_no_hub_id(place: str) -> bool:
    return Path(place).is_absolute() or place.startswith(".") or place.count("/") != 1 or ":" in place


def _architectures(file: Path) -> list[str]:
    return list(json.loads(file.read_text(encoding="utf-8")).get("architectures") or [])


@lru_cache(maxsize=16)
def _asked_of_hub(place: str, moment: int) -> Path | Exception:
    try:
        from huggingface_hub import hf_hub_download

        return Path(hf_hub_download(place, "config.json"))
    except (OSError, ValueError, ImportError) as error:
        return error


def _from_hub(place: str) -> Path:
    """The local path of a hub's config.json now.

    Raises OSError.
    """
    found = _asked_of_hub(place, int(time.monotonic() / ASKED_AGAIN))
    if isinstance(found, Exception):
        raise OSError(str(found)) from found
    return found


def write(folder: Path, save: Callable[[Path], None], about: Mapping[str, Any]) -> Path:
    """Write a model folder in one step.

    `save` fills a folder beside it, which takes its place when sealed.
    """
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    save(partial)
    seal(partial, about)
    shutil.rmtree(folder, ignore_errors=True)
    return partial.rename(folder)


def seal(folder: Path, about: Mapping[str, Any]) -> None:
    """Write down what is in the folder, so that `check` notices a change."""
    files = {file.relative_to(folder).as_posix(): sha256(file) for file in _files(folder)}
    (folder / SEAL).write_text(
        json.dumps({**about, "files": files}, indent=1, sort_keys=True), encoding="utf-8"
    )


def _check_seal(folder: Path) -> None:
    """Check that every sealed file is as it was, and no weights came in beside them."""
    if not (folder / SEAL).is_file():
        return
    try:
        sealed: dict[str, str] = json.loads((folder / SEAL).read_text(encoding="utf-8"))["files"]
    except (ValueError, KeyError) as error:
        raise UsageError(f"{folder / SEAL} cannot be read.", FIX) from error
    for name, digest in sorted(sealed.items()):
        if not (folder / name).is_file():
            raise UsageError(f"{folder} is not a whole model: {name} is missing.", FIX)
        if sha256(folder / name) != digest:
            raise UsageError(f"{folder / name} is not as it was written: its SHA-256 differs.", FIX)
    if more := sorted(file.name for file in weights(folder) if file.name not in sealed):
        raise UsageError(f"{folder / more[0]} was not there when the model was written.", FIX)


def _check_shards(folder: Path) -> None:
    """Check that every file that an index of split weights names is there."""
    for index in folder.glob("*.index.json"):
        for name in sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())):
            if not (folder / name).is_file():
                raise UsageError(f"{folder} is not a whole model: {name} is missing.", FIX)


def _length(file: Path) -> int:
    """The length that a safetensors file says it has, in bytes.

    The file is 8 bytes, a JSON header of that many bytes, and the tensors after it.
    """
    try:
        with file.open("rb") as stream:
            (header,) = struct.unpack("<Q", stream.read(8))
            if header > file.stat().st_size:
                return -1
            tensors = json.loads(stream.read(header))
        ends = (tensor["data_offsets"][1] for name, tensor in tensors.items() if name != "__metadata__")
        return int(8 + header + max(ends, default=0))
    except (struct.error, ValueError, KeyError, TypeError, AttributeError):
        return -1


def _files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob("*") if file.is_file() and file.name != SEAL)
