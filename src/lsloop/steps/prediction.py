"""Prediction: a model answers for samples before people do; its answers become their pre-annotations.

`lsloop predict` and the ML backend ask a model the same way: what goes in is a training row without an answer, what comes
out is held against the label config before anybody sees it.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import orjson

from lsloop import models
from lsloop.errors import LsloopError, UsageError
from lsloop.labelstudio import interface
from lsloop.ledger import Ledger, predictions
from lsloop.ledger.predictions import Backlog, Worker
from lsloop.models import Guess, Predictor
from lsloop.records import Prediction, Sample
from lsloop.task_types import Kind
from lsloop.values.text import counted, has_nul

FIRST, MOST = 128, 1024
"""Samples that are claimed before it is known how fast the model is, and at most at a time. What is claimed is sorted by
length: like with like, a batch has little padding. So a fast model claims many; what a slow one claims, nobody else can do.
"""

PIECE = 32
"""Samples that are answered and written down at a time, at first. What a killed worker loses is one piece."""

SHORT, LONG = 3.0, 15.0
"""Seconds: after a piece that took less the next is twice as large, after one that took more half as large."""

NO_ANSWER = "The model gave no answer."

NAMED = 1000
"""So many failures are named; all are counted."""


@dataclass(frozen=True)
class Model:
    """Which model answers: a folder or a hub id, and its version; None while that is to be told from its weights."""

    place: str
    version: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)

    def known_version(self) -> str | None:
        """The version, if it can be told without loading the model: not of one that is still on a hub."""
        try:
            return self.version or f"base-{models.fingerprint(self.place)}"
        except UsageError:
            return None


@dataclass(frozen=True)
class Loaded:
    """A model in memory."""

    version: str
    predictor: Predictor


def load(kind_name: str, model: Model) -> Loaded:
    """Load a model for a kind of task. Raises UsageError for one that is not there, damaged, or of no use for it."""
    settings = dict(model.settings)
    device = str(settings.pop("device", "auto"))
    predictor = models.family(kind_name, model.place).load(model.place, device, settings)
    version = model.known_version()
    if version is None:
        raise UsageError(f"The model {model.place} has no weights.", "Name another model.")
    return Loaded(version, predictor)


@dataclass(frozen=True)
class Asking:
    """How a model is asked about samples of a kind, and what its answers must fit."""

    kind: Kind
    label_config: str
    raw_dir: Path

    def row(self, sample: Sample, **more: Any) -> models.Row:
        """What a model is told of a sample."""
        row = {**self.kind.training_row(sample, {}), **more}
        return {**row, "media": str(self.raw_dir / sample.media_path)} if sample.media_path else row

    def ask(self, model: Loaded, samples: Sequence[Sample], **more: Any) -> list[Guess]:
        """An answer for each sample, in order. Whatever fails for one sample is a problem of that sample only."""
        rows = [self._row(sample, more) for sample in samples]
        asked = [(sample, row) for sample, row in zip(samples, rows, strict=True) if isinstance(row, dict)]
        guesses = iter(self._guesses(model, asked))
        found = [next(guesses) if isinstance(row, dict) else row for row in rows]
        return self._fitting(model, samples, found)

    def _row(self, sample: Sample, more: Mapping[str, Any]) -> models.Row | Guess:
        try:
            return self.row(sample, **more)
        except Exception as error:  # a kind may meet anything in a sample's fields
            return Guess(None, problem=_sentence(error), unreadable=True)

    def _guesses(self, model: Loaded, asked: Sequence[tuple[Sample, models.Row]]) -> list[Guess]:
        """N answers for N rows; where the model fails for all of them together, it is asked about one after the other."""
        rows = [row for _, row in asked]
        try:
            if len(guesses := model.predictor.predict(rows) if rows else []) == len(rows):
                return guesses
            told = counted(len(guesses), "answer"), counted(len(rows), "sample")
            reason = f"The model gave {told[0]} for {told[1]}."
        except Exception as error:  # whatever a family raises: which row it is about is found below
            reason = _sentence(error)
        if len(rows) == 1:
            return [Guess(None, problem=reason)]
        return [self._guesses(model, [one])[0] for one in asked]

    def _fitting(self, model: Loaded, samples: Sequence[Sample], guesses: Sequence[Guess]) -> list[Guess]:
        """The guesses; one that does not fit the label config, or cannot be stored, is none."""
        shown = [self.shown(model, sample, guess) for sample, guess in zip(samples, guesses, strict=True)]
        wrong = iter(self._misfits([one for one in shown if isinstance(one, dict)]))
        return [
            guess if one is None else replace(guess, value=None, problem=one) if isinstance(one, str)
            else _checked(guess, next(wrong))
            for guess, one in zip(guesses, shown, strict=True)
        ]  # fmt: skip

    def shown(self, model: Loaded, sample: Sample, guess: Guess) -> dict[str, Any] | str | None:
        """A guess as a Label Studio prediction; a sentence where it cannot be one, None without a value."""
        if guess.value is None:
            return None
        try:
            if not all(number is None or math.isfinite(number) for number in (guess.score, guess.uncertainty)):
                return "The model's score is not a number."
            result = self.kind.to_result(guess.value, self.label_config, sample)
            if has_nul(orjson.dumps([result, guess.value]).decode()):
                return "The model's answer has the character NUL in it, which cannot be stored."
        except UsageError:
            raise  # the label config: it is the same for every sample
        except Exception as error:  # a model may answer anything
            return _sentence(error)
        return {"result": result, "score": guess.score, "model_version": model.version}

    def _misfits(self, shown: Sequence[dict[str, Any]]) -> list[list[str]]:
        try:
            return list(interface.check_predictions(self.label_config, shown))
        except UsageError:
            raise
        except Exception as error:
            if len(shown) == 1:
                return [[_sentence(error)]]
        return [problems for one in shown for problems in self._misfits([one])]


def _sentence(error: Exception) -> str:
    if isinstance(error, LsloopError):
        return error.problem
    said = str(error).strip().partition("\n")[0]
    return said if isinstance(error, ValueError) and said else f"{type(error).__name__}: {said}".rstrip(": ")


def _checked(guess: Guess, problems: Sequence[str]) -> Guess:
    return replace(guess, value=None, problem=problems[0]) if problems else guess


@dataclass
class Predicted:
    """What a run did. `problems` names the samples that failed (the first thousand) and why."""

    model_version: str
    predicted: int = 0
    failed: int = 0
    problems: list[dict[str, str]] = field(default_factory=list)


def predict(
    ledger: Ledger,
    backlog: Backlog,
    asking: Asking,
    model: Callable[[], Loaded],
    *,
    limit: int | None = None,
    expect: Callable[[int], None] = lambda total: None,
    advance: Callable[[int], None] = lambda done: None,
) -> Predicted:
    """Predict for a backlog, oldest sample first. What was written down stays, however this ends; run it again to go on.

    `model` is called when there is something to predict. Several may be at work on one backlog.
    """
    done = Predicted(backlog.model_version)
    waiting = predictions.count(ledger, backlog)
    total = waiting if limit is None else min(limit, waiting)
    expect(total)
    if total:
        with predictions.worker(ledger, backlog) as worker:
            _Run(worker, asking, model(), done, advance).go(math.inf if limit is None else limit)
    return done


class _Run:
    """One pass: while the model is at one piece, the one before is written down; the next claim is made meanwhile."""

    def __init__(
        self, worker: Worker, asking: Asking, model: Loaded, done: Predicted, advance: Callable[[int], None]
    ) -> None:
        self._worker, self._asking, self._model = worker, asking, model
        self._done, self._advance = done, advance
        self._size, self._left = PIECE, math.inf

    def go(self, limit: float) -> None:
        self._left = limit
        writing: Future[None] | None = None
        with ThreadPoolExecutor(max_workers=1) as line:
            for piece in self._pieces(line):
                guesses = self._timed(piece)
                if writing:
                    writing.result()
                writing = line.submit(self._write, piece, guesses)
            if writing:
                writing.result()

    def _pieces(self, line: ThreadPoolExecutor) -> Iterator[list[Sample]]:
        """What is claimed, the shortest recordings first. A piece of middle length goes ahead, to tell the model's speed."""
        first = _by_length(self._claim())
        ahead = max(0, len(first) - PIECE) // 2
        if first:
            yield first[ahead : ahead + PIECE]
        rest = first[:ahead] + first[ahead + PIECE :]
        claiming = line.submit(self._claim)
        while waiting := _by_length(rest + claiming.result()):
            rest = []
            while waiting:
                piece, waiting = waiting[: self._size], waiting[self._size :]
                if not waiting:
                    claiming = line.submit(self._claim)
                yield piece

    def _claim(self) -> list[Sample]:
        most = MOST if self._size > PIECE else FIRST if self._size == PIECE else self._size
        size = int(min(most, self._left))
        samples = self._worker.claim(size) if size else []
        self._left -= len(samples)
        return samples

    def _timed(self, samples: Sequence[Sample]) -> list[Guess]:
        began = time.monotonic()
        guesses = self._asking.ask(self._model, samples)
        taken = time.monotonic() - began
        if taken < SHORT and len(samples) == self._size:
            self._size = min(self._size * 2, MOST)
        elif taken > LONG:
            self._size = max(self._size // 2, 1)
        return guesses

    def _write(self, samples: Sequence[Sample], guesses: Sequence[Guess]) -> None:
        version = self._model.version
        made = [None if g.value is None else Prediction(g.value, version, g.score, g.uncertainty) for g in guesses]
        self._worker.record(samples, made)
        failed = [(sample, guess) for sample, guess in zip(samples, guesses, strict=True) if guess.value is None]
        taken = [sample for sample, guess in zip(samples, guesses, strict=True) if guess.value is not None]
        self._worker.set_aside(taken, [(sample, guess.problem or NO_ANSWER) for sample, guess in failed])
        self._done.predicted += len(samples) - len(failed)
        self._done.failed += len(failed)
        for sample, guess in failed[: NAMED - len(self._done.problems)]:
            self._done.problems.append({"external_id": sample.external_id, "problem": guess.problem or NO_ANSWER})
        self._advance(len(samples))


def _by_length(samples: Sequence[Sample]) -> list[Sample]:
    return sorted(samples, key=lambda sample: sample.duration or 0)
