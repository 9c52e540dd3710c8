"""Rounds of the whole loop, written down part by part.

The parts are predict → push → wait for people → pull → export → retrain.

Killed anywhere, the next call goes on with the part that was not done. Each part may be begun again: predict
goes on where it was, push sends what the round still lacks, retrain goes on from its last checkpoint.
"""

import math
import os
import platform
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from lsloop import dvc, loop
from lsloop.config import Config
from lsloop.dataset import reviewed
from lsloop.errors import LsloopError
from lsloop.labelstudio.client import LabelStudio
from lsloop.ledger import Ledger, Turn, versions
from lsloop.ledger import rounds as ledger_rounds
from lsloop.ledger.rounds import People, Round
from lsloop.loop.job import resolved
from lsloop.records import Order, Value
from lsloop.steps import retraining
from lsloop.task_types import Kind

Part = dict[str, Any]
"""What came of a part, as JSON can hold it."""

Begun = Callable[[Round, str], None]
Told = Callable[[Round, str, Part], None]


@dataclass(frozen=True)
class Wanted:
    """Rounds that are wanted: how many, and of what size.

    Each sends up to `limit` tasks and goes on once `accepted` answers came.

    `pause` is called again and again while people are waited for; `begun` and `told` when a part begins and
    when it is done.
    """

    task_type: str
    rounds: int
    accepted: int
    limit: int
    order: Order
    actor: str
    seed: str = ""
    sweep: float = 30.0  # seconds between two pulls while people are waited for, for events that were lost
    pause: Callable[[People], None] = lambda people: time.sleep(1)
    begun: Begun = lambda at, part: None
    told: Told = lambda at, part, came: None
    learning: retraining.Progress = retraining.SILENT


def run(ledger: Ledger, studio: LabelStudio, config: Config, wanted: Wanted) -> list[Round]:
    """Run rounds, or go on with those that were left off; all rounds of the series.

    It ends early when there is nothing left to annotate. Raises LsloopError while somebody else is at it.
    """
    with ledger_rounds.only_one(ledger, wanted.task_type) as turn:
        if turn is None:
            raise LsloopError(
                f"Somebody else runs rounds of {wanted.task_type}.", "Stop it there, or wait for its end."
            )
        by = f"{wanted.actor} at {platform.node()}:{os.getpid()}"
        while True:
            about = {"accepted": wanted.accepted, "limit": wanted.limit, "order": wanted.order}
            at = ledger_rounds.begin(turn, wanted.task_type, wanted.rounds, about, by)
            is_last = _Round(ledger, studio, config, wanted, turn, at).play()
            ledger_rounds.end(turn, at, is_last=is_last)
            if is_last or at.number == at.of_rounds:
                return ledger_rounds.of_series(ledger, at.series)


@dataclass(frozen=True)
class _Round:
    """One round, and how each of its parts is done."""

    ledger: Ledger
    studio: LabelStudio
    config: Config
    wanted: Wanted
    turn: Turn
    at: Round

    def play(self) -> bool:
        """Do the parts that are not done.

        Returns whether nothing is left to annotate.
        """
        parts: list[tuple[str, Callable[[], Part]]] = [
            ("predict", self.predict),
            ("push", self.push),
            ("wait", self.wait),
            ("pull", self.pull),
            ("export", self.export),
            ("retrain", self.retrain),
        ]
        for name, work in parts:
            if name not in self.at.parts:
                self.wanted.begun(self.at, name)
                began = time.monotonic()
                came = work()
                came["seconds"] = round(time.monotonic() - began, 3)
                ledger_rounds.record(self.turn, self.at, name, came)
                self.at.parts[name] = came
                self.wanted.told(self.at, name, came)
        return not self.at.parts["push"]["sent"] and not self.people.open

    @property
    def people(self) -> People:
        return ledger_rounds.people(self.ledger, self.at)

    def predict(self) -> Part:
        done = loop.predict(self.ledger, self.config, self.wanted.task_type)
        return {"model": done.model_version, "predicted": done.predicted, "failed": done.failed}

    def push(self) -> Part:
        """Send what the round lacks of its tasks.

        With nothing lacking, finish what was cut off.
        """
        was = self.people
        self._send(max(0, self.wanted.limit - was.sent - was.probes))
        now = self.people
        return {"sent": now.sent, "probes": now.probes}

    def wait(self) -> Part:
        """Wait until enough answers are accepted, or nobody has anything left to do.

        What came while nobody looked is swept up first.
        """
        swept = -math.inf
        while True:
            people = self.people
            if people.accepted >= self.wanted.accepted or not people.open:
                return {"accepted": people.accepted, "open": people.open}
            if time.monotonic() - swept > self.wanted.sweep:
                loop.pull(self.ledger, self.studio, self.config, self.wanted.task_type)
                if disputed := self.people.disputed:
                    self._send(disputed, fresh=False)
                swept = time.monotonic()
            self.wanted.pause(people)

    def pull(self) -> Part:
        """Sweep the answers after the events.

        What people made of what the model proposed is counted with it.
        """
        loop.pull(self.ledger, self.studio, self.config, self.wanted.task_type)
        _, _, kind = resolved(self.config, self.wanted.task_type)
        made = ledger_rounds.answers(self.ledger, self.at)
        return {"accepted": self.people.accepted, **corrections(kind, made)}

    def export(self) -> Part:
        """Export by the stages of dvc.yaml where DVC is at work.

        This makes the model's data known to it.
        """
        project = self.config.project_dir
        if (project / "dvc.yaml").is_file() and dvc.is_in_use(project):
            dvc.repro(project, "export_reviewed")
            return {"by": "dvc repro export_reviewed"}
        done = loop.export(self.ledger, self.config, task_type=self.wanted.task_type)
        return {"by": "lsloop export", "samples": sum(part.samples for part in done.task_types.values())}

    def retrain(self) -> Part:
        """Fine-tune a model.

        What the ledger says of the result holds also when an earlier call got so far and was killed then.
        """
        if not reviewed.read(self.config.reviewed_dir / self.wanted.task_type).splits["train"]:
            return {"version": None, "promoted": False, "why": "Nothing to train on yet.", "metrics": {}}
        number = self.at.number
        reason = f"round {number} of {self.at.of_rounds}"
        while True:
            try:
                done = loop.retrain(
                    self.ledger, self.config, self.wanted.task_type,
                    actor=self.wanted.actor, reason=reason, progress=self.wanted.learning,
                )  # fmt: skip
                break
            except retraining.AlreadyAtWork:
                self.wanted.pause(self.people)
        version = versions.find(self.ledger, done.version)
        return {
            "version": done.version,
            "promoted": version.in_use,
            "why": done.why,
            "metrics": version.metrics,
        }

    def _send(self, limit: int, *, fresh: bool = True) -> None:
        wanted = self.wanted
        seed = f"{wanted.seed}/{self.at.number}"
        loop.push(
            self.ledger, self.studio, self.config, wanted.task_type,
            limit=limit, order=wanted.order, seed=seed, fresh=fresh,
        )  # fmt: skip


