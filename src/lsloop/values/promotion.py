"""The decision whether a new model takes the place of the one in use.

It comes with its reason, in one sentence. Pure.
"""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from lsloop.values.evaluation import Verdict
from lsloop.values.text import counted

Rule = Literal["if_better", "never", "always"]
"""`if_better`: beyond chance, on enough samples."""


class Decision(NamedTuple):
    """A decision and `why`, which is one sentence that people read."""

    promote: bool
    why: str


def decide(verdict: Verdict | None, samples: int, minimum: int, rule: Rule, reason: str | None) -> Decision:
    """Decide to promote or keep; `verdict` is None where nothing could be compared."""
    compared = told(verdict) if verdict else "nothing could be compared"
    if rule == "never":
        return Decision(False, f"Not promoted, as asked: {compared}.")
    if rule == "always":
        return Decision(True, f"Promoted by force ({reason or 'no reason given'}): {compared}.")
    if samples < minimum:
        few = "is empty" if not samples else f"has only {samples:,} sample{'s' if samples > 1 else ''}"
        return Decision(False, f"Not promoted: the test split {few}, and minimum_test asks for {minimum:,}.")
    if verdict is None:
        return Decision(
            False, "Not promoted: there is nothing in the test split that models can be compared by."
        )
    if verdict.is_better:
        return Decision(True, f"Promoted: {compared}.")
    if verdict.gain > 0:
        return Decision(False, f"Not promoted: {compared}, which may be chance.")
    return Decision(False, f"Not promoted: {compared}.")


def told(verdict: Verdict) -> str:
    """A comparison in words: the measure before and after, and the gain.

    The gain is told with its interval.
    """
    moved = "stayed at" if verdict.old == verdict.new else f"went from {verdict.old:.3f} to"
    return (
        f"{verdict.measure} {moved} {verdict.new:.3f} on {counted(verdict.samples, 'test sample')} "
        f"(gain {verdict.gain:+.3f}, 95 % interval {verdict.low:+.3f} to {verdict.high:+.3f})"
    )


def metrics(
    new: dict[str, Any],
    old: dict[str, Any],
    verdict: Verdict | None,
    promoted: bool,
    samples: Mapping[Any, int],
) -> dict[str, Any]:
    """The metrics that `dvc metrics` shows.

    They are those of the model in use after the training, the new one, the old one, and the gain.
    """
    gain: dict[str, Any] = {}
    if verdict is not None:
        gain = {
            "measure": verdict.measure,
            "gain": {"value": verdict.gain, "low": verdict.low, "high": verdict.high},
        }
    return {"in_use": new if promoted else old, "new": new, "old": old, **gain, "samples": dict(samples)}
