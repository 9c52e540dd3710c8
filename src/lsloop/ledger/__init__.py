"""The ledger in PostgreSQL: the only modules that know SQL.

The database keeps the invariants; here are the calls and the errors.
"""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import orjson
import psycopg
from psycopg import Connection as DriverConnection
from psycopg.types.json import set_json_dumps, set_json_loads
from sqlalchemy import Connection, Engine, Row, create_engine, event, text
from sqlalchemy.exc import DBAPIError

from lsloop.config import address
from lsloop.config.address import Address
from lsloop.errors import Entangled, LsloopError, Refused, Unfit
from lsloop.ledger._refusals import not_connected

SCHEMA = "lsloop"
"""The schema of PostgreSQL that a ledger stands in, unless DATABASE_URL names a search_path."""

# A machine that lost power keeps its turn until PostgreSQL notices: after two minutes, not after two hours.
SESSION = "-c timezone=UTC -c tcp_keepalives_idle=60 -c tcp_keepalives_interval=20 -c tcp_keepalives_count=3"


def keywords(
    there: Address, name: str = "lsloop", session: str = SESSION, seconds: int = 10
) -> dict[str, Any]:
    """The keyword arguments that psycopg connects with, for every part of lsloop.

    Options of the URL or of PGOPTIONS stay; ours follow them.
    """
    ours = {"client_encoding": "UTF8", "options": f"{_options(there)} {session}".strip()}
    return {"connect_timeout": seconds, "application_name": name} | there.settings | ours


def _options(there: Address) -> str:
    return there.settings.get("options") or os.environ.get("PGOPTIONS", "")


def names_path(there: Address) -> bool:
    """Tell whether DATABASE_URL or PGOPTIONS names a search path."""
    return "search_path" in _options(there).replace("-", "_")


class Ledger:
    """An open ledger.

    It is thread safe; every transaction has a connection of its own.
    """

    def __init__(self, engine: Engine, there: Address) -> None:
        self._engine = engine
        self.address = there

    @property
    def place(self) -> str:
        """The place of the ledger, without the password."""
        return self.address.place

    @contextmanager
    def transaction(self) -> Iterator["Transaction"]:
        """A transaction: committed at the end, rolled back on any error.

        Raises Unreachable, LsloopError.
        """
        with translated(self.place), self._engine.begin() as connection:
            yield Transaction(connection)

    @contextmanager
    def in_turn(self, name: str, waiting: Callable[[], None] = lambda: None) -> Iterator["Turn"]:
        """Hold the advisory lock `name` while the block runs.

        When somebody else has it, call `waiting` and wait.
        """
        with translated(self.place), self._engine.connect() as connection:
            if not _locked(connection, "pg_try_advisory_lock", name):
                waiting()
                _locked(connection, "pg_advisory_lock", name)
            try:
                yield Turn(self.place, connection)
            finally:
                _locked(connection, "pg_advisory_unlock", name)

    @contextmanager
    def turn_if_free(self, name: str) -> Iterator["Turn | None"]:
        """Hold the advisory lock `name` while the block runs.

        Gives None, at once, when somebody else has it.
        """
        with translated(self.place), self._engine.connect() as connection:
            if not _locked(connection, "pg_try_advisory_lock", name):
                yield None
                return
            try:
                yield Turn(self.place, connection)
            finally:
                _locked(connection, "pg_advisory_unlock", name)

    def call(self, statement: str, **values: Any) -> Any:
        """The first column of the first row of a statement.

        The statement is a transaction of its own: one round trip.
        """
        with translated(self.place), self._engine.connect() as connection:
            alone = connection.execution_options(isolation_level="AUTOCOMMIT")
            return alone.scalar(text(statement), values)

    @contextmanager
    def listening(self, channel: str) -> Iterator[Callable[[float], bool]]:
        """Listen on a channel.

        Gives a function that waits up to so many seconds, and says whether anything was notified.
        """
        with translated(self.place), self._engine.connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT")
            connection.execute(text(f"LISTEN {channel}"))
            driver = connection.connection.driver_connection
            assert isinstance(driver, DriverConnection)

            def wait(seconds: float) -> bool:
                return any(True for _ in driver.notifies(timeout=seconds, stop_after=1))

            try:
                yield wait
            finally:
                connection.invalidate()  # not for the pool: notifications may still arrive

    def ping(self) -> None:
        """Raise Unreachable unless PostgreSQL answers."""
        with self.transaction() as transaction:
            transaction.value("SELECT 1")

    def close(self) -> None:
        """Give every connection back."""
        self._engine.dispose()


def _locked(connection: Connection, function: str, name: str) -> bool:
    answer = connection.scalar(text(f"SELECT {function}(hashtextextended(:name, 0))"), {"name": name})
    connection.commit()  # at once: the lock is the session's, and an open transaction would hold back vacuum
    return bool(answer)


