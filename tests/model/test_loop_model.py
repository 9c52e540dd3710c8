"""The promises of the loop, over hundreds of steps in an order that nobody chose."""

from collections import Counter
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from model import studio
from model.machine import LoopMachine
from model.stage import Services
from services import Postgres

# `make soak` plays on, from seeds of its own, for as long as one likes.
WANTED, STEPS, RUNS = 800, 50, 4


@pytest.fixture
def services(postgres: Postgres, migrated_template: str, tmp_path: Path) -> Iterator[Services]:
    with studio.serving() as (url, serve):
        yield Services(postgres, migrated_template, url, serve, tmp_path)


def play(services: Services, done: Counter[str], number: int, runs: int) -> None:
    """Some runs, the same ones for the same number."""
    chosen = settings(
        max_examples=runs, stateful_step_count=STEPS, deadline=None, database=None, phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck), print_blob=False,
    )  # fmt: skip
    run_state_machine_as_test(seed(number)(lambda: LoopMachine(services, done)), settings=chosen)


def test_every_promise_holds_in_whatever_order_things_happen(
    services: Services, capsys: pytest.CaptureFixture[str]
) -> None:
    done: Counter[str] = Counter()
    for number in count():
        play(services, done, number, RUNS)
        if done.total() >= WANTED:
            break
    with capsys.disabled():
        print(
            f"\nmodel: {done.total()} steps that did something, {number + 1} times {RUNS} runs: {dict(done)}"
        )
    assert (
        min(done[deed] for deed in ("ingest", "lock", "push", "people", "pull", "decide", "undo", "gold")) > 0
    )
