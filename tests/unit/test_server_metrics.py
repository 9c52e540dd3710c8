"""/metrics spares the ledger: counts are read again after a while, the later the longer reading takes."""

import asyncio
from dataclasses import dataclass

import pytest

from lsloop.errors import Unreachable
from lsloop.ledger.metrics import Counts
from lsloop.server.metrics import LedgerCounts

COUNTS = Counts(7, {}, {}, {}, {}, {}, 0.0)


@dataclass
class Slow:
    """A ledger whose counting takes so many seconds of a clock that stands still otherwise."""

    seconds: float
    now: float = 100.0
    reads: int = 0
    away: bool = False

    def read(self) -> Counts:
        self.reads += 1
        self.now += self.seconds
        if self.away:
            raise Unreachable("PostgreSQL is away.", "")
        return COUNTS


@pytest.mark.parametrize(("takes", "rests"), [(0.01, 5), (0.25, 5), (1, 20), (3, 60)])
def test_counts_are_read_again_after_a_rest_in_proportion(takes: float, rests: float) -> None:
    ledger = Slow(takes)
    counts = LedgerCounts(ledger.read, lambda: ledger.now)

    async def scrape() -> int:
        await counts.refresh()
        assert [metric.name for metric in counts.collect()][:2] == ["lsloop_ledger_up", "lsloop_samples"]
        return ledger.reads

    async def over_time() -> list[int]:
        first, began = await scrape(), 100.0
        ledger.now = began + rests - 0.1
        second = await scrape()
        ledger.now = began + rests + 0.1
        return [first, second, await scrape()]

    assert asyncio.run(over_time()) == [1, 1, 2]


def test_a_ledger_that_is_away_is_told_and_asked_again() -> None:
    ledger = Slow(0, away=True)
    counts = LedgerCounts(ledger.read, lambda: ledger.now)

    async def over_time() -> list[list[float]]:
        told = []
        for ledger.now, ledger.away in ((0.0, True), (1.0, False), (6.0, False)):
            await counts.refresh()
            told.append([sample.value for metric in counts.collect() for sample in metric.samples][:2])
        return told

    assert asyncio.run(over_time()) == [[0.0], [0.0], [1.0, 7]]
    assert ledger.reads == 2
