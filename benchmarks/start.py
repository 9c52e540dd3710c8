"""How long things take to start: the command line against DVC's, and the stack the second time."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from benchmarks.place import Place
from benchmarks.rows import Row, at_most, told
from benchmarks.timing import alternately, seconds

BIN = Path(sys.executable).parent


def help_pages(place: Place) -> Iterator[Row]:
    """`lsloop --help` against `dvc --help`: medians of many starts, in turns."""
    ours, theirs = [str(BIN / "lsloop"), "--help"], [str(BIN / "dvc"), "--help"]
    taken = alternately(
        {"dvc": lambda turn: _run(theirs), "lsloop": lambda turn: _run(ours)}, place.sizes.starts + 1
    )
    dvc, lsloop = (median(taken[name][1:]) for name in ("dvc", "lsloop"))  # the first start fills caches
    yield told("`lsloop --help`", lsloop, "s")
    yield told("`dvc --help`", dvc, "s")
    yield at_most("`lsloop --help` / `dvc --help`", lsloop / dvc, 1)


def up(place: Place) -> Iterator[Row]:
    """`lsloop up --detach` in a project folder where it has run before."""
    here = [sys.executable, "-m", "lsloop", "-C", str(place.project_dir), "--quiet"]
    _run([*here, "down"])
    yield told("`lsloop up`, not for the first time", seconds(lambda: _run([*here, "up", "--detach"])), "s")


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
