"""yoyo inside a transaction of ours.

What it applies and its note of that come together, or not at all.

Left to itself, yoyo commits each migration and then its mark, and holds its lock in a row, which a
killed process leaves behind.
"""

import platform
import uuid
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from psycopg import errors

from lsloop import machine
from lsloop.ledger import Transaction

THERE_ALREADY = (
    errors.DuplicateTable, errors.DuplicateColumn, errors.DuplicateObject, errors.DuplicateFunction,
    errors.UndefinedTable, errors.UndefinedColumn, errors.UndefinedObject,
)  # fmt: skip
"""What the first statement of a migration meets that was applied before: it makes, or drops, something."""


def apply(transaction: Transaction, folder: Path) -> list[str]:
    """Apply the migrations of a folder that are missing; return their names.

    The caller holds the lock of upgrades, so a row in yoyo's own was left by one that was killed.
    """
    backend, yoyo = _backend(transaction)
    was_killed = _break_lock(transaction)
    _keep_books(backend)
    missing = list(backend.to_apply(yoyo.read_migrations(str(folder))))
    if missing and was_killed and _was_applied(transaction, backend, missing[0]):
        missing = missing[1:]
    for migration in missing:
        backend.apply_one(migration)
    return [migration.id for migration in missing]


def is_locked(transaction: Transaction, there: str) -> bool:
    """Tell whether an older lsloop was killed in an upgrade of this ledger.

    It left its lock in a row.
    """
    if transaction.value("SELECT to_regclass(:name)", name=f"{there}.yoyo_lock") is None:
        return False
    return bool(transaction.value(f"SELECT EXISTS (SELECT FROM {there}.yoyo_lock)"))


def _break_lock(transaction: Transaction) -> bool:
    there = transaction.value("SELECT quote_ident(current_schema())")
    return is_locked(transaction, there) and transaction.run(f"DELETE FROM {there}.yoyo_lock") > 0


def _was_applied(transaction: Transaction, backend: Any, migration: Any) -> bool:
    """Tell whether a killed upgrade committed this migration without marking it.

    If so, it is marked now.
    """
    try:
        with transaction.driver.transaction():
            backend.apply_one(migration)
            raise _Untouched
    except _Untouched:
        return False
    except THERE_ALREADY:
        backend.mark_migrations([migration])
        return True


class _Untouched(Exception):
    """A sign that the migration could be applied: nothing of it was there.

    It ends the attempt.
    """


def _keep_books(backend: Any) -> None:
    """Make or update yoyo's tables.

    yoyo's own way would need no transaction around it.
    """
    from yoyo import internalmigrations

    if internalmigrations.needs_upgrading(backend):
        internalmigrations.upgrade(backend)
    backend._internal_schema_updated = True


def _backend(transaction: Transaction) -> tuple[Any, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # yoyo warns about its own use of pkg_resources
        import yoyo
        from yoyo.backends.core.postgresql import PostgresqlPsycopgBackend
        from yoyo.connections import parse_uri
        from yoyo.migrations import default_migration_table

    class Inside(PostgresqlPsycopgBackend):  # type: ignore[misc]
        """yoyo's backend, working on the connection that it is given.

        It ends no transaction of that connection.
        """

        def connect(self, dburi: Any) -> Any:
            return transaction.driver

        def transaction(self, rollback_on_exit: bool = False) -> AbstractContextManager[Any]:
            return nullcontext(self)

        @contextmanager
        def copy(self) -> Iterator[Any]:
            yield self

        def lock(self, timeout: float = 10) -> AbstractContextManager[None]:
            return nullcontext()

        def get_log_data(self, migration: Any = None, operation: str = "apply") -> dict[str, Any]:
            """The data that yoyo logs, as its own method gives it.

            yoyo's own method asks for a name that a user of a container may not have.
            """
            return {
                "id": str(uuid.uuid1()),
                "migration_id": migration.id if migration else None,
                "migration_hash": migration.hash if migration else None,
                "username": machine.user(),
                "hostname": platform.node(),
                "created_at_utc": datetime.now(UTC).replace(tzinfo=None),
                "operation": operation,
            }

    nowhere = parse_uri("postgresql://")  # it is given its connection
    return Inside(nowhere, default_migration_table), yoyo
