"""Reasons why PostgreSQL refuses a connection, and what to do.

While a connection is made, PostgreSQL gives the reason in words only.
"""

import re

from lsloop.errors import LsloopError, Unauthorised, Unreachable

NOT_LET_IN = (
    (r"authentication failed|no password supplied", "does not accept the user or the password",
     "Correct them in DATABASE_URL; in a password write %40 for @, %2F for / and %25 for %."),
    (r'database "[^"]*" does not exist', "has no such database",
     "Make it (CREATE DATABASE name ENCODING 'UTF8' TEMPLATE template0), or correct its name "
     "in DATABASE_URL."),
    (r'role "[^"]*" does not exist|local user with ID', "does not know the user",
     "Name one that it knows in DATABASE_URL."),
    (r"no pg_hba.conf entry|permission denied for database", "does not let this user in from this machine",
     "Allow it (pg_hba.conf, GRANT CONNECT), or name another user in DATABASE_URL."),
    (r"invalid connection option|invalid .*value|certificate|private key|does not support SSL|"
     r"definition of service",
     "cannot be reached in the way that DATABASE_URL says", "Correct what stands behind the ? in it."),
)  # fmt: skip


def not_connected(words: str, place: str) -> LsloopError:
    """The error for a connection that could not be made, or broke."""
    for pattern, what, fix in NOT_LET_IN:
        if re.search(pattern, words):
            return Unauthorised(f"PostgreSQL at {place} {what}: {words}.", fix)
    what = "Start it with `lsloop up`, or check DATABASE_URL."
    return Unreachable(f"PostgreSQL at {place} does not answer: {words}.", what)
