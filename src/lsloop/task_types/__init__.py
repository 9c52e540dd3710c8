"""Kinds of labelling job: each module here is one.

Its file name is its registration. A job without a kind gets one from its label config (`from_template`). An
installed package adds kinds through the entry-point group `lsloop.task_types`.
"""

import importlib
import pkgutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Protocol, runtime_checkable
from uuid import UUID

from lsloop.errors import UsageError
from lsloop.records import Result, Sample, Value
from lsloop.values import regions
from lsloop.values.evaluation import Measure, Measures
from lsloop.values.regions import Control

GROUP = "lsloop.task_types"


@runtime_checkable
class Kind(Protocol):
    """The parts that a module must have to be a kind.

    Every function is pure, and raises ValueError with one sentence that says what it cannot understand.
    `config` is a label config: the XML that Label Studio holds.
    """

    @property
    def READS(self) -> tuple[str, ...]:
        """Sample fields that the annotator judges from; `media` is the media file."""

    @property
    def WRITES(self) -> tuple[str, ...]:
        """Sample fields that the answer sets."""

    @property
    def NEEDS(self) -> Mapping[str, Control]:
        """Controls that a label config must keep for answers to be understood.

        The others may go.
        """

    def task_data(self, sample: Sample, media_url: str | None) -> dict[str, Any]:
        """What the template shows: the same keys for every sample.

        Nothing tells a gold probe from another. `candidates` is empty here; in an adjudication it holds the
        answers to decide between, as HTML.
        """

    def to_result(self, value: Value, config: str, sample: Sample) -> Result:
        """The pre-annotation of `value`.

        Remarks that the label config has no control for are left out.
        """

    def from_result(self, result: Result, config: str) -> Value:
        """The value of a result: the inverse of `to_result`.

        It takes whatever Label Studio's page or another client sends. Raises regions.Nothing for what is no
        answer: empty, invisible, or impossible.
        """

    def upstream_value(self, sample: Sample) -> Value | None:
        """What the sample's own fields say already, to be corrected.

        None when they say nothing.
        """

    def agree(self, a: Value, b: Value) -> float:
        """The agreement of two values in the fields that the kind writes.

        It is symmetric, in [0, 1].
        """

    @property
    def UNIT(self) -> str:
        """The unit that errors are counted in.

        It is one of words, characters, regions, fields, milliseconds, …
        """

    def errors(self, value: Value, reference: Value) -> tuple[int, int]:
        """Wrong, missing and extra units, and all units of the reference."""

    def merge(self, base: Value, ours: Value, theirs: Value) -> Value | None:
        """Merge both sides' changes of `base` in one value.

        None where they clash and people must look.
        """

    def question(self, sample: Sample) -> dict[str, Any]:
        """What a model is told of a sample.

        Nothing in it tells the answer, not even where there is one already.
        """

    def answer(self, said: Value, sample: Sample) -> Value:
        """What a model said of a sample, as a value.

        Raises ValueError for what cannot be one.
        """

    def training_rows(self, sample: Sample, value: Value) -> list[dict[str, Any]]:
        """The neutral rows that export and training share.

        There is one, or one for each part of a sample (lines of a page).
        """


def names() -> list[str]:
    """The kinds there are, sorted.

    They are the modules here and those that installed packages add.
    """
    return sorted(_shipped() | _installed().keys())


def load(kind: str) -> Kind:
    """The kind called `kind`.

    Raises UsageError for one that does not exist or lacks a part.
    """
    found: object
    if kind in _shipped():
        found = importlib.import_module(f"{__name__}.{kind}")
    elif kind in (installed := _installed()):
        found = installed[kind].load()
    else:
        raise UsageError(f"There is no kind of task {kind!r}.", f"Use one of: {', '.join(names())}.")
    if not isinstance(found, Kind):
        raise UsageError(f"The kind {kind!r} is not complete.", f"Give it every member of {__name__}.Kind.")
    return found


