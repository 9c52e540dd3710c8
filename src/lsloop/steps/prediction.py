"""Prediction: a model answers for samples before people do.

Its answers become their pre-annotations.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from lsloop.asking import NO_ANSWER, Answer, Asking, Loaded
from lsloop.ledger import Ledger, predictions
from lsloop.ledger.predictions import Backlog, Worker
from lsloop.records import Prediction, Sample

FIRST, MOST = 128, 1024
"""Samples that are claimed before it is known how fast the model is, and at most at a time. What is claimed
is sorted by length: like with like, a batch has little padding. So a fast model claims many; what a slow one
claims, nobody else can do.
"""

PIECE = 32
"""Samples that are answered and written down at a time, at first. What a killed worker loses is one piece."""

SHORT, LONG = 3.0, 15.0
"""Seconds: after a piece that took less the next is twice as large, after one that took more half as
large."""

NAMED = 1000
"""So many failures are named; all are counted."""


@dataclass
class Predicted:
    """What a prediction run did.

    `problems` names the samples that failed (the first thousand) and why. `fallback` says why it is not the
    first choice that answered.
    """

    model_version: str
    predicted: int = 0
    failed: int = 0
    problems: list[dict[str, str]] = field(default_factory=list)
    fallback: str | None = None


def predict(
    ledger: Ledger,
    backlog: Backlog,
    asking: Asking,
    model: Callable[[], Loaded],
    *,
    fallback: str | None = None,
    limit: int | None = None,
    expect: Callable[[int], None] = lambda total: None,
    advance: Callable[[int], None] = lambda done: None,
) -> Predicted:
    """Predict for a backlog, oldest sample first.

    What was written down stays, however this ends; run it again to go on. `model` is called when there is
    something to predict. Several may be at work on one backlog.
    """
    done = Predicted(backlog.model_version, fallback=fallback)
    waiting = predictions.count(ledger, backlog)
    total = waiting if limit is None else min(limit, waiting)
    expect(total)
    if total:
        with predictions.worker(ledger, backlog) as worker:
            _Run(worker, asking, model(), done, advance).go(math.inf if limit is None else limit)
    return done


class _Run:
    """One pass over a backlog.

    While the model is at one piece, the one before is written down; the next claim is made meanwhile.
    """

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
                answers = self._timed(piece)
                if writing:
                    writing.result()
                writing = line.submit(self._write, piece, answers)
            if writing:
                writing.result()

    def _pieces(self, line: ThreadPoolExecutor) -> Iterator[list[Sample]]:
        """The pieces of what is claimed, the shortest recordings first.

        A piece of middle length goes ahead, to tell the model's speed.
        """
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

    def _timed(self, samples: Sequence[Sample]) -> list[Answer]:
        began = time.monotonic()
        answers = self._asking.ask(self._model, samples)
        taken = time.monotonic() - began
        if taken < SHORT and len(samples) == self._size:
            self._size = min(self._size * 2, MOST)
        elif taken > LONG:
            self._size = max(self._size // 2, 1)
        return answers

    def _write(self, samples: Sequence[Sample], answers: Sequence[Answer]) -> None:
        self._worker.record(samples, [_prediction(one) for one in answers])
        both = list(zip(samples, answers, strict=True))
        failed = [(sample, one.problem or NO_ANSWER) for sample, one in both if one.value is None]
        self._worker.set_aside([sample for sample, one in both if one.value is not None], failed)
        self._done.predicted += len(samples) - len(failed)
        self._done.failed += len(failed)
        for sample, problem in failed[: NAMED - len(self._done.problems)]:
            self._done.problems.append({"external_id": sample.external_id, "problem": problem})
        self._advance(len(samples))


def _prediction(answer: Answer) -> Prediction | None:
    if answer.value is None:
        return None
    return Prediction(answer.value, answer.model_version, answer.score, answer.uncertainty)


def _by_length(samples: Sequence[Sample]) -> list[Sample]:
    return sorted(samples, key=lambda sample: sample.duration or 0)
