"""The search path of the database, which the ledger's schema is put on.

So plain SQL of anybody's session finds it, after the user's own tables.
"""

from lsloop.ledger import SCHEMA, Transaction

_HERE = "x.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))"


def use(transaction: Transaction, path: str) -> None:
    """Look names up along this path until the transaction ends."""
    transaction.run("SELECT set_config('search_path', :path, true)", path=path)


def append(transaction: Transaction) -> None:
    """Put the schema at the end of the search path of the database, unless it is there.

    Nothing is done where the user may not: `advice` tells. A role of the schema's name would find the
    schema first, by "$user": it is given the path without that.
    """
    row = transaction.row(
        """SELECT quote_ident(datname) AS base, pg_has_role(datdba, 'USAGE') AS may
             FROM pg_database WHERE datname = current_database()"""
    )
    assert row is not None
    before, path = str(transaction.value("SHOW search_path")), _of_database(transaction)
    if not _names(path) and row.may:
        use(transaction, f"{path}, {SCHEMA}" if path else SCHEMA)
        transaction.run(f"ALTER DATABASE {row.base} SET search_path FROM CURRENT")
    if '"$user"' in path and _may_set_for_namesake(transaction):
        others = [part for part in _parts(path) if part not in ('"$user"', SCHEMA)]
        use(transaction, ", ".join([*others, SCHEMA]))
        transaction.run(f"ALTER ROLE {SCHEMA} IN DATABASE {row.base} SET search_path FROM CURRENT")
    use(transaction, before)


def _may_set_for_namesake(transaction: Transaction) -> bool:
    """Tell whether a role of the schema's name may be given a path of its own."""
    return bool(
        transaction.value(
            f"""SELECT EXISTS (SELECT FROM pg_roles r, pg_roles me
                                WHERE r.rolname = '{SCHEMA}' AND me.rolname = current_user
                                  AND (me.rolsuper OR me.oid = r.oid)
                                  AND NOT EXISTS (SELECT FROM pg_db_role_setting x, unnest(setconfig) c
                                                   WHERE x.setrole = r.oid AND c LIKE 'search_path=%'
                                                     AND {_HERE}))"""
        )
    )


def advice(transaction: Transaction) -> list[str]:
    """SQL that a DBA must run so that plain sessions find the schema, if any."""
    base = transaction.value("SELECT quote_ident(current_database())")
    path = _of_database(transaction)
    said = [] if _names(path) else [f"ALTER DATABASE {base} SET search_path TO {path}, {SCHEMA};"]
    for one in transaction.rows(
        """SELECT quote_ident(pg_get_userbyid(x.setrole)) AS who, substr(c, 13) AS path
             FROM pg_db_role_setting x JOIN pg_database d ON d.oid = x.setdatabase, unnest(setconfig) c
            WHERE d.datname = current_database() AND x.setrole <> 0 AND c LIKE 'search_path=%'"""
    ):
        if not _names(one.path):
            said.append(f"ALTER ROLE {one.who} IN DATABASE {base} SET search_path TO {one.path}, {SCHEMA};")
    return said


def _of_database(transaction: Transaction) -> str:
    """Search path of sessions in this database whose role has no other."""
    return str(
        transaction.value(
            f"""SELECT coalesce(
                   (SELECT substr(c, 13) FROM pg_db_role_setting x, unnest(setconfig) c
                     WHERE x.setrole = 0 AND c LIKE 'search_path=%' AND {_HERE}
                     ORDER BY x.setdatabase DESC LIMIT 1),
                   -- A role's own says nothing of the others.
                   (SELECT boot_val FROM pg_settings WHERE name = 'search_path' AND EXISTS (
                       SELECT FROM pg_db_role_setting x JOIN pg_roles r ON r.oid = x.setrole,
                                   unnest(setconfig) c
                        WHERE r.rolname = session_user AND c LIKE 'search_path=%' AND {_HERE})),
                   (SELECT reset_val FROM pg_settings WHERE name = 'search_path'))"""
        )
    )


def _names(path: str) -> bool:
    return any(part in (SCHEMA, f'"{SCHEMA}"') for part in _parts(path))


def _parts(path: str) -> list[str]:
    return [part.strip() for part in path.split(",") if part.strip()]
