"""The real services that tests share: one PostgreSQL and one Label Studio for the whole run."""

import json
import os
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from lsloop.config import Push
from lsloop.labelstudio import client
from lsloop.ledger import Ledger, connect, migrations
from lsloop.stack import children, ports, studio_env
from lsloop.stack import postgres as stack_postgres
from lsloop.stack import studio as stack_studio
from predicting import Speech
from services import Databases, Postgres, Studio
from world import World, config

CHECKOUT = Path(__file__).parents[1]

# Two workers share the cores, and tiny models learn no faster on two.
os.environ.setdefault("OMP_NUM_THREADS", "1")
TEMPLATE = "migrated"

# The files that take longest, from two minutes down to ten seconds (`pytest --durations=0` tells them).
LONGEST = (
    "test_demo.py", "test_gallery.py", "test_stack_up.py", "test_loop_model.py", "test_stack_up_studio.py",
    "test_dvc.py",
    "test_training_runs.py", "test_retrain.py", "test_doctor.py", "test_postgres_gone.py",
    "test_real_input.py",
    "test_server_streaming.py", "test_stack_environment.py", "test_stack_studio.py", "test_pull_faults.py",
    "test_retrain_dvc.py", "test_gold_commands.py", "test_backup.py", "test_sync.py",
    "test_retrain_jobs.py", "test_export_killed.py", "test_rounds.py", "test_events_at_random.py",
    "test_label_studio_page.py", "test_serve_command.py", "test_ml_attach.py", "test_people_studio.py",
)  # fmt: skip
RANK = {name: rank for rank, name in enumerate(LONGEST)}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The longest files come first, so that no worker is left alone with one in the end
    (`--no-loadscope-reorder`).

    With `--random-order` chance decides, of the files and of the tests in each.
    """
    if not config.getoption("random_order_enabled"):
        items.sort(key=lambda item: RANK.get(item.path.name, len(RANK)))


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A running PostgreSQL 18."""
    folder = tmp_path_factory.mktemp("postgres")
    server = Postgres(folder / "data", ports.choose([]))
    child = stack_postgres.start(server.data, server.port, folder / "postgres.log")
    try:
        stack_postgres.wait_until_ready(child, server.data)
        # The machine does not lose power during a test: no need to wait for the disk.
        careless = [f"ALTER SYSTEM SET {name} = off" for name in ("fsync", "full_page_writes")]
        server.execute(*careless, "SELECT pg_reload_conf()")
        yield server
    finally:
        children.stop([child])


@pytest.fixture(scope="session")
def migrated_template(postgres: Postgres) -> str:
    """The name of a database with today's schema, to be copied and never connected to."""
    postgres.execute(f"CREATE DATABASE {TEMPLATE}")
    migrations.upgrade(postgres.url(TEMPLATE))
    return TEMPLATE


@pytest.fixture(scope="session")
def databases(postgres: Postgres, migrated_template: str) -> Iterator[Databases]:
    """Databases with today's schema and no rows."""
    made = Databases(postgres, migrated_template)
    yield made
    made.close()


@pytest.fixture
def database_url(postgres: Postgres, databases: Databases) -> Iterator[str]:
    """A database of the test's own, with today's schema and no rows."""
    name = databases.take()
    yield postgres.url(name)
    databases.give_back(name)


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
