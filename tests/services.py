"""What the fixtures of conftest.py hand to tests."""

from dataclasses import dataclass
from pathlib import Path

from lsloop.stack import postgres as stack_postgres


@dataclass(frozen=True)
class Postgres:
    data: Path
    port: int

    def url(self, database: str = stack_postgres.DATABASE) -> str:
        return stack_postgres.url(self.data, self.port, database)


@dataclass(frozen=True)
class Studio:
    """Keys of both kinds open it: `token` is a legacy one, `pat` a personal access token."""

    url: str
    token: str
    pat: str
    email: str
    password: str
    data: Path
