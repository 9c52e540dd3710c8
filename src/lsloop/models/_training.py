"""One fine-tuning run under transformers' Trainer: resumable after a kill, stopped by a loss that is no number.

What a family brings is a `Recipe`. The same code runs in one process and under torchrun, where only the first one writes.
"""

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
import transformers
from accelerate import PartialState
from accelerate.utils import find_executable_batch_size

from lsloop.errors import LsloopError, UsageError
from lsloop.models import Row, Training, _checkpoint, _predicting

WHOLE = "lsloop-checkpoint.json"
"""Written into a checkpoint last, with the size of every file: a checkpoint without it was being written in a kill."""

KEPT_BYTES = 256 * 2**20
"""Examples up to so many bytes are kept for the next epoch; those beyond are read and computed anew each time."""


@dataclass(frozen=True)
class Settings:
    """What params.yaml may say under `training`, besides a family's own options."""

    epochs: float = 3.0
    max_steps: int = 0  # 0: as many as the epochs need
    batch_size: int = 8  # rows a step learns from at once, all processes together
    gradient_accumulation: int = 1  # so many batches make one step
    learning_rate: float = 1e-4
    scheduler: str = "linear"  # linear | cosine | constant | … (transformers.SchedulerType)
    warmup: float = 0.0  # steps; below 1, their share of all steps
    weight_decay: float = 0.0
    save_steps: int = (
        500  # a checkpoint, and with early stopping a look at the validation loss, every so many steps
    )
    log_steps: int = 10
    early_stopping: int = (
        0  # stop after so many looks without a better validation loss, keep the best; 0: never
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
    """What a family brings to a run."""

    family: str
    model: Callable[[], Any]  # the base model, loaded anew
    example: Callable[[Row], Mapping[str, Any]]  # what is learnt from one row
    collate: Callable[[list[Any]], Mapping[str, Any]]  # examples as a batch, with `labels`
    processor: Any  # saved beside the model
    unusable: Callable[[Row], bool]
    loss: Callable[[Any, Mapping[str, Any]], torch.Tensor] | None = None  # None: the model's own
    options: tuple[str, ...] = ()  # settings that only this family knows


def run(recipe: Recipe, rows: Sequence[Row], validation: Sequence[Row], training: Training) -> Path:
    """Fine-tune; the folder of the model. Raises LsloopError for what ends a run, and then leaves no model behind."""
    settings, out = settings_of(training.settings, recipe.options), training.out / "model"
    if _processes() > 1:
        PartialState(cpu=_predicting.device_of(settings.device).type == "cpu")
    learnt, watched = _Examples(recipe, rows), _Examples(recipe, validation)
    training.log({"step": 0, "rows": len(learnt), "left_out": len(rows) - len(learnt)})
    _check_rows(learnt, watched, settings)
    start = _prepare(training, learnt.digest)
    if start and out.is_dir():
        return out  # it had come to its end
    trainer = _fit(recipe, learnt, watched, training, settings)
    _save(recipe, trainer, training)
    return out


def settings_of(settings: Mapping[str, Any], options: tuple[str, ...]) -> Settings:
    """The settings that all families know; `options` are the family's own. Raises UsageError for what is neither."""
    _predicting.check_names(settings, (*(one.name for one in fields(Settings)), *options))
    given = {one.name: settings[one.name] for one in fields(Settings) if settings.get(one.name) is not None}
    try:
        kinds = {name: type(getattr(Settings(), name)) for name in given}
        return Settings(**{name: kinds[name](value) for name, value in given.items()})
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"A training setting has a value that does not fit: {error}.", "See params.yaml."
        ) from error


class _Examples:
    """The usable rows as examples, made when they are asked for. In memory are the first `KEPT_BYTES` only."""

    def __init__(self, recipe: Recipe, rows: Sequence[Row]) -> None:
        self.example, self.rows = recipe.example, rows
        self.kept: dict[int, Mapping[str, Any]] = {}
        self.bytes, digest = 0, hashlib.sha256()
        self.usable: list[int] = []
        for index, row in enumerate(rows):
            if not recipe.unusable(row):
                self.usable.append(index)
                digest.update(json.dumps(row, sort_keys=True, default=str).encode())
        self.digest = digest.hexdigest()

    def __len__(self) -> int:
        return len(self.usable)

    def __getitem__(self, index: int) -> Mapping[str, Any]:
        if index in self.kept:
            return self.kept[index]
        example = self.example(self.rows[self.usable[index]])
        size = sum(getattr(value, "nbytes", 0) for value in example.values())
        if self.bytes + size <= KEPT_BYTES:
            self.kept[index], self.bytes = example, self.bytes + size
        return example


def _check_rows(learnt: _Examples, watched: _Examples, settings: Settings) -> None:
    if not learnt:
        problem = f"The train split is empty: of {len(learnt.rows)} rows, none can be learnt from."
        raise LsloopError(problem, "Accept more annotations, then export again.")
    if settings.early_stopping and not watched:
        raise LsloopError(
            "The validation split is empty, and early stopping needs it.",
            "Set early_stopping to 0 in params.yaml, or export again with more samples.",
        )


