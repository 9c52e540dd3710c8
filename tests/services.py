"""What the fixtures of conftest.py hand to tests."""

import uuid
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import psycopg

from lsloop.stack import postgres as stack_postgres


@dataclass(frozen=True)
class Postgres:
    data: Path
    port: int

    def url(self, database: str = stack_postgres.DATABASE) -> str:
        return stack_postgres.url(self.data, self.port, database)

    def execute(self, *statements: str) -> None:
        """Run them one by one, in no transaction."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)


@dataclass(frozen=True)
class Studio:
    """Keys of both kinds open it: `token` is a legacy one, `pat` a personal access token."""

    url: str
    token: str
    pat: str
    email: str
    password: str
    data: Path


class Databases:
    """Copies of a template, dropped after use. The next is made while a test works with the one before: in a
    run of hundreds of tests a minute or two."""

    def __init__(self, server: Postgres, template: str) -> None:
        self._server, self._template = server, template
        self._background = ThreadPoolExecutor(1)
        self._dropped: list[Future[None]] = []
        self._next = self._background.submit(self._make)

    def take(self) -> str:
        """The name of one that nobody has used."""
        name = self._next.result()
        self._next = self._background.submit(self._make)
        return name

    def give_back(self, name: str) -> None:
        """Drop it, whoever is still connected."""
        self._dropped.append(self._background.submit(self._drop, name))

    def close(self) -> None:
        """Wait for what is under way. Raises what went wrong."""
        self.give_back(self._next.result())
        self._background.shutdown()
        for one in self._dropped:
            one.result()

    def _make(self) -> str:
        name = f"test_{uuid.uuid4().hex}"
        # What an upgrade sets for a database is not copied with it.
        self._server.execute(
            f"CREATE DATABASE {name} TEMPLATE {self._template} STRATEGY FILE_COPY",
            f'ALTER DATABASE {name} SET search_path TO "$user", public, lsloop',
            f"ALTER ROLE lsloop IN DATABASE {name} SET search_path TO public, lsloop",
        )
        return name

    def _drop(self, name: str) -> None:
        self._server.execute(f"DROP DATABASE {name} WITH (FORCE)")
