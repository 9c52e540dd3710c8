"""Models: what a family of them is, and what goes in and out of a model.

Only in this package is torch known. Which family answers is chosen in `choosing`; nothing heavy is imported
before a model is loaded.
"""

import hashlib
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol, runtime_checkable

from lsloop.errors import LsloopError, UsageError
from lsloop.records import Value
from lsloop.values import regions
from lsloop.values.regions import Control

MAKING = threading.RLock()
"""Held by a thread that imports a family's code, or that loads or makes a model: one at a time in a process.

transformers swaps methods of its classes and torch's functions for first weights while it loads. Of two
threads that load at the same time, the second takes the swapped ones for the real ones and puts them back for
good: from then on every model whose layers share weights "lacks weights", in this process and until it ends.
"""

Row = dict[str, Any]
"""A question of the kind, or a training row; `media` is a path that can be opened.

A question also has `controls` (what may be answered: the controls of the label config by name, each with its
choices or labels), and may have `language` (of the speech) and `prompt` (what an annotator said of it); a
family that can do nothing with them leaves them be.
"""


class Unreadable(LsloopError):
    """A row that no model can hear or read anything in.

    It is the row's fault, not the model's.
    """


@dataclass(frozen=True)
class Guess:
    """A model's answer for one row.

    `score` and `uncertainty` are in [0, 1]; `problem` says why there is no value. `unreadable`: no model
    could have answered.
    """

    value: Value | None
    score: float | None = None
    uncertainty: float | None = None
    problem: str | None = None
    unreadable: bool = False


class Predictor(Protocol):
    """A model in memory, or the way to one."""

    @property
    def concurrency(self) -> int:
        """The number of calls that may run at once.

        1: all questions come in one call; more: each comes in a call of its own.
        """

    def predict(self, rows: Sequence[Row]) -> list[Guess]:
        """Answer N rows with N guesses, in order.

        A row that cannot be read is a problem of that row only. A value is under the names of the kind's
        fields, or, for a job made of its label config, under those of its controls: what is answered for the
        whole task, and `regions`, as `values.answers` says.
        """


@dataclass(frozen=True)
class Training:
    """The orders for a fine-tuning run.

    `settings` are params.yaml's for the task type (see `training.recipes.Settings`).

    `log` is called with `step` and what was measured at it; first of all with `rows` and `left_out` (rows
    that nothing can be learnt from: no recording that can be read, no answer).
    """

    base: str  # a folder, or the id of a model on a hub
    out: Path  # checkpoints while it trains, then the model, complete, under `model/`
    settings: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    resume: bool = False
    log: Callable[[Mapping[str, float]], None] = lambda metrics: None


@dataclass(frozen=True)
class Job:
    """A labelling job as a family sees it.

    It says what kind the job is, and what its label config asks for.
    """

    kind: str
    label_config: str = ""

    @property
    def controls(self) -> Mapping[str, Control]:
        """The controls that are to be answered, by name.

        Raises UsageError for a label config that is none.
        """
        try:
            return regions.controls(self.label_config) if self.label_config else {}
        except ValueError as error:
            problem = f"The label config is not valid: {str(error).rstrip('.')}."
            raise UsageError(problem, "Correct the XML.") from error


@runtime_checkable
class Family(Protocol):
    """The functions that make a family, of a module or an object.

    None but `load` and `train` imports anything heavy.

    A place is where a model is: a folder, the id of a model on a hub, or what a family calls it
    (`openai:http://…#name`).
    """

    def answers(self, job: Job) -> bool:
        """Say whether the family can answer a labelling job.

        It goes by the kind of the job, or by the controls of its label config.
        """

    def recognises(self, place: str) -> bool:
        """Say whether a place holds a model of this family.

        It goes by a config.json, a suffix or the word before a colon.
        """

    def version(self, place: str) -> str | None:
        """The version of the model there now.

        It is the hash of its weights, or what a server says of itself. None while nobody knows: it is asked
        again once the model is loaded. Raises UsageError where it cannot be used.
        """

    def load(
        self, place: str, device: str = "auto", settings: Mapping[str, Any] = MappingProxyType({})
    ) -> Predictor:
        """Load a model with the settings that params.yaml has for predicting.

        `settings` are the batch size, languages, beams, …. Raises UsageError for a model that is not there,
        partial, altered, or of another family.
        """


@runtime_checkable
class Trainable(Family, Protocol):
    """A family whose models can be fine-tuned."""

    def train(self, rows: Sequence[Row], validation: Sequence[Row], training: Training) -> Path:
        """Fine-tune and save a model; returns its folder, which `load` takes.

        Resumes from the last checkpoint if told to. Raises LsloopError for what ends a run: nothing to train
        on, a loss that is not a number, too little memory.
        """


def fingerprint(model: str | Path) -> str:
    """A short hash of a model's weights, its version.

    It is equal for equal weights, wherever they lie, and needs no torch. A hub's model must have been loaded
    before. Raises UsageError for a folder without weights.
    """
    hashes = (sha256(file) for file in weights(_folder(model)))
    return hashlib.sha256("\n".join(hashes).encode()).hexdigest()[:12]


def sha256(file: Path) -> str:
    """The SHA-256 of a file, however large."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def weights(folder: Path) -> list[Path]:
    """The files that hold a model's weights, by name.

    Raises UsageError when there are none.
    """
    for suffix in ("safetensors", "bin"):
        if found := sorted(file for file in folder.glob(f"*.{suffix}") if file.name != "training_args.bin"):
            return found
    raise UsageError(
        f"{folder} is not a whole model: it has no weights.", "Run `dvc pull`, or name another model."
    )


def _folder(model: str | Path) -> Path:
    if Path(model).is_dir():
        return Path(model)
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(snapshot_download(str(model), local_files_only=True))
    except (LocalEntryNotFoundError, ValueError) as error:
        raise UsageError(
            f"There is no model at {model}.", "Run `dvc pull`, or name another model."
        ) from error
