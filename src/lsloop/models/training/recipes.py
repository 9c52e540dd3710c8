"""A training run's recipe and settings, and rows as examples to learn from.

A recipe is what a family brings to a run, settings are what params.yaml may say of one.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

import torch

from lsloop.dataset.reviewed import Rows
from lsloop.errors import LsloopError, UsageError
from lsloop.models import Row, Unreadable, _predicting

KEPT_BYTES = 256 * 2**20
"""Examples up to so many bytes are kept for the next epoch; those beyond are read and computed anew each
time."""


@dataclass(frozen=True)
class Settings:
    """The keys that params.yaml may have under `training`, besides a family's own."""

    epochs: float = 3.0
    max_steps: int = 0  # 0: as many as the epochs need
    batch_size: int = 8  # rows a step learns from at once, all processes together
    gradient_accumulation: int = 1  # so many batches make one step
    learning_rate: float = 1e-4
    scheduler: str = "linear"  # linear | cosine | constant | … (transformers.SchedulerType)
    warmup: float = 0.0  # steps; below 1, their share of all steps
    weight_decay: float = 0.0
    save_steps: int = 500  # a checkpoint, and for early stopping a look at the validation loss, every so many
    log_steps: int = 10
    early_stopping: int = (
        0  # so many looks without a better validation loss end it, and the best is kept; 0: never
    )
    lora: Mapping[str, Any] = field(
        default_factory=dict
    )  # r, alpha, dropout, target_modules, modules_to_save
    gradient_checkpointing: bool = False  # slower, and far less memory
    precision: str = "fp32"  # or bf16, fp16
    device: str = "auto"
    workers: int = 0  # processes that read ahead
    plots: bool = True  # curves through dvclive, under `live/`; only within a DVC project


@dataclass(frozen=True)
class Recipe:
    """The part that a family brings to a run."""

    family: str
    model: Callable[[], Any]  # the base model, loaded anew
    example: Callable[[Row], Mapping[str, Any]]  # what is learnt from one row
    collate: Callable[[list[Any]], Mapping[str, Any]]  # examples as a batch, with `labels`
    processor: Any  # saved beside the model
    unusable: Callable[[Row], str | None]  # why nothing can be learnt from a row; it may also raise that
    loss: Callable[[Any, Mapping[str, Any]], torch.Tensor] | None = None  # None: the model's own
    options: tuple[str, ...] = ()  # settings that only this family knows


def settings_of(settings: Mapping[str, Any], options: tuple[str, ...]) -> Settings:
    """The settings that all families know; `options` are the family's own.

    Raises UsageError for what is neither.
    """
    _predicting.check_names(settings, (*(one.name for one in fields(Settings)), *options))
    given = {one.name: settings[one.name] for one in fields(Settings) if settings.get(one.name) is not None}
    try:
        kinds = {name: type(getattr(Settings(), name)) for name in given}
        return Settings(**{name: kinds[name](value) for name, value in given.items()})
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"A training setting has a value that does not fit: {error}.", "See params.yaml."
        ) from error


class LeftOut(NamedTuple):
    """A row that nothing can be learnt from.

    `unreadable`: it should be possible, if all were well with its files.
    """

    sample_id: str
    name: str
    reason: str
    unreadable: bool


class Examples:
    """The usable rows as examples, made when they are asked for.

    In memory are the first `KEPT_BYTES` only.
    """

    def __init__(self, recipe: Recipe, rows: Sequence[Row]) -> None:
        self.example, self.rows = recipe.example, rows
        self.kept: dict[int, Mapping[str, Any]] = {}
        self.bytes, digest = 0, hashlib.sha256()
        self.usable: list[int] = []
        self.left_out: list[LeftOut] = []
        self.misfit: UsageError | None = None  # what does not fit a row, and may fit none: the base model
        for index in range(len(rows)):
            row: Row = {}
            try:
                row = rows[index]
                if (reason := recipe.unusable(row)) is None:
                    self.usable.append(index)
                    digest.update(_as_json(row))
                else:
                    self._leave_out(index, row, reason)
            except MemoryError:
                raise
            except Exception as error:  # whatever a file or a library raises is a problem of this row only
                self._leave_out(index, row, _said(error), unreadable=True)
                self.misfit = self.misfit or (error if isinstance(error, UsageError) else None)
        self.digest = digest.hexdigest()

    def _leave_out(self, index: int, row: Row, reason: str, *, unreadable: bool = False) -> None:
        known = self.rows.sample_id(index) if isinstance(self.rows, Rows) else f"row {index + 1}"
        sample_id = str(row.get("sample_id") or known)
        self.left_out.append(LeftOut(sample_id, str(row.get("external_id") or sample_id), reason, unreadable))

    def __len__(self) -> int:
        return len(self.usable)

    def __getitem__(self, index: int) -> Mapping[str, Any]:
        if index in self.kept:
            return self.kept[index]
        row = self.rows[self.usable[index]]
        try:
            example = self.example(row)
        except Unreadable as error:  # it could be read when the run began
            raise LsloopError(error.problem, "Run it again: what cannot be read is left out.") from error
        size = sum(getattr(value, "nbytes", 0) for value in example.values())
        if self.bytes + size <= KEPT_BYTES:
            self.kept[index], self.bytes = example, self.bytes + size
        return example


def _as_json(row: Row) -> bytes:
    learnt = {name: value for name, value in row.items() if name != "external_id"}
    return json.dumps(learnt, sort_keys=True, default=str).encode()


def _said(error: Exception) -> str:
    if isinstance(error, LsloopError):
        return error.problem
    return str(error).strip().partition("\n")[0] or type(error).__name__