def corrections(kind: Kind, made: Iterable[tuple[Value, Value]]) -> dict[str, Any]:
    """Count corrections of what a model proposed.

    Of answers: how many, and how many were submitted unchanged; how many units of the kind were changed of
    how many that were submitted, and the same as words where these are counted.
    """
    answers = unchanged = changed = total = 0
    for shown, given in made:
        answers += 1
        unchanged += all(shown.get(field) == given.get(field) for field in kind.WRITES)
        wrong, of = kind.errors(shown, given)
        changed, total = changed + wrong, total + of
    words = (changed, total) if kind.UNIT == "words" else (0, 0)
    return {
        "answers": answers, "unchanged": unchanged, "words_changed": words[0], "words": words[1],
        "changed": changed, "total": total, "unit": kind.UNIT,
    }  # fmt: skip


@dataclass(frozen=True)
class Line:
    """Round in the table.

    Round 0 is the model as it was before the first one: only `value` is known of it.
    """

    number: int
    measure: str | None
    value: float | None  # of the model in use after the round, on the frozen test split
    gain: (
        dict[str, float] | None
    )  # of the new model over the one before: `value`, and its 95 % interval `low` to `high`
    test_samples: int | None
    accepted: int | None = None
    answers: int | None = None
    acceptance: float | None = None  # share of pre-annotations submitted unchanged
    words_changed: int | None = None
    changed: float | None = None  # units changed ÷ units submitted
    promoted: bool | None = None
    why: str | None = None
    unit: str = "words"  # what is counted
    units_changed: int | None = None


def table(rounds: Sequence[Round]) -> list[Line]:
    """List the rounds that ended, with the model before them as round 0."""
    ended = [one for one in rounds if "retrain" in one.parts]
    if not ended:
        return []
    trained = (one.parts["retrain"]["metrics"] for one in ended)
    first: Part = next((metrics for metrics in trained if metrics.get("measure")), {})
    name = first.get("measure", "")
    before = Line(0, name or None, first.get("old", {}).get(name), None, first.get("samples", {}).get("test"))
    return [before, *map(_line, ended)]


def _line(one: Round) -> Line:
    came, made = one.parts["retrain"], one.parts["pull"]
    metrics = came["metrics"]
    name = metrics.get("measure", "")
    # A round of an older lsloop counted words only.
    changed, total = made.get("changed", made["words_changed"]), made.get("total", made["words"])
    return Line(
        number=one.number,
        measure=name or None,
        value=metrics.get("in_use", {}).get(name),
        gain=metrics.get("gain"),
        test_samples=metrics.get("samples", {}).get("test"),
        accepted=made["accepted"],
        answers=made["answers"],
        acceptance=made["unchanged"] / made["answers"] if made["answers"] else None,
        words_changed=made["words_changed"],
        changed=changed / total if total else None,
        promoted=came["promoted"],
        why=came["why"],
        unit=made.get("unit", "words"),
        units_changed=changed,
    )
