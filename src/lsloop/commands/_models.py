"""Models as people read them: the same tables in `retrain`, `models` and `status`."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from lsloop.commands._output import Table
from lsloop.ledger.versions import Version
from lsloop.secrecy import without_secrets

_FEW = 6  # groups that a table has room for; `--json` has all of them


def told(version: Version) -> Version:
    """The version as it may be shown: the base may be a URL with a password in it."""
    settings = {name: without_secrets(v) if name == "base" and v else v for name, v in version.params.items()}
    return replace(version, base=without_secrets(version.base), params=settings)


def metrics_table(version: str, metrics: Mapping[str, Any]) -> Table:
    """Tabulate the metrics of a model and of the one it was compared with.

    The table shows them overall and per language.
    """
    new, old, first = metrics.get("new", {}), metrics.get("old", {}), metrics.get("measure")
    rows = [("all", name, _shown(old.get(name)), _shown(value)) for name, value in _numbers(new, first)]
    groups = new.get("by", {})
    for group, found in groups.items() if len(groups) <= _FEW else ():
        before = old.get("by", {}).get(group, {})
        rows += [
            (f"{group} ({found['samples']:,})", name, _shown(before.get(name)), _shown(value))
            for name, value in _numbers(found, first)
            if name != "samples"
        ]
    return Table(("test samples", "measure", "before", version), rows)


def decisive(metrics: Mapping[str, Any]) -> str:
    """The measure that decides, in a few words."""
    name = metrics.get("measure")
    return f"{name} {_shown(metrics['new'].get(name))}" if name else "not measured"


def _numbers(report: Mapping[str, Any], first: str | None) -> list[tuple[str, float]]:
    """The measures of a report, the one that decides first."""
    numbers = [(name, value) for name, value in report.items() if isinstance(value, int | float)]
    return sorted(numbers, key=lambda number: (number[0] != first, number[0]))


def _shown(value: float | None) -> str:
    return "" if value is None else f"{value:,.3f}" if isinstance(value, float) else f"{value:,}"
