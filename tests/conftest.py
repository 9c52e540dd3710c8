"""The real services that tests share: one PostgreSQL and one Label Studio for the whole run."""

import json
import os
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from lsloop.config import Push
from lsloop.labelstudio import client
from lsloop.ledger import Ledger, connect, migrations
from lsloop.stack import children, ports, studio_env
from lsloop.stack import postgres as stack_postgres
from lsloop.stack import studio as stack_studio
from predicting import Speech
from services import Postgres, Studio
from world import World, config

CHECKOUT = Path(__file__).parents[1]

# Two workers share the cores, and tiny models learn no faster on two.
os.environ.setdefault("OMP_NUM_THREADS", "1")
TEMPLATE = "migrated"


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A running PostgreSQL 18."""
    folder = tmp_path_factory.mktemp("postgres")
    server = Postgres(folder / "data", ports.choose([]))
    child = stack_postgres.start(server.data, server.port, folder / "postgres.log")
    try:
        stack_postgres.wait_until_ready(child, server.data)
        # The machine does not lose power during a test: no need to wait for the disk.
        _execute(server, "ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()")
        yield server
    finally:
        children.stop([child])


@pytest.fixture(scope="session")
def migrated_template(postgres: Postgres) -> str:
    """The name of a database with today's schema, to be copied and never connected to."""
    _execute(postgres, f"CREATE DATABASE {TEMPLATE}")
    migrations.upgrade(postgres.url(TEMPLATE))
    return TEMPLATE


@pytest.fixture
def database_url(postgres: Postgres, migrated_template: str) -> Iterator[str]:
    """A database of the test's own, with today's schema and no rows."""
    name = f"test_{uuid.uuid4().hex}"
    _execute(postgres, f"CREATE DATABASE {name} TEMPLATE {migrated_template}")
    yield postgres.url(name)
    _execute(postgres, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def studio_environment() -> Path:
    """Label Studio's own environment; made on the first run, which takes minutes, and kept for the next."""
    env = Path(os.environ.get("LSLOOP_STUDIO_ENV") or CHECKOUT / ".lsloop" / "studio")
    studio_env.ensure(env, print)
    return env


@pytest.fixture(scope="session")
def studio(studio_environment: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """A running Label Studio with an administrator and no projects."""
    folder = tmp_path_factory.mktemp("studio")
    port = ports.choose([])
    child = stack_studio.start(studio_environment, folder / "data", port, folder / "studio.log")
    try:
        stack_studio.wait_until_ready(child, port)
        admin, url = stack_studio.admin(folder / "data"), f"http://127.0.0.1:{port}"
        pat = _personal_access_token(url, admin.token)
        yield Studio(url, admin.token, pat, admin.email, admin.password, folder / "data")
    finally:
        children.stop([child])


def _personal_access_token(url: str, token: str) -> str:
    headers = {"Authorization": f"Token {token}"}
    request = urllib.request.Request(f"{url}/api/token/", method="POST", headers=headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return str(json.load(answer)["token"])


def _execute(server: Postgres, *statements: str) -> None:
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)


@pytest.fixture
def ledger(database_url: str) -> Iterator[Ledger]:
    """An empty ledger of the test's own."""
    opened = connect(database_url)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Speech:
    """Recordings and tiny speech models."""
    return Speech.made(tmp_path_factory.mktemp("speech"))


@pytest.fixture
def world(tmp_path: Path, ledger: Ledger, database_url: str, studio: Studio) -> Iterator[World]:
    """A project folder, a ledger and Label Studio, put together."""
    settings = config(tmp_path, database_url, studio.url, studio.token, push=Push(settle_seconds=1, batch=10))
    settings.raw_dir.mkdir(parents=True)
    with client.connect(studio.url, studio.token) as connection:
        yield World(settings, ledger, connection)
