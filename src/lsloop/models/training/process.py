"""A training run, in this process or in several on this machine.

PyTorch's own launcher, torchrun, starts the several.
"""

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lsloop.dataset import reviewed
from lsloop.errors import LsloopError
from lsloop.models import Job, Training
from lsloop.models.choosing import trainable

LEFT_OUT = "left_out.json"
"""Written where a run writes: the rows that it left out, each with its `sample_id`, `name` and `reason`."""

_ORDER, _ERROR, _LOG = "order.json", "error.json", "torchrun.log"


@dataclass(frozen=True)
class Order:
    """An order to train.

    It says what is to be trained: the labelling job, `base` model, `data` (a folder of the reviewed tree) and
    `out` (where to).
    """

    job: Job
    base: str
    data: str
    data_sha256: str
    out: str
    settings: Mapping[str, Any]
    seed: int


def train(order: Order, log: Callable[[Mapping[str, float]], None]) -> Path:
    """Train in this process, from the last checkpoint where there is one.

    Returns the folder of the model.
    """
    data = reviewed.read(Path(order.data))
    if data.sha256 != order.data_sha256:
        raise LsloopError(f"{order.data} changed while it was trained from.", "Run it again.")
    training = Training(order.base, Path(order.out), dict(order.settings), order.seed, resume=True, log=log)
    return trainable(order.job, order.base).train(data.rows("train"), data.rows("validation"), training)


def train_with_torchrun(order: Order, processes: int) -> Path:
    """Train in so many processes at once.

    Raises what one of them raised, LsloopError with its last words else.
    """
    out = Path(order.out)
    out.mkdir(parents=True, exist_ok=True)
    (out / _ERROR).unlink(missing_ok=True)
    parent = {"pid": os.getpid()}
    (out / _ORDER).write_text(json.dumps({"order": asdict(order), "parent": parent}), encoding="utf-8")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    with (out / _LOG).open("wb") as output:
        done = subprocess.run(
            [*command, "-m", __name__, str(out)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    if done.returncode:
        raise _failure(out)
    return out / "model"


def left_out(out: Path) -> list[dict[str, Any]]:
    """The rows that the run in a folder left out."""
    try:
        found: list[dict[str, Any]] = json.loads((out / LEFT_OUT).read_text(encoding="utf-8"))
        return found
    except (OSError, ValueError):
        return []


def _failure(out: Path) -> LsloopError:
    with contextlib.suppress(OSError, ValueError):
        told = json.loads((out / _ERROR).read_text(encoding="utf-8"))
        return LsloopError(told["problem"], told["fix"])
    lines = (out / _LOG).read_text(encoding="utf-8", errors="replace").splitlines()
    words = next((line.strip() for line in reversed(lines) if "Error" in line), "no reason was given")
    return LsloopError(f"A process of the training failed: {words}", f"Read {out / _LOG}.")


def main(out: Path) -> int:
    """Run one of the processes that torchrun started."""
    told = json.loads((out / _ORDER).read_text(encoding="utf-8"))
    told["order"]["job"] = Job(**told["order"]["job"])
    threading.Thread(target=_end_with, args=(told["parent"]["pid"],), daemon=True).start()
    try:
        train(Order(**told["order"]), lambda metrics: None)
    except LsloopError as error:
        words = json.dumps({"problem": error.problem, "fix": error.fix})
        (out / _ERROR).write_text(words, encoding="utf-8")
        return 1
    return 0


def _end_with(parent: int) -> None:
    """End when whoever ordered the training is gone.

    A killed `lsloop retrain` must leave nothing at its checkpoints.
    """
    import psutil

    ordered_by = psutil.Process(parent)  # is_running() is not taken in by another process with its number
    while ordered_by.is_running() and ordered_by.status() != psutil.STATUS_ZOMBIE:
        time.sleep(1)
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
