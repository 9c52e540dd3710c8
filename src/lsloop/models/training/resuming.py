"""The checkpoints that a killed training run goes on from.

They were written to their end, by the very same run. Under torchrun all processes meet before the first of
them writes or removes anything.
"""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import torch
import transformers

from lsloop.errors import UsageError
from lsloop.models import Training

WHOLE = "lsloop-checkpoint.json"
"""Written into a checkpoint last, with the size of every file: a checkpoint without it was being written
in a kill."""


def prepare(training: Training, digest: str) -> bool:
    """Say whether there is a run to go on with.

    Raises UsageError when it was another one; clears it away if not wanted.
    """
    settings = dict(training.settings)
    about = {"base": training.base, "settings": settings, "seed": training.seed, "rows": digest}
    ours = json.dumps(about, sort_keys=True, default=str)
    file = training.out / "run.json"
    started = training.resume and file.is_file()
    if started and file.read_text(encoding="utf-8") != ours:
        problem = f"The run in {training.out} had another base model, other settings or other rows."
        raise UsageError(problem, "Start it anew, without resuming.")
    meet()
    if first() and not started:
        for name in ("model", "checkpoints", "live"):
            shutil.rmtree(training.out / name, ignore_errors=True)
        training.out.mkdir(parents=True, exist_ok=True)
        file.with_suffix(".partial").write_text(ours, encoding="utf-8")
        file.with_suffix(".partial").rename(file)
    meet()
    return started


class Mark(transformers.TrainerCallback):  # type: ignore[misc]
    """A callback that marks a checkpoint as whole.

    It does so once all processes have written their part.
    """

    def on_save(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
        meet()
        if state.is_world_process_zero:
            folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
            partial = folder / f"{WHOLE}.partial"
            sizes = {file.name: file.stat().st_size for file in folder.iterdir()}
            partial.write_text(json.dumps(sizes), encoding="utf-8")
            partial.rename(folder / WHOLE)


def last_whole(checkpoints: Path) -> str | None:
    """The last checkpoint that was written to its end; later ones are removed."""
    found = sorted(checkpoints.glob("checkpoint-*"), key=lambda one: int(one.name.partition("-")[2]))
    for checkpoint in reversed(found):
        if _is_whole(checkpoint):
            return str(checkpoint)
        meet()
        if first():
            shutil.rmtree(checkpoint)
    return None


def _is_whole(checkpoint: Path) -> bool:
    try:
        sizes: dict[str, int] = json.loads((checkpoint / WHOLE).read_text(encoding="utf-8"))
        return all((checkpoint / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError):
        return False


def processes() -> int:
    """The number of processes that train together."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def first() -> bool:
    """Say whether this is the one that writes."""
    return int(os.environ.get("RANK", "0")) == 0


def meet() -> None:
    """Wait until every process of the run is here."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.barrier()
