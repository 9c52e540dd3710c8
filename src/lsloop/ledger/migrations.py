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
from lsloop.ledger import (
    SCHEMA,
    Ledger,
    Transaction,
    _yoyo,
    connect,
    fitness,
    home,
    names_path,
    queue,
    search_path,
)
from lsloop.values.text import counted

TURN = "lsloop db upgrade"
ADVICE = "For plain SQL of other programs to find the ledger, the owner of the database must run:"


def upgrade(
    database_url: str,
    waiting: Callable[[], None] = lambda: None,
    say: Callable[[str], None] = lambda said: None,
) -> list[str]:
    """Apply what is missing, then install functions and views.

    Returns the migrations applied. It is idempotent. All of it is one transaction: whatever ends it,
    the ledger is as it was. `waiting` is called when another upgrade is at work, `say` with what people
    should know or do afterwards.

    Raises Unreachable, SchemaMismatch when the ledger is newer than this program, UsageError for an
    unfit database.
    """
    with closing(connect(database_url, check_schema=False)) as ledger, ledger.in_turn(TURN, waiting) as turn:
        # On the connection that holds the turn: one that is lost with it takes back all of the upgrade.
        with turn.transaction() as transaction:
            fitness.check(transaction, ledger.place)
            done, told = _upgrade(transaction, ledger)
        for line in told:
            say(line)
        return done


def _upgrade(transaction: Transaction, ledger: Ledger) -> tuple[list[str], list[str]]:
    """What was applied, and what people should know."""
    applied = _applied_in(transaction)
    _refuse_newer(applied)
    _refuse_moved(transaction, ledger, applied)
    chosen, there = names_path(ledger.address), home.find(transaction)
    moves = there == home.OLD and not chosen
    if moves or applied != set(shipped()) or _installed_in(transaction) != digest():
        into = there if there and not moves else None if chosen else SCHEMA
        fitness.check_rights(transaction, ledger.place, into)
    if not chosen and (moves or there in (None, SCHEMA)):
        home.make(transaction)
    if moves:
        home.move_tables(transaction, _made_by(transaction, applied))
    done = _yoyo.apply(transaction, resources.path("sql", "migrations"))
    if moves:
        home.move_code(transaction, _code())
    _install_code(transaction, again=moves or bool(done))
    if not chosen and home.find(transaction) == SCHEMA:
        search_path.append(transaction)
    told = [*_moved(transaction, moves), *(f"{ADVICE} {line}" for line in _advice(transaction))]
    queue.upgrade(transaction)
    return done, told


def _made_by(transaction: Transaction, applied: set[str]) -> list[Path]:
    """Scripts whose tables there are: applied ones, and one that was killed."""
    files = sorted(resources.path("sql", "migrations").glob("*.sql"))
    missing = [path for path in files if path.stem not in applied]
    was_killed = _yoyo.is_locked(transaction, home.OLD)
    return [path for path in files if path.stem in applied] + (missing[:1] if was_killed else [])


def _moved(transaction: Transaction, moves: bool) -> list[str]:
    if not moves:
        return []
    said = [f"The ledger moved from the schema {home.OLD} to {SCHEMA}; everything else stayed."]
    if others := home.older_sessions(transaction):
        said.append(
            f"{counted(others, 'session')} of an lsloop that was started before: restart it "
            "(it does not find the ledger any more, and changes nothing)."
        )
    return said


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
        _refuse_moved(transaction, ledger, applied)
        is_current = applied == set(shipped()) and _installed_in(transaction) == digest()
    if not is_current:
        what = "has no schema yet" if not applied else "has an older schema than this lsloop"
        raise SchemaMismatch(f"The ledger at {ledger.place} {what}.", "Run `lsloop db upgrade`.")


def advice(ledger: Ledger) -> list[str]:
    """SQL for the owner of the database, so that other programs find the ledger."""
    with ledger.transaction() as transaction:
        return _advice(transaction)


def _advice(transaction: Transaction) -> list[str]:
    return search_path.advice(transaction) if home.find(transaction) == SCHEMA else []


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


def _refuse_moved(transaction: Transaction, ledger: Ledger, applied: set[str]) -> None:
    if not applied and home.was_moved(transaction):
        raise SchemaMismatch(
            f"The ledger at {ledger.place} moved to the schema {SCHEMA}.",
            "Take search_path out of DATABASE_URL."
            if names_path(ledger.address)
            else f"Let its owner GRANT USAGE ON SCHEMA {SCHEMA} to this user.",
        )


def _applied(ledger: Ledger) -> set[str]:
    with ledger.transaction() as transaction:
        return _applied_in(transaction)


def _applied_in(transaction: Transaction) -> set[str]:
    there = home.find(transaction)
    if there is None:
        return set()
    return {row.migration_id for row in transaction.rows(f"SELECT migration_id FROM {there}._yoyo_migration")}


def _installed(ledger: Ledger) -> str | None:
    with ledger.transaction() as transaction:
        return _installed_in(transaction)


def _installed_in(transaction: Transaction) -> str | None:
    found: str | None = transaction.value("SELECT digest FROM schema_code")
    return found


def _install_code(transaction: Transaction, again: bool) -> None:
    if not again and _installed_in(transaction) == digest():
        return
    home.install(transaction, _code())
    transaction.run(
        "INSERT INTO schema_code (digest) VALUES (:digest)"
        " ON CONFLICT (only_row) DO UPDATE SET digest = :digest",
        digest=digest(),
    )
