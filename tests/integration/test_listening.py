"""A promotion is noticed by each of three ways alone: notified, listening anew after a break, looking now
and then."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from lsloop.ledger import Ledger, versions
from lsloop.ledger.listening import Watch
from world import TRANSCRIPT, wait_until

NEVER, SOON = 3600.0, 5.0  # seconds


@contextmanager
def watching(ledger: Ledger, channel: str, every: float) -> Iterator[Callable[[], str | None]]:
    """What the watch saw last of the version in use; it has looked, and listens."""
    seen: list[str | None] = []
    watch = Watch(ledger, channel, lambda: seen.append(in_use(ledger)), every)
    watch.start()
    try:
        wait_until(lambda: seen)
        yield lambda: seen[-1]
    finally:
        watch.stop()


def in_use(ledger: Ledger) -> str | None:
    with ledger.transaction() as transaction:
        found: str | None = transaction.value(
            "SELECT version FROM model_versions WHERE promoted_at IS NOT NULL AND demoted_at IS NULL"
        )
    return found


def promote(ledger: Ledger) -> None:
    versions.register(
        ledger, versions.Version("v1", TRANSCRIPT, "models/v1", "0", "b", None, "0", {}, 0, "0", {})
    )
    versions.promote(ledger, "v1", "test")


def test_the_notification_alone_is_enough(ledger: Ledger) -> None:
    with watching(ledger, versions.CHANNEL, NEVER) as seen:
        promote(ledger)
        wait_until(lambda: seen() == "v1", SOON)


def test_what_was_notified_while_the_connection_was_broken_is_seen_soon(ledger: Ledger) -> None:
    with watching(ledger, versions.CHANNEL, NEVER) as seen:
        with ledger.transaction() as transaction:
            killed = transaction.rows(
                """SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
                    WHERE datname = current_database() AND query LIKE 'LISTEN%'"""
            )
        assert killed == [(True,)]
        promote(ledger)
        wait_until(lambda: seen() == "v1", SOON)


def test_the_look_now_and_then_alone_is_enough(ledger: Ledger) -> None:
    with watching(ledger, "nobody_notifies_here", 0.3) as seen:
        promote(ledger)
        wait_until(lambda: seen() == "v1", SOON)
