"""The schema in PostgreSQL that the ledger's objects stand in.

It is `lsloop`, beside the user's own tables, and on the search path of the database. What stood in `public`
is moved. Where DATABASE_URL names a search_path, the ledger stands in the first schema of that; one that a
DBA's search path led to another schema than `public` stays there.
"""

import re
from collections.abc import Iterable
from pathlib import Path

import psycopg

from lsloop.ledger import SCHEMA, Transaction, search_path

OLD = "public"
BOOKS = ("_yoyo_migration", "_yoyo_log", "_yoyo_version", "yoyo_lock")
"""yoyo's tables."""

_MADE = re.compile(r"^CREATE (?:UNLOGGED )?(TABLE|SEQUENCE) (\w+)", re.MULTILINE)
_DROPPED = re.compile(r"^DROP FUNCTION IF EXISTS [^;]+;", re.MULTILINE)


def find(transaction: Transaction) -> str | None:
    """First schema of the search path that holds a ledger, quoted, or None.

    A ledger is known by columns of its own tables and of yoyo's: others have tables of these names, too.
    """
    found: str | None = transaction.value(
        """SELECT quote_ident(name) FROM unnest(current_schemas(false)) WITH ORDINALITY s(name, place)
            WHERE (SELECT count(*) FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
                     JOIN pg_namespace n ON n.oid = c.relnamespace
                    WHERE n.nspname = name AND c.relkind = 'r'
                      AND (c.relname, a.attname) IN (('_yoyo_migration', 'migration_id'),
                                                     ('schema_code', 'digest'),
                                                     ('samples', 'sync_version'))) = 3
            ORDER BY place LIMIT 1"""
    )
    return found


def was_moved(transaction: Transaction) -> bool:
    """Tell whether the ledger was moved away from the current schema."""
    kind = transaction.value(
        """SELECT relkind FROM pg_class
            WHERE oid = to_regclass(quote_ident(current_schema()) || '._yoyo_migration')"""
    )
    return bool(kind == "v")


def make(transaction: Transaction) -> None:
    """Make the schema, if it is not there; whoever may use `public` may use it.

    That is so unless somebody has said who may: a dump that is put back without grants says nothing.
    """
    if transaction.value(f"SELECT to_regnamespace('{SCHEMA}')") is None:
        transaction.run(f"CREATE SCHEMA {SCHEMA}")
    if not transaction.value(
        f"""SELECT nspacl IS NULL AND pg_has_role(nspowner, 'USAGE')
              FROM pg_namespace WHERE nspname = '{SCHEMA}'"""
    ):
        return
    allowed = transaction.rows(
        """SELECT CASE WHEN grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END AS who
             FROM pg_namespace, aclexplode(coalesce(nspacl, acldefault('n', nspowner)))
            WHERE nspname = :old AND privilege_type = 'USAGE' AND grantee <> nspowner""",
        old=OLD,
    )
    for one in allowed:
        transaction.run(f"GRANT USAGE ON SCHEMA {SCHEMA} TO {one.who}")


def move_tables(transaction: Transaction, scripts: Iterable[Path]) -> None:
    """Move what these migrations made, and yoyo's tables, with their parts.

    A view stays in the old place: it tells an older lsloop that the ledger is newer.
    """
    texts = [path.read_text(encoding="utf-8") for path in scripts]
    made = {(name, kind) for text in texts for kind, name in _MADE.findall(text)}
    for name, kind in sorted(made | {(name, "TABLE") for name in BOOKS}):
        if transaction.value("SELECT to_regclass(:name)", name=f"{OLD}.{name}") is not None:
            transaction.run(f"ALTER {kind} {OLD}.{name} SET SCHEMA {SCHEMA}")
    transaction.run(f"CREATE VIEW {OLD}._yoyo_migration AS SELECT * FROM {SCHEMA}._yoyo_migration")
    transaction.run(
        f"COMMENT ON VIEW {OLD}._yoyo_migration IS "
        f"'tells an lsloop from before the ledger moved to the schema {SCHEMA} that it is too old'"
    )


