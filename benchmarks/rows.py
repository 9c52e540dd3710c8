"""What a run found: one row per measure, drawn as a table and written as JSON."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Row:
    """One measure. `bar` is what it is held to; without one it is only told, and `held` is None."""

    name: str
    value: float
    unit: str
    bar: str | None = None
    held: bool | None = None


def at_least(name: str, value: float, bar: float, unit: str = "x") -> Row:
    """A measure that must not be smaller than its bar."""
    return Row(name, _short(value), unit, f">= {bar:g}", value >= bar)


def at_most(name: str, value: float, bar: float, unit: str = "x") -> Row:
    """A measure that must not be greater than its bar."""
    return Row(name, _short(value), unit, f"<= {bar:g}", value <= bar)


def told(name: str, value: float, unit: str) -> Row:
    """A measure without a bar: for comparison."""
    return Row(name, _short(value), unit)


def write(rows: Sequence[Row], path: Path) -> None:
    """The rows as a JSON list."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        json.dumps([asdict(row) for row in rows], indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
    )


def show(rows: Sequence[Row]) -> None:
    """The rows as a table on stdout."""
    table = Table("measure", "value", "unit", "bar", "held")
    table.columns[1].justify = "right"
    for row in rows:
        table.add_row(
            row.name,
            f"{row.value:,g}",
            row.unit,
            row.bar or "",
            _verdict(row),
            style=None if row.bar else "dim",
        )
    console = Console()
    console.print(table)


def _verdict(row: Row) -> str:
    return "" if row.held is None else "[green]yes[/]" if row.held else "[bold red]NO[/]"


def _short(value: float) -> float:
    """Three significant digits: more would pretend to a precision that a busy machine does not have."""
    return float(f"{value:.3g}") if abs(value) < 1000 else float(round(value))