def from_template(
    name: str,
    label_config: str,
    reads: Mapping[str, str] | None = None,
    writes: Mapping[str, str] | None = None,
) -> Kind:
    """The kind that a label config makes.

    `reads`: sample fields (or `media`) by variable; `writes`: by control. Without `reads`, the first variable
    of an image, a recording, a video or a PDF is the sample's media file, and every other variable the field
    of its name. Raises UsageError for a label config that is none, or names that it lacks.
    """
    from lsloop.task_types._template import made

    try:
        return made(label_config, reads or {}, writes or {})
    except ValueError as error:
        problem = str(error).rstrip(".")
        raise UsageError(
            f"{name}: {problem}.", "Correct the template, or the entry in params.yaml."
        ) from error


def measures(kind: Kind) -> Measures:
    """The measures of a kind, by which answers are held against references.

    They are its `MEASURES`; without any, how far answers agree.
    """
    by_agreement = Measure("agreement", lambda answer, reference: (kind.agree(answer, reference), 1.0))
    found: Measures = getattr(kind, "MEASURES", (by_agreement,))
    return found


@dataclass(frozen=True)
class Described:
    """What a kind reads, writes and is measured by, in words.

    It also says whether a model's answer can be shown for all of it.
    """

    reads: tuple[str, ...]
    writes: tuple[str, ...]
    measure: str
    predictions: bool


def described(kind: Kind) -> Described:
    """A kind in words, for whoever has just made it."""
    first = measures(kind)[0].name.replace("_", " ")
    return Described(
        tuple(kind.READS), tuple(kind.WRITES), f"{first}, errors in {kind.UNIT}", answers_all(kind)
    )


def readable(kind: Kind, value: Value) -> Value:
    """A value as people read it.

    It is in words where the kind has them (`readable`); else, and where the kind cannot take it, as it is.
    """
    if not hasattr(kind, "readable"):
        return value
    try:
        found: Value = kind.readable(value)
    except Exception:  # what upstream says may be anything
        return value
    return found


def answers_all(kind: Kind) -> bool:
    """Return whether lsloop understands every control of the label config.

    lsloop keeps what it does not understand.
    """
    return not getattr(kind, "unknown", ())


def knows_impossible(kind: Kind) -> bool:
    """Return whether a kind has `impossible`.

    `impossible` says of a value that it cannot be of a recording of a certain length.
    """
    return hasattr(kind, "impossible")


def refuse_impossible(kind: Kind, value: Value, duration: float | None) -> None:
    """Raise Nothing for a value that cannot be of a recording of this length.

    It is `duration` seconds long (None: nobody knows).
    """
    if (
        duration is not None
        # Not every kind has the function.
        and knows_impossible(kind)
        and (why := kind.impossible(value, duration))  # type: ignore[attr-defined]
    ):
        raise regions.Nothing(why)


def misfits(kind: Kind, config: str) -> list[str]:
    """The reasons why a label config does not work with a kind of task.

    Empty when it fits.
    """
    problems = regions.misfits(config, kind.NEEDS)
    if problems:
        return problems
    shown = kind.task_data(Sample(UUID(int=0), ""), None)
    return [
        f"it shows ${name}, which tasks do not have"
        for name in sorted(regions.variables(config) - shown.keys())
    ]


def unreadable(kind: Kind, config: str) -> list[str]:
    """What answers with a fitting label config can say and the kind does not take.

    Empty when it takes all. It is tried on answers made from the label config itself. A kind that does not
    take the plainest of them is not judged.
    """
    plain, others = regions.specimens(config, kind.NEEDS)
    if _refusal(kind, plain, config):
        return []
    refusals = {
        name: next(filter(None, (_refusal(kind, [*_besides(plain, one), one], config) for one in made)), "")
        for name, made in others.items()
    }
    return [f"answers of {name!r} cannot be read ({why})" for name, why in refusals.items() if why]


def _besides(plain: Result, one: dict[str, Any]) -> Result:
    return [part for part in plain if part["from_name"] != one["from_name"]]


def _refusal(kind: Kind, result: Result, config: str) -> str:
    try:
        kind.from_result(result, config)
    except ValueError as error:
        return str(error).rstrip(".")
    return ""


def _shipped() -> set[str]:
    return {module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_")}


def _installed() -> dict[str, EntryPoint]:
    return _installed_on(tuple(sys.path))


@lru_cache(maxsize=4)
def _installed_on(path: tuple[str, ...]) -> dict[str, EntryPoint]:
    """Read the installed kinds once.

    It takes 40 ms, and each turn of the loop asks several times.
    """
    return {entry.name: entry for entry in entry_points(group=GROUP)}
