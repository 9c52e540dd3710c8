"""The ledger as a file: dumped as it was at one moment, put back, and compared.

It is compared row for row by digests.
"""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from psycopg.conninfo import make_conninfo

from lsloop.config.address import Address
from lsloop.errors import LsloopError
from lsloop.ledger import Ledger, Transaction, connect

Digests = dict[str, tuple[int, str]]
"""Per table, by its schema and name: how many rows, and a digest of them that does not depend on their
order."""


@dataclass(frozen=True)
class Moment:
    """A moment that stays as it is for whoever names `snapshot`.

    It lasts as long as its transaction is open.
    """

    snapshot: str
    digests: Digests


@contextmanager
def moment(ledger: Ledger) -> Iterator[Moment]:
    """Hold a moment of the ledger while the block runs.

    Nobody who works in it waits.
    """
    with ledger.transaction() as transaction:
        transaction.run("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        snapshot = str(transaction.value("SELECT pg_export_snapshot()"))
        yield Moment(snapshot, _digests(transaction))


def digests(database_url: str) -> Digests:
    """The digests of all tables of a database, whatever its schema.

    Raises Unreachable.
    """
    ledger = connect(database_url, check_schema=False)
    try:
        with ledger.transaction() as transaction:
            return _digests(transaction)
    finally:
        ledger.close()


def is_empty(database_url: str) -> bool:
    """Tell whether a database has no table.

    Raises Unreachable.
    """
    return not digests(database_url)


def _digests(transaction: Transaction) -> Digests:
    tables = transaction.rows(
        """SELECT format('%I.%I', n.nspname, c.relname) AS name FROM pg_class c
           JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE c.relkind = 'r' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' ORDER BY 1"""
    )
    return {row.name: _digest(transaction, row.name) for row in tables}


def _digest(transaction: Transaction, table: str) -> tuple[int, str]:
    # The name comes from PostgreSQL's own catalogue, quoted by it.
    row = transaction.row(
        f"""SELECT count(*) AS rows, coalesce(sum(CAST(hashtextextended(CAST(t AS text), 0) AS numeric)),
           0) AS sum
              FROM {table} t"""
    )
    assert row is not None
    return int(row.rows), str(row.sum)


def dump(program: Path, there: Address, snapshot: str, file: Path) -> None:
    """Write the whole database, as it was at a held moment, with `pg_dump`.

    Raises LsloopError with the words of `pg_dump`.
    """
    options = ["--format=custom", f"--snapshot={snapshot}", f"--file={file}"]
    _run(
        program,
        there,
        options,
        "The ledger could not be saved",
        "Look at what PostgreSQL says, then run again.",
    )


def put_back(program: Path, there: Address, file: Path) -> None:
    """Fill an empty database from a dump with `pg_restore`: all of it or nothing.

    Raises LsloopError with the words of `pg_restore`. Owners and grants are those of whoever does it:
    the roles of another server need not be there.
    """
    options = ["--no-owner", "--no-acl", "--exit-on-error", "--single-transaction", str(file)]
    _run(
        program,
        there,
        options,
        "The ledger could not be put back",
        "Nothing of it was written; use an empty database.",
    )


def _run(program: Path, there: Address, options: list[str], problem: str, fix: str) -> None:
    shown = {name: value for name, value in there.settings.items() if name != "password"}
    secret = {"PGPASSWORD": there.settings["password"]} if there.settings.get("password") else {}
    command = [str(program), f"--dbname={make_conninfo('', **shown)}", *options]
    done = subprocess.run(
        command, capture_output=True, text=True, errors="replace", env={**os.environ, **secret}
    )
    if done.returncode:
        raise LsloopError(f"{problem}: {_last(done.stderr)}", fix)


def _last(said: str) -> str:
    lines = [line for line in said.splitlines() if line.strip()]
    return " ".join(lines[-3:]) or "no words"
