"""Models: what a family of them is, and which one answers. Only here is torch known; each module of `families` is a family.

A family is written top to bottom; a few lines that two families share are written twice. Nothing heavy is imported
before a model is loaded.
"""

import gc
import hashlib
import importlib
import json
import pkgutil
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol, runtime_checkable

from lsloop.errors import LsloopError, UsageError
from lsloop.models import families
from lsloop.records import Value

MAKING = threading.RLock()
"""Held by a thread that imports the families, or that loads or makes a model: one at a time in a process.

transformers swaps methods of its classes and torch's functions for first weights while it loads. Of two threads that load at
the same time, the second takes the swapped ones for the real ones and puts them back for good: from then on every model
whose layers share weights "lacks weights", in this process and until it ends.
"""

Row = dict[str, Any]
"""What a model is asked about or trained on: a training row of the task type, `media` as a path that can be opened.

To be asked about, it may also have `language` (of the speech) and `prompt` (what an annotator said of it); a family
that can do nothing with them leaves them be.
"""


class Unreadable(LsloopError):
    """A row that no model can hear or read anything in: it is the row's fault, not the model's."""


@dataclass(frozen=True)
class Guess:
    """A model's answer for one row. `score` and `uncertainty` are in [0, 1]; `problem` says why there is no value.

    `unreadable`: no model could have answered.
    """

    value: Value | None
    score: float | None = None
    uncertainty: float | None = None
    problem: str | None = None
    unreadable: bool = False


class Predictor(Protocol):
    """A model in memory."""

    def predict(self, rows: Sequence[Row]) -> list[Guess]:
        """N answers for N rows, in order. A row that cannot be read is a problem of that row only."""


@dataclass(frozen=True)
class Training:
    """What a fine-tuning run is told. `settings` are params.yaml's for the task type (see `training.recipes.Settings`).

    `log` is called with `step` and what was measured at it; first of all with `rows` and `left_out` (rows that nothing
    can be learnt from: no recording that can be read, no answer).
    """

    base: str  # a folder, or the id of a model on a hub
    out: Path  # checkpoints while it trains, then the model, complete, under `model/`
    settings: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    resume: bool = False
    log: Callable[[Mapping[str, float]], None] = lambda metrics: None


@runtime_checkable
class Family(Protocol):
    """What a module must have to be a family."""

    KINDS: tuple[str, ...]
    """The kinds of task it answers: modules of `task_types`."""

    ARCHITECTURES: tuple[str, ...]
    """What the `architectures` of a checkpoint's config.json end in: `ForCTC`, `ForConditionalGeneration`, …"""

    def load(self, model: str, device: str = "auto", settings: Mapping[str, Any] = MappingProxyType({})) -> Predictor:
        """Load a model; `settings` are params.yaml's for predicting (batch size, languages, beams, …).

        Raises UsageError for one that is not there, partial, altered, or of another family.
        """

    def train(self, rows: Sequence[Row], validation: Sequence[Row], training: Training) -> Path:
        """Fine-tune and save; the folder of the model, which `load` takes. Resumes from the last checkpoint if told to.

        Raises LsloopError for what ends a run: nothing to train on, a loss that is not a number, too little memory.
        """


def names() -> list[str]:
    """The families there are, sorted."""
    return sorted(module.name for module in pkgutil.iter_modules(families.__path__))


def fingerprint(model: str | Path) -> str:
    """A short hash of a model's weights, its version: equal for equal weights, wherever they lie. Needs no torch.

    A hub's model must have been loaded before. Raises UsageError for a folder without weights.
    """
    hashes = (sha256(file) for file in weights(_folder(model)))
    return hashlib.sha256("\n".join(hashes).encode()).hexdigest()[:12]


def sha256(file: Path) -> str:
    """The SHA-256 of a file, however large."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def weights(folder: Path) -> list[Path]:
    """The files that hold a model's weights, by name. Raises UsageError when there are none."""
    for suffix in ("safetensors", "bin"):
        if found := sorted(file for file in folder.glob(f"*.{suffix}") if file.name != "training_args.bin"):
            return found
    raise UsageError(f"{folder} is not a whole model: it has no weights.", "Run `dvc pull`, or name another model.")


def _folder(model: str | Path) -> Path:
    if Path(model).is_dir():
        return Path(model)
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(snapshot_download(str(model), local_files_only=True))
    except (LocalEntryNotFoundError, ValueError) as error:
        raise UsageError(f"There is no model at {model}.", "Run `dvc pull`, or name another model.") from error


def family(kind: str, model: str) -> Family:
    """The family that answers a kind of task with a model. Raises UsageError when none does."""
    with MAKING:
        fits = [one for one in _families() if kind in one.KINDS]
    if not fits:
        raise UsageError(f"No model family answers {kind}.", f"There are: {', '.join(names())}.")
    architectures = _architectures(model)
    for one in fits:
        if any(name.endswith(one.ARCHITECTURES) for name in architectures):
            return one
    what = ", ".join(architectures) or "no architecture in its config.json"
    raise UsageError(f"The model {model} ({what}) cannot answer {kind}.", "Name another model in params.yaml.")


@cache
def _families() -> list[Family]:
    """All of them, imported while the garbage collector rests.

    With them come torch and transformers: hundreds of thousands of objects, which the collector would look through again and
    again as they arrive, at every look afterwards, and once more at the end. They stay, so it need not: a third less.
    """
    was = gc.isenabled()
    gc.disable()
    try:
        found: list[Family] = [importlib.import_module(f"{families.__name__}.{name}") for name in names()]
        gc.freeze()
    finally:
        if was:
            gc.enable()
    return found


def _architectures(model: str) -> list[str]:
    """What a checkpoint says of itself: a local folder's config.json, else what the hub's says."""
    folder = Path(model)
    if folder.is_dir():
        try:
            return list(json.loads((folder / "config.json").read_text(encoding="utf-8")).get("architectures") or [])
        except (FileNotFoundError, ValueError) as error:
            problem = f"{model} is not a whole model: its config.json cannot be read."
            raise UsageError(problem, "Run `dvc pull`, or name another model.") from error
    if folder.is_absolute() or model.startswith(".") or model.count("/") != 1:
        raise UsageError(f"There is no model at {model}.", "Run `dvc pull`, or name another model in params.yaml.")
    from transformers import AutoConfig

    try:
        return list(AutoConfig.from_pretrained(model).architectures or [])
    except (OSError, ValueError) as error:
        problem = f"The model {model} is neither a folder here nor to be had from the hub."
        raise UsageError(problem, "Run `dvc pull`, or check the name and the network.") from error
