"""Seconds by the wall clock; the best of several tries, so that whatever else the machine does counts
least."""

import time
from collections.abc import Callable, Mapping
from typing import Any

Work = Callable[[], Any]


def seconds(work: Work) -> float:
    """How long the work takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def alternately(works: Mapping[str, Callable[[int], Any]], rounds: int) -> dict[str, list[float]]:
    """The seconds of each work in each round. Every other round is run backwards, so that none is always
    the first."""
    taken: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(rounds):
        for name in list(works)[:: -1 if turn % 2 else 1]:
            began = time.perf_counter()
            works[name](turn)
            taken[name].append(time.perf_counter() - began)
    return taken
