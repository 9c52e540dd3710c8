"""transformers' Trainer, set up for a run.

It stops at a loss that is no number, tells what it measures and marks checkpoints.
"""

import contextlib
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
import transformers

from lsloop.errors import LsloopError, UsageError
from lsloop.models import MAKING, Training, _predicting
from lsloop.models.training.recipes import Examples, Recipe, Settings
from lsloop.models.training.resuming import Mark, processes


def make(
    recipe: Recipe,
    learnt: Examples,
    watched: Examples,
    training: Training,
    settings: Settings,
    size: int,
    parts: int,
) -> Any:
    """A Trainer for batches of `size` rows, `parts` of which make one step."""
    with MAKING:  # layers that are added to a model get first weights, too
        transformers.set_seed(training.seed)
        model = _adapted(recipe.model(), settings)
    watch = bool(settings.early_stopping)
    callbacks: list[Any] = [_Log(training, settings), Mark()]
    if watch:
        callbacks.append(transformers.EarlyStoppingCallback(settings.early_stopping))
    trainer = _Trainer(
        model=model,
        args=_arguments(training, settings, size, parts, watch),
        data_collator=recipe.collate,
        train_dataset=learnt,
        eval_dataset=watched if watch else None,
        callbacks=callbacks,
    )
    trainer.own_loss = recipe.loss
    # Says that the model divides its loss by the number of labels in all parts of a step. These models do
    # not, and with it the loss is as many times too large as there are parts, or processes.
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
        ddp_backend="gloo" if cpu and processes() > 1 else None,
        report_to=[],
        disable_tqdm=True,
    )


class _Trainer(transformers.Trainer):  # type: ignore[misc]
    """A Trainer that stops at a loss which is no number.

    Its look at the validation split changes nothing.
    """

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


class _Log(transformers.TrainerCallback):  # type: ignore[misc]
    """The callback that tells the caller, and draws the curves.

    It draws from the start, so that a resumed run's curves are those of an unbroken one.
    """

    def __init__(self, training: Training, settings: Settings) -> None:
        self.training, self.plots, self.live = training, settings.plots, None

    def on_train_begin(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
        if not state.is_world_process_zero or not self.plots or not _in_dvc_project(self.training.out):
            return
        from dvclive import Live

        folder = str(self.training.out.resolve() / "live")
        # It looks for git and DVC where it is made, makes DVC's folder in whatever git it finds, and fails in
        # one without a commit. Where there is neither, it just writes the curves.
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
    """Say whether somebody will look at the curves."""
    return any((above / ".dvc").is_dir() for above in folder.resolve().parents)


def diverged(step: int) -> LsloopError:
    """The error of a run whose loss is no number any more."""
    problem = f"The loss is no longer a number, at step {step + 1}."
    return LsloopError(problem, "Lower learning_rate in params.yaml, or lengthen the warmup, and start anew.")


def _adapted(model: Any, settings: Settings) -> Any:
    """The model, or only small matrices in it if LoRA is asked for.

    Hu et al., https://arxiv.org/abs/2106.09685.
    """
    model.config.use_cache = False
    if settings.gradient_checkpointing:
        save_memory = (
            getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable
        )
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
