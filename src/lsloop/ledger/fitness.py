"""Fitness of a database for a ledger, told in words before anything is made in it."""

from lsloop.errors import UsageError
from lsloop.ledger import Transaction

OLDEST = 14
ELSEWHERE = "CREATE DATABASE name ENCODING 'UTF8' TEMPLATE template0, and name it in DATABASE_URL."


def check(transaction: Transaction, place: str) -> None:
    """Raise UsageError where the ledger cannot work.

    Nothing is asked of PostgreSQL that it has not told yet.
    """
    said = transaction.driver.info
    encoding = said.parameter_status("server_encoding")
    if encoding != "UTF8":
        what = (
            f"The database at {place} is in {encoding}, which cannot hold every text; a ledger must be UTF8."
        )
        raise UsageError(what, f"Make another: {ELSEWHERE}")
    if said.server_version < OLDEST * 10_000:
        what = (
            f"PostgreSQL at {place} is version {said.server_version // 10_000}; "
            f"lsloop needs {OLDEST} or newer."
        )
        raise UsageError(what, "Upgrade it, or name another in DATABASE_URL.")
    if said.parameter_status("in_hot_standby") == "on":
        fix = "Name the primary in DATABASE_URL, or all hosts with target_session_attrs=read-write."
        raise UsageError(f"PostgreSQL at {place} is a standby, which takes no changes.", fix)
    if said.parameter_status("default_transaction_read_only") == "on":
        fix = "Set it to off for the database, the user or in DATABASE_URL."
        raise UsageError(f"default_transaction_read_only is on at {place}, and the ledger writes.", fix)


def check_rights(transaction: Transaction, place: str, into: str | None) -> None:
    """Raise UsageError where the user cannot make what an upgrade makes.

    `into` is the schema that it makes it in, which may be made, too; None for the first one of search_path.
    """
    row = transaction.row(
        """SELECT quote_ident(current_user) AS who, quote_ident(current_database()) AS base, into_ AS into,
                  current_setting('search_path') AS path,
                  coalesce(has_schema_privilege(CAST(to_regnamespace(into_) AS oid), 'CREATE'), TRUE)
                  AS in_schema,
                  has_database_privilege(current_database(), 'CREATE')
                  OR to_regnamespace('lsloop_jobs') IS NOT NULL AND to_regnamespace(into_) IS NOT NULL
                  AS in_base
             FROM coalesce(CAST(:into AS text), quote_ident(current_schema())) into_""",
        into=into,
    )
    assert row is not None
    if row.into is None:
        raise UsageError(
            f"None of the schemas in the search_path at {place} is there: {row.path}.",
            "Make one (CREATE SCHEMA name), or correct search_path in DATABASE_URL.",
        )
    missing = [] if row.in_schema else [f"SCHEMA {row.into}"]
    missing += [] if row.in_base else [f"DATABASE {row.base}"]
    if missing:
        raise UsageError(
            f"The user {row.who} may not make anything in {' or '.join(missing)} at {place}.",
            f"As its owner: {' '.join(f'GRANT CREATE ON {one} TO {row.who};' for one in missing)}",
        )
