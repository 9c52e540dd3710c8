"""Events keep coming while PostgreSQL is restarted: what was acknowledged is stored, and every sender is
answered.

How fast is measured by `make bench`: a machine that runs tests has other work to do."""

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from benchmarks.webhooks import delivered_while

from faults.test_postgres_gone import Mortal
from lsloop.ledger import connect, events, migrations
from lsloop.server import webhook
from lsloop.stack import ports, postgres
from serving import serving

EVENTS, RATE = 200, 100.0


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[Mortal]:
    found = Mortal(tmp_path, ports.choose([]))
    found.start()
    yield found
    found.kill()


def test_events_come_while_postgresql_is_restarted_and_what_was_acknowledged_is_stored(
    mortal: Mortal, tmp_path: Path
) -> None:
    url = mortal.url(postgres.DATABASE)
    migrations.upgrade(url)
    ledger = connect(url)
    payloads = [
        {
            "action": "ANNOTATION_CREATED",
            "annotation": {"id": n, "task": n, "result": ["x" * 4000]},
            "project": {"id": 1},
        }
        for n in range(1, EVENTS + 1)
    ]

    def restart() -> None:
        time.sleep(EVENTS / RATE / 3)  # a third into the load, which goes by the clock, too
        mortal.kill()
        mortal.start()

    with serving(tmp_path, hook=webhook.Hook("secret", partial(events.store, ledger))) as server:
        answers = delivered_while(restart, f"{server}/webhook", "secret", payloads, rate=RATE, waits=20)
    odd = [(n, answer) for n, answer in enumerate(answers, 1) if answer.status not in (200, 503)]
    assert not odd, "it was away for a while, and no answer was missing"
    assert any(answer.status == 503 for answer in answers)
    taken = {n for n, answer in enumerate(answers, 1) if answer.status == 200}
    with ledger.transaction() as transaction:
        kept = {
            row.n
            for row in transaction.rows(
                "SELECT CAST(payload #>> '{annotation,id}' AS integer) AS n FROM events"
            )
        }
    ledger.close()
    assert taken <= kept
