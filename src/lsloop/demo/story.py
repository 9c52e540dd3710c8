"""Story that the demo tells: its acts as they happen, and what came of them."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any

from lsloop.demo.annotators import Annotator
from lsloop.demo.proof import Check
from lsloop.demo.shift import Submission, standing
from lsloop.errors import LsloopError
from lsloop.running.rounds import Line
from lsloop.values.text import counted


@dataclass
class Act:
    """One act: what it was, what came of it, and how long it took in seconds."""

    name: str
    told: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class Tell:
    """Voice of the demo.

    `say` on the way, `act` when an act is over, `bar` (label, total) during a long one.
    """

    say: Callable[[str], None]
    act: Callable[[Act], None]
    bar: Callable[[str, int], AbstractContextManager[Any]]


@dataclass(frozen=True)
class Score:
    """Record of what one annotator did.

    Their word error rates: the one they were made with, the one of all their answers here, and what lsloop
    knows of it from the probes they answered: the rate, and its bounds with 95 % confidence.
    """

    name: str
    answers: int
    skipped: int
    edited: int
    taken_back: int
    error_rate: float
    really: float
    probes: int
    measured: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Agreement:
    """Tasks that several people answered.

    It says how far they agree, and how many did not enough.
    """

    tasks: int
    mean: float
    below: int
    threshold: float


@dataclass
class Report:
    """Report on the whole demo.

    Word error rates are word errors as a share of the words really said.
    """

    seed: int
    samples: int
    acts: list[Act] = field(default_factory=list)
    changes: dict[str, dict[str, int]] = field(
        default_factory=dict
    )  # what upstream changed → outcome → how often
    annotators: list[Score] = field(default_factory=list)
    agreement: Agreement | None = None
    error_rate_before: float = 0.0
    error_rate_after: float = 0.0
    checks: list[Check] = field(default_factory=list)
    rounds: list[Line] = field(default_factory=list)
    chart: str | None = None  # where the picture of the rounds is
    place: dict[str, str] = field(default_factory=dict)

    @contextmanager
    def act(self, name: str, tell: Tell) -> Iterator[Act]:
        """One act, timed, and told when it is over."""
        act, began = Act(name), time.monotonic()
        yield act
        act.seconds = time.monotonic() - began
        self.acts.append(act)
        tell.act(act)

    def tell(self, name: str, told: str, seconds: float, tell: Tell) -> None:
        """An act that is over."""
        self.acts.append(Act(name, told, seconds))
        tell.act(self.acts[-1])

    def demand(self) -> None:
        """Raise LsloopError naming the first promise that was broken."""
        for check in self.checks:
            if check.broken:
                raise LsloopError(
                    f"A promise was broken: {check.promise}. But {check.broken}.",
                    f"Please report it, with the seed {self.seed} and {counted(self.samples, 'sample')}.",
                )


def score(
    annotator: Annotator,
    submitted: Sequence[Submission],
    said: Mapping[str, str],
    measured: Mapping[str, Any],
) -> Score:
    """Score an annotator by every version that was submitted.

    The score stands beside what lsloop `measured` of them.
    """
    own = [one for one in submitted if one.annotator == annotator.email]
    last, answers = {one.place: one for one in own}.values(), standing(own)
    taken_back = sum(one.deleted for one in last)
    return Score(
        name=annotator.name,
        answers=len(answers),
        skipped=sum(one.text is None for one in last),
        edited=len(own) - len(last) - taken_back,
        taken_back=taken_back,
        error_rate=annotator.word_error_rate,
        really=error_rate([(one.text or "", said[one.external_id]) for one in answers]),
        probes=measured.get("n", 0),
        measured=measured.get("word_error_rate"),
        low=measured.get("word_error_low"),
        high=measured.get("word_error_high"),
    )


def error_rate(written: Sequence[tuple[str, str]]) -> float:
    """Compute the word error rate of texts, each beside what was really said.

    It is 0 when there are none.
    """
    import jiwer

    return float(jiwer.wer([said for _, said in written], [text for text, _ in written])) if written else 0.0