class Turn:
    """An advisory lock that is held.

    It ends with its connection, without a word, when PostgreSQL goes away.
    """

    def __init__(self, place: str, connection: Connection) -> None:
        self._place = place
        self._connection = connection

    @contextmanager
    def transaction(self) -> Iterator["Transaction"]:
        """A transaction that nobody else can be in: it fails when the lock is lost.

        Raises Unreachable, LsloopError.
        """
        with translated(self._place), self._connection.begin():
            yield Transaction(self._connection)


class Transaction:
    """Statements inside one transaction.

    Values are always bound, `:name` in the statement.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def rows(self, statement: str, **values: Any) -> list[Row[Any]]:
        """All rows of the answer."""
        return list(self._connection.execute(text(statement), values).all())

    def row(self, statement: str, **values: Any) -> Row[Any] | None:
        """The first row of the answer, or None."""
        return self._connection.execute(text(statement), values).first()

    def value(self, statement: str, **values: Any) -> Any:
        """The first column of the first row, or None."""
        return self._connection.scalar(text(statement), values)

    def run(self, statement: str, **values: Any) -> int:
        """Run a statement; return how many rows it touched."""
        return int(self._connection.execute(text(statement), values).rowcount)

    def undo(self) -> None:
        """Roll back all of this transaction, as after a dry run.

        A dry run did everything and keeps nothing.
        """
        transaction = self._connection.get_transaction()
        assert transaction is not None
        transaction.rollback()

    @property
    def driver(self) -> DriverConnection[Any]:
        """The psycopg connection, for COPY."""
        connection = self._connection.connection.driver_connection
        assert isinstance(connection, DriverConnection)
        return connection


def connect(database_url: str, *, check_schema: bool = True) -> Ledger:
    """Open the ledger at a `postgresql://` URL.

    Raises Unreachable when PostgreSQL does not answer, UsageError for an unusable URL, database or schema.
    """
    there = address.read(database_url)
    ledger = Ledger(_engine(there), there)
    if check_schema:
        from lsloop.ledger import migrations

        migrations.check(ledger)
    return ledger


def _engine(there: Address) -> Engine:
    set_json_loads(_loads)
    set_json_dumps(orjson.dumps)
    engine = create_engine("postgresql+psycopg://", pool_pre_ping=True, connect_args=keywords(there))
    if not names_path(there):
        event.listen(engine, "connect", _look_at_home_first)
    return engine


def _look_at_home_first(driver: DriverConnection[Any], _record: object) -> None:
    """Look names up in the ledger's schema, then where plain sessions look."""
    driver.execute(
        """SELECT set_config('search_path',
                             concat_ws(', ', %s::text, nullif(current_setting('search_path'), '')), false)""",
        [SCHEMA],
    )
    driver.commit()


def _loads(document: str | bytes) -> Any:
    """The Python value of a jsonb value.

    PostgreSQL holds more than JSON parsers take: such a value must not hide a whole batch.
    """
    try:
        return orjson.loads(document)
    except (orjson.JSONDecodeError, RecursionError):
        pass
    try:
        return json.loads(document)  # numbers beyond double precision
    except (ValueError, RecursionError):
        return "(nested too deeply to be read)"


@contextmanager
def translated(place: str) -> Iterator[None]:
    """Database errors as errors that say what to do."""
    try:
        yield
    except DBAPIError as error:
        raise _told(error.orig, place) from error
    except psycopg.Error as error:  # from COPY, which SQLAlchemy does not see
        raise _told(error, place) from error


def _told(error: BaseException | None, place: str) -> LsloopError:
    words = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
    state = getattr(error, "sqlstate", None) or ""
    if isinstance(
        error, psycopg.errors.RaiseException
    ):  # a function of ours says what is wrong, and what to do
        return Refused(f"{words}.", error.diag.message_hint or "Nothing was changed.")
    if isinstance(error, psycopg.errors.DeadlockDetected):
        return Entangled(
            "Two runs waited for each other in the ledger, and this one was ended.", "Run it again."
        )
    if isinstance(error, psycopg.IntegrityError):
        return Refused(f"The ledger refused: {words}.", "Nothing was changed; run the command again.")
    if state.startswith(("22", "54")):  # a value that no column can hold, or too much of it
        return Unfit(f"The ledger cannot hold it: {words}.", "Nothing was written; mend what it names.")
    if state.startswith("53"):  # insufficient resources: disk full, too many connections
        what = "Free disk space or connections; nothing was changed."
        return LsloopError(f"PostgreSQL cannot go on: {words}.", what)
    if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        return not_connected(words if state else " ".join(str(error).split()).rstrip(".") or words, place)
    if isinstance(error, psycopg.errors.InsufficientPrivilege | psycopg.errors.ReadOnlySqlTransaction):
        what = "Let its owner GRANT that right, or name another user in DATABASE_URL; nothing was changed."
        return Refused(f"PostgreSQL does not let the user of DATABASE_URL do this: {words}.", what)
    return LsloopError(f"The ledger failed: {words}.", "Nothing was changed; `-v` shows the statement.")
