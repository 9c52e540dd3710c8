"""The tables of the job queue.

They are procrastinate's own, in a schema of their own beside the ledger's.
"""

import importlib.util
from pathlib import Path
from typing import Any

from lsloop.ledger import Ledger, Transaction

SCHEMA = "lsloop_jobs"


def upgrade(transaction: Transaction) -> None:
    """Make or update the tables; it is idempotent."""
    if (
        transaction.value(f"SELECT to_regnamespace('{SCHEMA}')") is None
    ):  # IF NOT EXISTS wants the right to make it
        transaction.run(f"CREATE SCHEMA {SCHEMA}")
    transaction.run(f"SET LOCAL search_path = {SCHEMA}")
    transaction.run("CREATE TABLE IF NOT EXISTS applied (name text PRIMARY KEY)")
    applied, scripts = _applied(transaction), _migrations()
    # The first time, the tables are made as they are now; the scripts lead there from older ones.
    for script in (
        [_sql() / "schema.sql"] if not applied else [scripts[n] for n in scripts if n not in applied]
    ):
        transaction.driver.execute(script.read_bytes())
    missing = sorted(set(scripts) - applied)
    transaction.run("INSERT INTO applied SELECT unnest(CAST(:names AS text[]))", names=missing)


def is_current(ledger: Ledger) -> bool:
    """Tell whether the tables are those of the procrastinate that is installed."""
    with ledger.transaction() as transaction:
        if transaction.value(f"SELECT to_regclass('{SCHEMA}.applied')") is None:
            return False
        transaction.run(f"SET LOCAL search_path = {SCHEMA}")
        return set(_migrations()) <= _applied(transaction)


def counts(ledger: Ledger) -> dict[str, int]:
    """The number of jobs that wait, run, and failed for good."""
    with ledger.transaction() as transaction:
        if transaction.value(f"SELECT to_regclass('{SCHEMA}.procrastinate_jobs')") is None:
            return {"waiting": 0, "running": 0, "failed": 0}
        row = transaction.row(
            f"""SELECT count(*) FILTER (WHERE status = 'todo') AS waiting,
                       count(*) FILTER (WHERE status = 'doing') AS running,
                       count(*) FILTER (WHERE status = 'failed') AS failed FROM {SCHEMA}.procrastinate_jobs"""
        )
    assert row is not None
    return dict(row._mapping)


def _applied(transaction: Transaction) -> set[str]:
    rows: list[Any] = transaction.rows("SELECT name FROM applied")
    return {row.name for row in rows}


def _migrations() -> dict[str, Path]:
    return {path.name: path for path in sorted((_sql() / "migrations").glob("*.sql"))}


def _sql() -> Path:
    """The folder of procrastinate's SQL files.

    It is found without importing procrastinate, which takes a while.
    """
    spec = importlib.util.find_spec("procrastinate")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "sql"
