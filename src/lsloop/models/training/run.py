"""One fine-tuning run under transformers' Trainer.

It is resumable after a kill, and stopped by a loss that is no number. What a family brings is a `Recipe`. The
same code runs in one process and under torchrun, where only the first one writes.
"""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from accelerate.utils import find_executable_batch_size

from lsloop.errors import LsloopError
from lsloop.models import Row, Training, _predicting, checkpoint
from lsloop.models.training import trainers
from lsloop.models.training.process import LEFT_OUT
from lsloop.models.training.recipes import Examples, LeftOut, Recipe, Settings, settings_of
from lsloop.models.training.resuming import first, last_whole, meet, prepare, processes
from lsloop.values.text import counted


def fit(recipe: Recipe, rows: Sequence[Row], validation: Sequence[Row], training: Training) -> Path:
    """Fine-tune a model; returns its folder.

    Raises LsloopError for what ends a run, and then leaves no model behind.
    """
    settings, out = settings_of(training.settings, recipe.options), training.out / "model"
    if processes() > 1:
        PartialState(cpu=_predicting.device_of(settings.device).type == "cpu")
    learnt, watched = Examples(recipe, rows), Examples(recipe, validation)
    training.log({"step": 0, "rows": len(learnt), "left_out": len(rows) - len(learnt)})
    _tell(training, [*learnt.left_out, *watched.left_out])
    _check_rows(learnt, watched, settings)
    start = prepare(training, learnt.digest)
    if start and out.is_dir():
        return out  # it had come to its end
    trainer = _fit(recipe, learnt, watched, training, settings)
    _save(recipe, trainer, training)
    return out


def _tell(training: Training, left_out: Sequence[LeftOut]) -> None:
    """Write down what is left out, and why, for whoever ordered the run."""
    if first():
        (training.out / LEFT_OUT).unlink(missing_ok=True)
    if first() and left_out:
        training.out.mkdir(parents=True, exist_ok=True)
        (training.out / LEFT_OUT).write_text(
            json.dumps([one._asdict() for one in left_out]), encoding="utf-8"
        )


def _check_rows(learnt: Examples, watched: Examples, settings: Settings) -> None:
    if not learnt and learnt.misfit:
        raise learnt.misfit
    if not learnt:
        why = f" The first: {learnt.left_out[0].reason}" if learnt.left_out else ""
        rows = counted(len(learnt.rows), "row")
        problem = f"The train split is empty: of {rows}, none can be learnt from.{why}"
        raise LsloopError(problem, "Accept more annotations, then export again.")
    unreadable = [one for one in learnt.left_out if one.unreadable]
    if len(unreadable) > len(learnt.rows) / 2:
        of = counted(len(learnt.rows), "sample")
        problem = f"Of {of}, {len(unreadable):,} cannot be read. The first: {unreadable[0].reason}"
        raise LsloopError(
            problem, "Run `dvc pull`, then `lsloop export --include-exported`, and train again."
        )
    if settings.early_stopping and not watched:
        raise LsloopError(
            "The validation split is empty, and early stopping needs it.",
            "Set early_stopping to 0 in params.yaml, or export again with more samples.",
        )


def _fit(recipe: Recipe, learnt: Examples, watched: Examples, training: Training, settings: Settings) -> Any:
    """Train with the largest part of the batch that fits into memory.

    The parts of a batch make one step together.
    """
    whole = max(1, settings.batch_size // processes())

    def attempt(size: int) -> Any:
        parts = -(-whole // size) * settings.gradient_accumulation
        trainer = trainers.make(recipe, learnt, watched, training, settings, size, parts)
        trainer.train(resume_from_checkpoint=last_whole(training.out / "checkpoints"))
        return trainer

    try:
        return attempt(whole)
    except RuntimeError as error:
        if not _predicting.out_of_memory(error):
            raise
        if whole == 1 or processes() > 1:  # the other processes would wait for one that tries again
            raise _too_large(whole) from error
    half = whole // 2
    try:
        return find_executable_batch_size(attempt, half, _predicting.halves(half))()
    except RuntimeError as error:
        if _predicting.out_of_memory(error):
            raise _too_large(1) from error
        raise


def _too_large(batch: int) -> LsloopError:
    problem = f"Training needs more memory than there is, for a batch of {batch}."
    fix = (
        "Set lora or gradient_checkpointing in params.yaml, shorten the recordings, or use a larger machine."
    )
    return LsloopError(problem, fix)


def _save(recipe: Recipe, trainer: Any, training: Training) -> None:
    """The finished model, sealed; its checkpoints are no longer needed."""
    model = trainer.accelerator.unwrap_model(trainer.model)
    if hasattr(model, "merge_and_unload"):
        model = model.merge_and_unload()
    model.config.use_cache = True
    if not all(bool(torch.isfinite(weight).all()) for weight in model.parameters()):
        raise trainers.diverged(trainer.state.global_step)
    if first():

        def save(folder: Path) -> None:
            model.save_pretrained(folder)
            recipe.processor.save_pretrained(folder)

        about = {"family": recipe.family, "base": training.base, "seed": training.seed}
        checkpoint.write(training.out / "model", save, about)
        shutil.rmtree(training.out / "checkpoints", ignore_errors=True)
    meet()
