"""N answers for N rows, in batches of rows of like length.

Batches are halved when memory runs out, and a bad row is its own problem only.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import transformers
from accelerate.utils import find_executable_batch_size
from accelerate.utils.memory import should_reduce_batch_size

from lsloop.errors import UsageError
from lsloop.models import MAKING, Guess, Row, Unreadable, checkpoint

transformers.utils.logging.disable_progress_bar()  # a bar per file read is noise; the caller shows progress
transformers.utils.logging.set_verbosity_error()  # its warnings are about its own calls of itself

COMMON = ("batch_size", "precision", "device")
"""The settings that every family predicts with."""

Order = tuple[Any, ...]
"""What rows are sorted by before they are cut into batches; the last element is the length, the others
keep apart."""


def device_of(device: str) -> torch.device:
    """The device of that name; `auto` is the first GPU, else the CPU.

    Raises UsageError for a device that is not there.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError) as error:
        raise UsageError(
            f"There is no device {device}.", "Name another, or `auto`, in params.yaml."
        ) from error


def check_names(settings: Mapping[str, Any], known: Sequence[str]) -> None:
    """Raise UsageError for a setting that nobody would read."""
    if unknown := sorted(settings.keys() - set(known)):
        raise UsageError(
            f"There is no model setting {unknown[0]!r}.", f"There are: {', '.join(sorted(known))}."
        )


def load(auto: Any, model: str, **options: Any) -> Any:
    """Load a checkpoint in full precision.

    Raises UsageError when it is not there, not whole, or lacks weights.
    """
    checkpoint.check(model)
    loaded, info = part(auto, model, output_loading_info=True, dtype=torch.float32, **options)
    lacking = {*info["missing_keys"], *(str(key[0]) for key in info["mismatched_keys"])}
    if lacking := {key for key in lacking if not key.endswith("masked_spec_embed")}:  # only used to train
        problem = f"The model {model} lacks weights ({sorted(lacking)[0]}, {len(lacking)} in all)."
        raise UsageError(problem, "Name a model that was fine-tuned for this task.")
    return loaded


def part(auto: Any, model: str, **options: Any) -> Any:
    """Load what stands in a checkpoint besides the weights.

    That is a tokenizer or a processor. Raises UsageError when it is not there.
    """
    try:
        with MAKING:
            return auto.from_pretrained(model, **options)
    except (OSError, ValueError, RuntimeError, TypeError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise UsageError(f"The model {model} cannot be loaded: {reason}", checkpoint.FIX) from error


def precision(settings: Mapping[str, Any]) -> torch.dtype:
    """The type of the numbers that a model computes with.

    32 bits unless the settings ask for `bf16` or `fp16`.
    """
    kinds = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
    if (name := settings.get("precision", "fp32")) not in kinds:
        raise UsageError(f"There is no precision {name!r}.", f"There are: {', '.join(kinds)}.")
    return kinds[name]


def like(tensor: torch.Tensor, model: Any) -> torch.Tensor:
    """A tensor where the model is, and as exact as it computes."""
    return tensor.to(model.device, model.dtype if tensor.is_floating_point() else tensor.dtype)


class Batches:
    """A cutter of rows into batches.

    Once a batch did not fit into memory, later ones are as small as the one that did.
    """

    def __init__(self, size: int) -> None:
        self.size = max(1, int(size))

    def answers(
        self,
        rows: Sequence[Row],
        order: Callable[[Row], Order],
        guess: Callable[[list[Row]], list[Guess]],
    ) -> list[Guess]:
        """One guess for each row, in order.

        What `order` or `guess` raises for one row is that row's problem.
        """
        found: dict[int, Guess] = {}
        orders: dict[int, Order] = {}
        for index, row in enumerate(rows):
            try:
                orders[index] = order(row)
            except Exception as error:  # whatever a file or a library raises is a problem of this row only
                found[index] = _problem(error)
        waiting = sorted(orders, key=lambda index: tuple(map(repr, orders[index][:-1])) + orders[index][-1:])
        while waiting:
            batch = [index for index in waiting[: self.size] if orders[index][:-1] == orders[waiting[0]][:-1]]
            guesses = self._batch([rows[index] for index in batch], guess)
            found.update(zip(batch, guesses, strict=False))
            waiting = waiting[len(guesses) :]
        return [found[index] for index in range(len(rows))]

    def _batch(self, rows: list[Row], guess: Callable[[list[Row]], list[Guess]]) -> list[Guess]:
        """Guesses for as many of the rows, from the first, as fit into memory.

        There is one for the first row at least.
        """
        try:
            return _infer(guess, rows)
        except Exception as error:  # too little memory, or a row that the model cannot take: told apart below
            reason = error
        if len(rows) == 1:
            return [_problem(reason)]
        if not should_reduce_batch_size(reason):
            return [answer for row in rows for answer in self._batch([row], guess)]

        def attempt(size: int) -> list[Guess]:
            self.size = size
            return _infer(guess, rows[:size])

        try:
            half = len(rows) // 2
            guesses: list[Guess] = find_executable_batch_size(attempt, half, halves(half))()
        except Exception:  # not the memory after all, or never enough of it: each row shows for itself
            self.size = 1
            return self._batch(rows[:1], guess)
        return guesses


def halves(size: int) -> Callable[[], int]:
    """The function that find_executable_batch_size asks for the next size."""

    def halve() -> int:
        nonlocal size
        size //= 2
        return size

    return halve


def out_of_memory(error: Exception) -> bool:
    """Say whether memory ran out, even for a batch of one."""
    return should_reduce_batch_size(error) or "No executable batch size" in str(error)


def _infer(guess: Callable[[list[Row]], list[Guess]], rows: list[Row]) -> list[Guess]:
    with torch.inference_mode():
        return guess(rows)


def _problem(error: Exception) -> Guess:
    if out_of_memory(error):
        return Guess(None, problem="It needs more memory than there is.")
    problem = str(error).strip().partition("\n")[0] or type(error).__name__
    return Guess(None, problem=problem, unreadable=isinstance(error, Unreadable))
