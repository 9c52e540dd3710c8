"""The schema: migrations applied by yoyo, functions and views, and the job queue.

Migrations are plain SQL. Functions and views are replaced as a whole. The job queue has its tables.
"""

import hashlib
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from lsloop import resources
from lsloop.errors import SchemaMismatch
from lsloop.ledger import Ledger, Transaction, _yoyo, connect, fitness, queue

TURN = "lsloop db upgrade"


def upgrade(database_url: str, waiting: Callable[[], None] = lambda: None) -> list[str]:
    """Apply what is missing, then install functions and views.

    Returns the migrations applied. It is idempotent. All of it is one transaction: whatever ends it,
    the ledger is as it was. `waiting` is called when another upgrade is at work.

    Raises Unreachable, SchemaMismatch when the ledger is newer than this program, UsageError for an
    unfit database.
    """
    with closing(connect(database_url, check_schema=False)) as ledger, ledger.in_turn(TURN, waiting) as turn:
        # On the connection that holds the turn: one that is lost with it takes back all of the upgrade.
        with turn.transaction() as transaction:
            fitness.check(transaction, ledger.place)
            applied = _applied_in(transaction)
            _refuse_newer(applied)
            if applied != set(shipped()) or _installed_in(transaction) != digest():
                fitness.check_rights(transaction, ledger.place)
            done = _yoyo.apply(transaction, resources.path("sql", "migrations"))
            _install_code(transaction)
            queue.upgrade(transaction)
        return done


@dataclass(frozen=True)
class Status:
    """The migrations by name.

    They are those applied, those not yet applied, and those that this program does not know.
    """

    applied: list[str]
    missing: list[str]
    unknown: list[str]
    functions_current: bool

    @property
    def is_current(self) -> bool:
        return self.functions_current and not self.missing and not self.unknown


def status(ledger: Ledger) -> Status:
    """The ledger's schema compared to this program's."""
    applied = _applied(ledger)
    return Status(
        applied=[name for name in shipped() if name in applied],
        missing=[name for name in shipped() if name not in applied],
        unknown=sorted(applied - set(shipped())),
        functions_current=bool(applied) and _installed(ledger) == digest(),
    )


def check(ledger: Ledger) -> None:
    """Raise SchemaMismatch unless the ledger's schema is this program's.

    Raises UsageError where PostgreSQL is not fit for it.
    """
    with ledger.transaction() as transaction:
        fitness.check(transaction, ledger.place)
        applied = _applied_in(transaction)
        _refuse_newer(applied)
        is_current = applied == set(shipped()) and _installed_in(transaction) == digest()
    if not is_current:
        what = "has no schema yet" if not applied else "has an older schema than this lsloop"
        raise SchemaMismatch(f"The ledger at {ledger.place} {what}.", "Run `lsloop db upgrade`.")


def shipped() -> list[str]:
    """The names of this program's migrations, oldest first."""
    return sorted(path.stem for path in resources.path("sql", "migrations").glob("*.sql"))


def digest() -> str:
    """A digest of this program's functions and views."""
    return hashlib.sha256(b"".join(path.read_bytes() for path in _code())).hexdigest()


def _code() -> list[Path]:
    return [
        *sorted(resources.path("sql", "functions").glob("*.sql")),
        *sorted(resources.path("sql", "views").glob("*.sql")),
    ]


def _refuse_newer(applied: set[str]) -> None:
    unknown = sorted(applied - set(shipped()))
    if unknown:
        raise SchemaMismatch(
            f"The ledger is newer than this lsloop: it has {unknown[-1]}.", "Upgrade lsloop, then run again."
        )


def _applied(ledger: Ledger) -> set[str]:
    with ledger.transaction() as transaction:
        return _applied_in(transaction)


def _applied_in(transaction: Transaction) -> set[str]:
    if transaction.value("SELECT to_regclass('_yoyo_migration')") is None:
        return set()
    return {row.migration_id for row in transaction.rows("SELECT migration_id FROM _yoyo_migration")}


def _installed(ledger: Ledger) -> str | None:
    with ledger.transaction() as transaction:
        return _installed_in(transaction)


def _installed_in(transaction: Transaction) -> str | None:
    found: str | None = transaction.value("SELECT digest FROM schema_code")
    return found


def _install_code(transaction: Transaction) -> None:
    if _installed_in(transaction) == digest():
        return
    # Functions call each other; bodies are checked when all of them are there.
    transaction.run("SET LOCAL check_function_bodies = off")
    for path in _code():
        transaction.driver.execute(path.read_bytes())
    transaction.run(
        "INSERT INTO schema_code (digest) VALUES (:digest)"
        " ON CONFLICT (only_row) DO UPDATE SET digest = :digest",
        digest=digest(),
    )
