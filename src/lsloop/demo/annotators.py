"""Simulated people, who hear what was said and correct what the task shows.

Each errs at their own rate.
"""

from dataclasses import dataclass
from typing import Any, Literal

from numpy.random import Generator

from lsloop.demo.chance import stream
from lsloop.demo.language import misspell, with_errors
from lsloop.records import Result

# To open and read a task; for each word that is corrected. A thousandth of what people take: these annotators
# go by the clock of Label Studio, and what they did must lie between what happened before and after.
SECONDS = (0.004, 0.003)

Afterthought = Literal["", "edit", "delete"]


@dataclass(frozen=True)
class Annotator:
    """A person and their habits.

    Rates are probabilities: of a wrong word, of what becomes of a task.
    """

    name: str
    word_error_rate: float
    skip_rate: float = 0.0
    edit_rate: float = 0.0
    delete_rate: float = 0.0
    seed: int = 0

    @property
    def email(self) -> str:
        return f"{self.name.lower()}@demo.invalid"


@dataclass(frozen=True)
class Intent:
    """Plan of an annotator for a sample: skip it, or write `first`.

    It also says what they do about it later.
    """

    skip: bool
    first: str
    final: str
    afterthought: Afterthought


def intent(annotator: Annotator, external_id: str, said: str, heard: int = 0) -> Intent:
    """Return what this annotator does with a clip.

    In it `said` is said, and they `heard` it so often before.
    """
    rng = stream(annotator.seed, "annotator", annotator.name, external_id, heard)
    skip, later = rng.random() < annotator.skip_rate, rng.random()
    final = with_errors(said, annotator.word_error_rate, rng)
    if skip:
        return Intent(True, "", "", "")
    if later < annotator.delete_rate:
        return Intent(False, final, final, "delete")
    if later < annotator.delete_rate + annotator.edit_rate:
        return Intent(False, _with_a_slip(final, rng), final, "edit")
    return Intent(False, final, final, "")


def _with_a_slip(text: str, rng: Generator) -> str:
    """`text` with one word wrong that was right, or wrong in another way."""
    words = text.split()
    at = int(rng.integers(len(words)))
    return " ".join([*words[:at], misspell(words[at], rng), *words[at + 1 :]])


def as_edited(shown: Result, wanted: Result) -> Result:
    """Build `wanted` as the editor submits it when the annotator began with `shown`.

    The editor is Label Studio's. `shown` is a prediction or an earlier answer. A region in it keeps its id;
    each says where it came from.
    """
    before = {region["from_name"]: region for region in shown}
    return [_edited(before.get(region["from_name"]), region) for region in wanted]


def _edited(before: dict[str, Any] | None, region: dict[str, Any]) -> dict[str, Any]:
    if before is None:
        return {**region, "origin": "manual"}
    origin = before.get("origin", "prediction")
    if origin == "prediction" and before["value"] != region["value"]:
        origin = "prediction-changed"
    return {**region, "id": before["id"], "origin": origin}


def seconds(shown: str, written: str) -> float:
    """Compute how long the annotator took to make `written` of `shown`."""
    changed = len(set(written.split()) ^ set(shown.split()))
    return SECONDS[0] + SECONDS[1] * changed