def move_code(transaction: Transaction, code: list[Path]) -> None:
    """Move the functions and views that this code replaces: grants stay.

    Which they are is seen by installing it, which is undone: by name and arguments, as PostgreSQL tells
    them apart. What the code drops is dropped in the old place, too.
    """
    functions, views = _tried(transaction, code)
    for one in transaction.rows(
        """SELECT p.oid::regprocedure AS name FROM pg_proc p
            WHERE p.pronamespace = CAST(:old AS regnamespace)
              AND concat(p.proname, ' ', p.proargtypes) = ANY (:functions)""",
        old=OLD,
        functions=functions,
    ):
        transaction.run(f"ALTER FUNCTION {one.name} SET SCHEMA {SCHEMA}")
    for view in views:
        transaction.run(f"ALTER VIEW IF EXISTS {OLD}.{view} SET SCHEMA {SCHEMA}")
    path = str(transaction.value("SHOW search_path"))
    transaction.run(f"SET LOCAL search_path = {OLD}, {SCHEMA}")
    for dropped in (line for file in code for line in _DROPPED.findall(file.read_text(encoding="utf-8"))):
        transaction.run(dropped)
    search_path.use(transaction, path)


def _tried(transaction: Transaction, code: list[Path]) -> tuple[list[str], list[str]]:
    """Functions (with types of arguments) and views that the code makes."""
    with transaction.driver.transaction() as attempt:
        search_path.use(transaction, SCHEMA)
        run_code(transaction, code)
        functions = transaction.rows(
            f"""SELECT concat(proname, ' ', proargtypes) AS name FROM pg_proc
                 WHERE pronamespace = '{SCHEMA}'::regnamespace"""
        )
        views = transaction.rows(
            f"""SELECT quote_ident(relname) AS name FROM pg_class
                 WHERE relnamespace = '{SCHEMA}'::regnamespace AND relkind = 'v'"""
        )
        raise psycopg.Rollback(attempt)
    return [one.name for one in functions], [one.name for one in views]


def run_code(transaction: Transaction, code: list[Path]) -> None:
    """Replace functions and views."""
    # Functions call each other; bodies are checked when all of them are there.
    transaction.run("SET LOCAL check_function_bodies = off")
    for path in code:
        transaction.driver.execute(path.read_bytes())


def install(transaction: Transaction, code: list[Path]) -> None:
    """Replace functions and views in the ledger's own schema.

    Functions find the ledger's tables in whoever's session they run: what is not inlined searches its own
    schema first. A SET clause keeps a function from being inlined, so those that are have none; what people
    call of them is written as BEGIN ATOMIC.
    """
    path = str(
        transaction.value("SELECT string_agg(quote_ident(s), ', ') FROM unnest(current_schemas(false)) s")
    )
    before = str(transaction.value("SHOW search_path"))
    search_path.use(transaction, str(transaction.value("SELECT quote_ident(current_schema())")))
    run_code(transaction, code)
    # What this transaction has replaced is ours; others may have functions of their own beside it.
    statements = transaction.value(
        """SELECT string_agg(format('ALTER FUNCTION %s SET search_path = %s, pg_temp',
                                    p.oid::regprocedure, CAST(:path AS text)), '; ')
             FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
            WHERE p.pronamespace = CAST(quote_ident(current_schema()) AS regnamespace)
              AND p.xmin = CAST(pg_current_xact_id() AS xid) AND p.prosqlbody IS NULL
              AND (l.lanname = 'plpgsql' OR p.provolatile = 'v')""",
        path=path,
    )
    transaction.driver.execute(statements)
    search_path.use(transaction, before)


def older_sessions(transaction: Transaction) -> int:
    """The number of other sessions of lsloop in this database."""
    return int(
        transaction.value(
            """SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
                  AND application_name LIKE 'lsloop%' AND pid <> pg_backend_pid()"""
        )
    )
