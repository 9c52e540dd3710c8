"""Rounds as people read them: the same table in `loop` and `demo`."""

from collections.abc import Sequence

from lsloop.commands._output import Table
from lsloop.running.rounds import Line

COLUMNS = ("Round", "{} on test", "Better by (95 %)", "Accepted", "{} changed", "Unchanged", "Promoted")


def rounds_table(lines: Sequence[Line], title: str = "") -> Table:
    """A row per round; round 0 is the model as it was before."""
    measure = next((line.measure.upper() for line in lines if line.measure), "Measure")
    unit = lines[-1].unit.capitalize() if lines else "Words"
    columns = [column.format(unit if "changed" in column else measure) for column in COLUMNS]
    return Table(columns, [_row(line) for line in lines], title=title)


def reasons(lines: Sequence[Line]) -> list[str]:
    """Tell why a round's model was not taken into use."""
    return [f"Round {line.number}: {line.why}" for line in lines if line.promoted is False and line.why]


def _row(line: Line) -> tuple[object, ...]:
    changed = None if line.units_changed is None else f"{line.units_changed:,}{_share(line.changed)}"
    unchanged = None if line.acceptance is None else f"{line.acceptance:.0%} of {line.answers:,}"
    promoted = None if line.promoted is None else "yes" if line.promoted else "no"
    value = None if line.value is None else f"{line.value:.3f}"
    return (str(line.number), value, _gain(line), line.accepted, changed, unchanged, promoted)


def _share(share: float | None) -> str:
    return "" if share is None else f" ({share:.0%})"


def _gain(line: Line) -> str | None:
    found = line.gain
    return None if found is None else f"{found['value']:+.2f} ({found['low']:+.2f} to {found['high']:+.2f})"


_WIDTH = 20  # characters of the longest bar


def chart(lines: Sequence[Line]) -> list[str]:
    """Draw three bars per round, as lines of text.

    They show what the model gets wrong, what people change, and what they submit as it is.
    """
    drawings: list[tuple[str, list[tuple[float | None, str]]]] = [
        ("wrong", [(one.value, f"{one.value or 0:.3f}") for one in lines]),
        (
            f"{lines[-1].unit if lines else 'words'} changed",
            [(one.units_changed, f"{one.units_changed or 0:,}") for one in lines],
        ),
        ("unchanged", [(one.acceptance, f"{one.acceptance or 0:.0%}") for one in lines]),
    ]
    columns = [[title, *_bars(values)] for title, values in drawings]
    names = ["Round", *(f"{line.number:>5}" for line in lines)]
    return [
        "  " + "  ".join([name, *(f"{cell:<{_WIDTH + 6}}" for cell in cells)]).rstrip()
        for name, *cells in zip(names, *columns, strict=True)
    ]


def _bars(values: Sequence[tuple[float | None, str]]) -> list[str]:
    most = max((value or 0.0 for value, _ in values), default=0.0) or 1.0
    return ["" if value is None else f"{'█' * round(_WIDTH * value / most)} {told}" for value, told in values]