def _prepare(training: Training, digest: str) -> bool:
    """Whether there is a run to go on with. Raises UsageError when it was another one; clears it away if not wanted."""
    about = {
        "base": training.base,
        "settings": dict(training.settings),
        "seed": training.seed,
        "rows": digest,
    }
    ours = json.dumps(about, sort_keys=True, default=str)
    file = training.out / "run.json"
    started = training.resume and file.is_file()
    if started and file.read_text(encoding="utf-8") != ours:
        problem = f"The run in {training.out} had another base model, other settings or other rows."
        raise UsageError(problem, "Start it anew, without resuming.")
    _meet()
    if _first() and not started:
        for name in ("model", "checkpoints", "live"):
            shutil.rmtree(training.out / name, ignore_errors=True)
        training.out.mkdir(parents=True, exist_ok=True)
        file.write_text(ours, encoding="utf-8")
    _meet()
    return started


def _fit(
    recipe: Recipe, learnt: _Examples, watched: _Examples, training: Training, settings: Settings
) -> Any:
    """Train with the largest part of the batch that fits into memory; the parts of a batch make one step together."""
    whole = max(1, settings.batch_size // _processes())

    def attempt(size: int) -> Any:
        parts = -(-whole // size) * settings.gradient_accumulation
        trainer = _trainer(recipe, learnt, watched, training, settings, size, parts)
        trainer.train(resume_from_checkpoint=_last_whole(training.out / "checkpoints"))
        return trainer

    try:
        return attempt(whole)
    except RuntimeError as error:
        if not _predicting.out_of_memory(error):
            raise
        if whole == 1 or _processes() > 1:  # the other processes would wait for one that tries again
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
    fix = "Set lora or gradient_checkpointing in params.yaml, shorten the recordings, or use a larger machine."
    return LsloopError(problem, fix)


def _trainer(
    recipe: Recipe,
    learnt: _Examples,
    watched: _Examples,
    training: Training,
    settings: Settings,
    size: int,
    parts: int,
) -> Any:
    transformers.set_seed(training.seed)
    watch = bool(settings.early_stopping)
    callbacks: list[Any] = [_Log(training, settings), _Mark()]
    if watch:
        callbacks.append(transformers.EarlyStoppingCallback(settings.early_stopping))
    trainer = _Trainer(
        model=_adapted(recipe.model(), settings),
        args=_arguments(training, settings, size, parts, watch),
        data_collator=recipe.collate,
        train_dataset=learnt,
        eval_dataset=watched if watch else None,
        callbacks=callbacks,
    )
    trainer.own_loss = recipe.loss
    # Says that the model divides its loss by the number of labels in all parts of a step. These models do not, and with
    # it the loss is as many times too large as there are parts, or processes.
    trainer.model_accepts_loss_kwargs = False
    trainer.remove_callback(transformers.PrinterCallback)
    return trainer


def _arguments(training: Training, settings: Settings, size: int, parts: int, watch: bool) -> Any:
    cpu = _predicting.device_of(settings.device).type == "cpu"
    return transformers.TrainingArguments(
        output_dir=str(training.out / "checkpoints"),
        num_train_epochs=settings.epochs,
        max_steps=settings.max_steps or -1,
        per_device_train_batch_size=size,
        per_device_eval_batch_size=size,
        gradient_accumulation_steps=parts,
        learning_rate=settings.learning_rate,
        lr_scheduler_type=settings.scheduler,
        warmup_steps=settings.warmup,
        weight_decay=settings.weight_decay,
        seed=training.seed,
        data_seed=training.seed,
        bf16=settings.precision == "bf16",
        fp16=settings.precision == "fp16",
        save_strategy="steps" if settings.save_steps else "no",
        save_steps=settings.save_steps or 1,
        save_total_limit=2,
        eval_strategy="steps" if watch else "no",
        eval_steps=settings.save_steps or None,
        load_best_model_at_end=watch,
        metric_for_best_model="eval_loss" if watch else None,
        greater_is_better=False if watch else None,
        restore_callback_states_from_checkpoint=watch,
        prediction_loss_only=True,  # the logits of a validation split do not fit into memory
        logging_steps=settings.log_steps,
        label_names=["labels"],
        remove_unused_columns=False,
        dataloader_num_workers=settings.workers,
        dataloader_pin_memory=not cpu,
        use_cpu=cpu,
        ddp_backend="gloo" if cpu and _processes() > 1 else None,
        report_to=[],
        disable_tqdm=True,
    )


class _Trainer(transformers.Trainer):  # type: ignore[misc]
    """Trainer that stops at a loss which is no number, and whose look at the validation split changes nothing."""

    own_loss: Callable[[Any, Mapping[str, Any]], torch.Tensor] | None = None

    def training_step(self, *args: Any, **options: Any) -> Any:
        loss = super().training_step(*args, **options)
        if not torch.isfinite(loss):
            raise diverged(self.state.global_step)
        return loss

    def compute_loss(self, model: Any, inputs: Any, return_outputs: bool = False, **options: Any) -> Any:
        if self.own_loss is None:
            return super().compute_loss(model, inputs, return_outputs=return_outputs, **options)
        loss = self.own_loss(model, inputs)
        return (loss, {}) if return_outputs else loss

    def evaluate(self, *args: Any, **options: Any) -> Any:
        with torch.random.fork_rng():
            return super().evaluate(*args, **options)


class _Mark(transformers.TrainerCallback):  # type: ignore[misc]
    """Marks a checkpoint as whole once all processes have written their part."""

    def on_save(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
        _meet()
        if state.is_world_process_zero:
            folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
            partial = folder / f"{WHOLE}.partial"
            sizes = {file.name: file.stat().st_size for file in folder.iterdir()}
            partial.write_text(json.dumps(sizes), encoding="utf-8")
            partial.rename(folder / WHOLE)


class _Log(transformers.TrainerCallback):  # type: ignore[misc]
    """Tells the caller, and draws the curves: from the start, so that a resumed run's are those of an unbroken one."""

    def __init__(self, training: Training, settings: Settings) -> None:
        self.training, self.plots, self.live = training, settings.plots, None

    def on_train_begin(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
        if not state.is_world_process_zero or not self.plots or not _in_dvc_project(self.training.out):
            return
        from dvclive import Live

        folder = str(self.training.out.resolve() / "live")
        # It looks for git and DVC where it is made, makes DVC's folder in whatever git it finds, and fails in one without a
        # commit. Where there is neither, it just writes the curves.
        with contextlib.chdir(tempfile.gettempdir()):
            self.live = Live(dir=folder, save_dvc_exp=False, dvcyaml=None, report=None)
        for logged in state.log_history:
            self._draw(logged)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **rest: Any) -> None:
        if state.is_world_process_zero:
            numbers = {name: float(value) for name, value in (logs or {}).items()}
            self.training.log({**numbers, "step": state.global_step})
            self._draw({**numbers, "step": state.global_step})

    def _draw(self, logged: Mapping[str, float]) -> None:
        if self.live is not None:
            self.live.step = int(logged["step"])
            for name in logged.keys() & {"loss", "eval_loss", "learning_rate", "grad_norm"}:
                self.live.log_metric(name, logged[name])
            self.live.make_summary()


def _in_dvc_project(folder: Path) -> bool:
    """Whether somebody will look at the curves."""
    return any((above / ".dvc").is_dir() for above in folder.resolve().parents)


def diverged(step: int) -> LsloopError:
    """The error of a run whose loss is no number any more."""
    problem = f"The loss is no longer a number, at step {step + 1}."
    return LsloopError(problem, "Lower learning_rate in params.yaml, or lengthen the warmup, and start anew.")


def _adapted(model: Any, settings: Settings) -> Any:
    """The model, or only small matrices in it if LoRA is asked for. Hu et al., https://arxiv.org/abs/2106.09685."""
    model.config.use_cache = False
    if settings.gradient_checkpointing:
        save_memory = getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable
        save_memory({"use_reentrant": False})
    if not settings.lora:
        return model
    import peft

    names = {"alpha": "lora_alpha", "dropout": "lora_dropout"}
    if settings.gradient_checkpointing:
        model.enable_input_require_grads()
    try:  # without a task type: peft's wrappers for tasks pass on text only
        config = peft.LoraConfig(**{names.get(name, name): value for name, value in settings.lora.items()})
        return peft.get_peft_model(model, config)
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"The lora settings do not fit the model: {error}", "Change them in params.yaml."
        ) from error


def _save(recipe: Recipe, trainer: Any, training: Training) -> None:
    """The finished model, sealed; its checkpoints are no longer needed."""
    model = trainer.accelerator.unwrap_model(trainer.model)
    if hasattr(model, "merge_and_unload"):
        model = model.merge_and_unload()
    model.config.use_cache = True
    if not all(bool(torch.isfinite(weight).all()) for weight in model.parameters()):
        raise diverged(trainer.state.global_step)
    if _first():

        def save(folder: Path) -> None:
            model.save_pretrained(folder)
            recipe.processor.save_pretrained(folder)

        about = {"family": recipe.family, "base": training.base, "seed": training.seed}
        _checkpoint.write(training.out / "model", save, about)
        shutil.rmtree(training.out / "checkpoints", ignore_errors=True)
    _meet()


def _last_whole(checkpoints: Path) -> str | None:
    """The last checkpoint that was written to its end; later ones are removed."""
    found = sorted(checkpoints.glob("checkpoint-*"), key=lambda one: int(one.name.partition("-")[2]))
    for checkpoint in reversed(found):
        if _is_whole(checkpoint):
            return str(checkpoint)
        _meet()
        if _first():
            shutil.rmtree(checkpoint)
    return None


def _is_whole(checkpoint: Path) -> bool:
    try:
        sizes: dict[str, int] = json.loads((checkpoint / WHOLE).read_text(encoding="utf-8"))
        return all((checkpoint / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError):
        return False


def _processes() -> int:
    return int(os.environ.get("WORLD_SIZE", "1"))


def _first() -> bool:
    return int(os.environ.get("RANK", "0")) == 0


def _meet() -> None:
    """Wait until every process of the run is here."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.barrier()
