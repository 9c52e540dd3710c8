"""`python -m benchmarks`: measure, show a table, write build/bench.json."""

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from pathlib import Path

from benchmarks import (
    active,
    export,
    ingest,
    ledger,
    models,
    people,
    place,
    pull,
    push,
    rows,
    start,
    training,
    webhooks,
)
from benchmarks.place import Place, Sizes
from benchmarks.rows import Row

MEASURES: dict[str, Callable[[Place], Iterator[Row]]] = {
    "help": start.help_pages,
    "push": push.speed,
    "pull": pull.speed,
    "memory": push.memory,
    "ingest": ingest.speed,
    "ledger": ledger.speed,
    "people": people.speed,
    "export": export.speed,
    "webhooks": webhooks.intake,
    "training": training.speed,
    "models": models.speed,
    "up": start.up,
    "active": active.against_chance,
}

LONG = {"active"}  # minutes each: only when they are asked for


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the chosen measures. Answers 1 with --check when a bar is not held."""
    given = _parser().parse_args(arguments)
    sizes = Sizes(**{one.name: getattr(given, one.name) for one in fields(Sizes)})
    found: list[Row] = []
    with place.made(sizes, [*push.rounds(sizes.rounds), push.SMALL, push.LARGE]) as here:
        for name in given.only:
            began = time.monotonic()
            found += MEASURES[name](here)
            rows.write(found, given.out)  # each time: what was measured stays when a later measure fails
            print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    rows.show(found)
    return int(given.check and any(row.held is False for row in found))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--only",
        nargs="+",
        choices=MEASURES,
        default=[name for name in MEASURES if name not in LONG],
        help="measure only these",
    )
    parser.add_argument("--check", action="store_true", help="exit with 1 when a bar is not held")
    parser.add_argument("--out", type=Path, default=Path("build/bench.json"), help="default: %(default)s")
    for one in fields(Sizes):
        parser.add_argument(
            f"--{one.name.replace('_', '-')}", type=int, default=one.default, help="default: %(default)s"
        )
    return parser


if __name__ == "__main__":
    sys.exit(main())
