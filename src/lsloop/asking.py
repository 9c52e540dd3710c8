"""Ask a model about samples, and check its answers before anybody sees them.

`lsloop predict`, the ML backend and the gate of a promotion ask in this one way, so that what is promoted is
measured as it is served. In goes a question, which tells no answer; out comes an answer that fits the label
config, or a problem.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Semaphore
from typing import Any, NamedTuple

import orjson

from lsloop.errors import LsloopError, UsageError
from lsloop.labelstudio import interface
from lsloop.models import MAKING, Guess, Job, Predictor, Row
from lsloop.models.choosing import family
from lsloop.records import Result, Sample, Value
from lsloop.secrecy import without_secrets
from lsloop.task_types import Kind
from lsloop.values.text import counted, has_nul

NO_ANSWER = "The model gave no answer."


@dataclass(frozen=True)
class Model:
    """The model that answers: a place, and its version.

    The version is None while that is for its family to tell.
    """

    place: str
    version: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)

    def known_version(self, job: Job) -> str | None:
        """The version, if it can be told without loading the model.

        It cannot be told of one that is still on a hub. Raises UsageError for one that cannot answer the job.
        """
        if self.version is not None:
            return self.version
        version = family(job, self.place).version(self.place)
        return None if version is None else f"base-{version}"


@dataclass(frozen=True)
class Loaded:
    """A model in memory.

    Whoever asks it takes one of its `turns`, of which there are as many as it can take calls.
    """

    version: str
    predictor: Predictor
    turns: Semaphore = field(default=None, compare=False, repr=False)  # type: ignore[assignment]

    def __post_init__(self) -> None:
        if self.turns is None:
            object.__setattr__(self, "turns", Semaphore(max(1, self.predictor.concurrency)))

    def guesses(self, rows: Sequence[Row]) -> list[Guess]:
        """N answers for N rows.

        They come of one call, or of as many at once as the model takes.
        """
        most = min(self.predictor.concurrency, len(rows))
        if most <= 1:
            return self._in_turn(rows)
        with ThreadPoolExecutor(most, thread_name_prefix="ask") as pool:
            return [guess for found in pool.map(lambda row: self._in_turn([row]), rows) for guess in found]

    def _in_turn(self, rows: Sequence[Row]) -> list[Guess]:
        with self.turns:
            return _guesses(self.predictor, rows)


class Chosen(NamedTuple):
    """The model of several that answers; `fallback` says why it is not the first."""

    model: Model
    loaded: Loaded
    fallback: str | None = None


def first(models: Sequence[Model], load: Callable[[Model], Loaded]) -> Chosen:
    """The first of several models that can be loaded.

    Of one alone, what keeps it from that is raised as it is. Raises UsageError where none can be.
    """
    if len(models) == 1:
        return Chosen(models[0], load(models[0]))
    reasons = list[str]()
    for model in models:
        try:
            return Chosen(model, load(model), reasons[0] if reasons else None)
        except Exception as error:  # whatever a library raises: the others still have to be tried
            reasons.append(unusable(model, error))
    raise UsageError(f"No model can be used. {'. '.join(reasons)}.", "Correct one of them, or name another.")


def unusable(model: Model, error: Exception) -> str:
    """Say why a model does not answer, in one sentence without its full stop."""
    told = error.problem if isinstance(error, LsloopError) else f"{type(error).__name__}: {error}"
    words = f"{model.version or model.place} cannot be loaded: {' '.join(told.split())[:LONGEST]}"
    return without_secrets(words).rstrip(".")


LONGEST = 200
"""Characters of a reason."""


def load(job: Job, model: Model) -> Loaded:
    """Load a model for a labelling job.

    Raises UsageError for one that is not there, damaged, or of no use for it.
    """
    settings = dict(model.settings)
    device = str(settings.pop("device", "auto"))
    with MAKING:
        predictor = family(job, model.place).load(model.place, device, settings)
    version = model.known_version(job)
    if version is None:
        raise UsageError(f"The model {model.place} does not say its version.", "Name another model.")
    return Loaded(version, predictor)


@dataclass(frozen=True)
class Answer:
    """What a model said of a sample: a value, and how Label Studio shows it.

    Without a value a problem says why. `unreadable`: no model could have answered.
    """

    model_version: str
    value: Value | None = None
    score: float | None = None
    uncertainty: float | None = None
    result: Result = field(default_factory=list)
    problem: str | None = None
    unreadable: bool = False

    @property
    def shown(self) -> dict[str, Any]:
        """The answer as Label Studio takes it; an empty one where there is none."""
        score = None if self.value is None else self.score
        return {"result": self.result, "score": score, "model_version": self.model_version}


@dataclass(frozen=True)
class Asking:
    """The way a model is asked about samples of a kind, and what answers must fit.

    The media paths of the samples are relative to `media_dir`.
    """

    job: Job
    kind: Kind
    media_dir: Path

    def load(self, model: Model) -> Loaded:
        """Load a model that is to answer.

        Raises UsageError for one that cannot.
        """
        return load(self.job, model)

    def question(self, sample: Sample, **more: Any) -> Row:
        """What a model is told of a sample, and by what name to call it."""
        row = {**self.kind.question(sample), "external_id": sample.external_id, **more}
        return {**row, "media": str(self.media_dir / sample.media_path)} if sample.media_path else row

    def ask(self, model: Loaded, samples: Sequence[Sample], **hints: Any) -> list[Answer]:
        """Ask for an answer for each sample, in order.

        Whatever fails for one sample is a problem of that sample only. Raises UsageError for a label config
        that nothing fits.
        """
        more = {"controls": self.job.controls, **hints}
        questions = [self._question(sample, more) for sample in samples]
        guesses = iter(model.guesses([one for one in questions if isinstance(one, dict)]))
        found = [next(guesses) if isinstance(one, dict) else one for one in questions]
        return self.checked(samples, [(model.version, guess) for guess in found])

    def checked(self, samples: Sequence[Sample], said: Sequence[tuple[str, Guess]]) -> list[Answer]:
        """Check what was said of these samples, by which model version.

        What does not fit the job is a problem.
        """
        answers = [self._answer(*one, sample) for one, sample in zip(said, samples, strict=True)]
        return self._fitting(answers)

    def _question(self, sample: Sample, more: Mapping[str, Any]) -> Row | Guess:
        try:
            return self.question(sample, **more)
        except Exception as error:  # a kind may meet anything in a sample's fields
            return Guess(None, problem=_sentence(error), unreadable=True)

    def _answer(self, version: str, guess: Guess, sample: Sample) -> Answer:
        """A guess as a value of the kind and as a result.

        One that cannot be stored is none.
        """
        if guess.value is None:
            return Answer(version, problem=guess.problem or NO_ANSWER, unreadable=guess.unreadable)
        try:
            _check_numbers(guess)
            value = self.kind.answer(guess.value, sample)
            if not any(name in value for name in self.kind.WRITES):
                raise ValueError(f"The answer says nothing of {' or '.join(self.kind.WRITES)}.")
            result = self.kind.to_result(value, self.job.label_config, sample)
            if has_nul(orjson.dumps([result, value]).decode()):
                raise ValueError("The model's answer has the character NUL in it, which cannot be stored.")
        except UsageError:
            raise  # the label config: it is the same for every sample
        except Exception as error:  # a model may answer anything
            return Answer(version, problem=_sentence(error))
        return Answer(version, value, guess.score, guess.uncertainty, result)

    def _fitting(self, answers: Sequence[Answer]) -> list[Answer]:
        """The answers; one that does not fit the label config is none."""
        wrong = iter(self._misfits([one.shown for one in answers if one.value is not None]))
        return [one if one.value is None else _checked(one, next(wrong)) for one in answers]

    def _misfits(self, shown: Sequence[dict[str, Any]]) -> list[list[str]]:
        try:
            return list(interface.check_predictions(self.job.label_config, shown))
        except UsageError:
            raise
        except Exception as error:  # the SDK fails for one of them: which one is found below
            if len(shown) == 1:
                return [[_sentence(error)]]
        return [problems for one in shown for problems in self._misfits([one])]


def _guesses(predictor: Predictor, rows: Sequence[Row]) -> list[Guess]:
    """N answers for N rows.

    Where the model fails for all of them together, it is asked about one after the other.
    """
    try:
        if len(guesses := predictor.predict(rows) if rows else []) == len(rows):
            return guesses
        told = counted(len(guesses), "answer"), counted(len(rows), "sample")
        reason = f"The model gave {told[0]} for {told[1]}."
    except Exception as error:  # whatever a family raises: which row it is about is found below
        reason = _sentence(error)
    if len(rows) == 1:
        return [Guess(None, problem=reason)]
    return [_guesses(predictor, [one])[0] for one in rows]


def _check_numbers(guess: Guess) -> None:
    if not all(number is None or math.isfinite(number) for number in (guess.score, guess.uncertainty)):
        raise ValueError("The model's score is not a number.")


def _checked(answer: Answer, problems: Sequence[str]) -> Answer:
    return Answer(answer.model_version, problem=problems[0]) if problems else answer


def _sentence(error: Exception) -> str:
    if isinstance(error, LsloopError):
        return error.problem
    said = str(error).strip().partition("\n")[0]
    return said if isinstance(error, ValueError) and said else f"{type(error).__name__}: {said}".rstrip(": ")
