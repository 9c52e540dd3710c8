"""The model for as long as it is let: SOAK_MINUTES (10 unless set), each round from a seed of its own
(`make soak`)."""

import os
import random
import time
from collections import Counter

import pytest

from model.stage import Services
from model.test_loop_model import play, services  # noqa: F401

ROUND = 20  # runs from one seed


def test_every_promise_holds_for_as_long_as_it_is_let(
    services: Services,  # noqa: F811
    capsys: pytest.CaptureFixture[str],
) -> None:
    ends = time.monotonic() + 60 * float(os.environ.get("SOAK_MINUTES", "10"))
    done: Counter[str] = Counter()
    first, rounds = int(os.environ.get("SOAK_SEED") or random.randrange(2**32)), 0
    while rounds == 0 or time.monotonic() < ends:
        with capsys.disabled():
            print(f"\nseed {first + rounds} (SOAK_SEED begins here): {done.total()} steps so far", flush=True)
        play(services, done, first + rounds, ROUND)
        rounds += 1
    with capsys.disabled():
        print(f"\nsoak: {done.total()} steps that did something in {rounds} rounds: {dict(done)}")
