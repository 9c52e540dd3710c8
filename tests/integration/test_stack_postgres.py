"""PostgreSQL from the wheel: whom it runs as, what it finds when it starts."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import psycopg
import pytest

from lsloop.errors import LsloopError
from lsloop.stack import accounts, children, ports
from lsloop.stack import postgres as stack_postgres
from lsloop.stack.accounts import Account
from lsloop.stack.children import Child
from projects import gone, wait_for
from services import Postgres

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs PostgreSQL as somebody else")


@contextmanager
def started(data: Path, port: int, account: Account | None = None) -> Iterator[Child]:
    child = stack_postgres.start(data, port, data.with_name("log"), account)
    try:
        stack_postgres.wait_until_ready(child, data)
        yield child
    finally:
        children.stop([child])


def query(data: Path, port: int, sql: str) -> str:
    url = stack_postgres.url(data, port)
    return subprocess.run(
        [stack_postgres.binary("psql"), url, "-At", "-c", sql], capture_output=True, text=True, check=True
    ).stdout.strip()


def test_each_test_gets_an_empty_database_of_its_own(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        assert connection.info.server_version // 10000 == 18
        assert connection.info.dbname.startswith("test_")


def test_a_wrong_password_is_refused(postgres: Postgres) -> None:
    password = (postgres.data / stack_postgres.PASSWORD).read_text()
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(postgres.url().replace(password, "guess"))


def test_vietnamese_is_folded_and_ordered_the_same_on_every_machine(postgres: Postgres) -> None:
    assert query(postgres.data, postgres.port, "SELECT lower('ĐƯỜNG'), 'đ' < 'e'") == "đường|f"


@pytest.mark.parametrize("program", ["psql", "pg_dump", "pg_restore"])
def test_the_wheel_has_the_programs_that_others_use(program: str) -> None:
    done = subprocess.run([stack_postgres.binary(program), "--version"], capture_output=True, text=True)
    assert "(PostgreSQL) 18" in done.stdout


def test_a_missing_program_is_named() -> None:
    with pytest.raises(LsloopError, match="'pg_nothing' is not installed"):
        stack_postgres.binary("pg_nothing")


def test_a_data_folder_made_by_half_is_made_again(tmp_path: Path) -> None:
    data, port = tmp_path / "data", ports.choose([])
    half = tmp_path / "data.half-made"
    half.mkdir()
    (half / "PG_VERSION").write_text("18")
    with started(data, port):
        assert query(data, port, "SELECT 1") == "1"
    assert not half.exists()


def test_a_server_left_running_is_ended_before_the_next_one(tmp_path: Path) -> None:
    data, port = tmp_path / "data", ports.choose([])
    with started(data, port) as first:
        left = psutil.Process(first.process.pid)
        family = [left, *left.children()]
        with started(data, port) as second:
            wait_for(lambda: gone(family))
            assert second.process.poll() is None
            assert query(data, port, "SELECT 1") == "1"


def test_a_port_that_is_taken_is_told_with_the_servers_words(tmp_path: Path, postgres: Postgres) -> None:
    with (
        pytest.raises(children.Failed, match="Address already in use"),
        started(tmp_path / "data", postgres.port),
    ):
        raise AssertionError("two servers on one port")


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder that other users may enter, as the wheel must be too."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def nobody() -> Account:
    entry = pwd.getpwnam("nobody")
    return Account(user=(entry.pw_uid, entry.pw_gid))


@needs_root
def test_where_namespaces_are_forbidden_root_runs_it_as_nobody(public: Path) -> None:
    reached = subprocess.run([stack_postgres.binary("postgres"), "--version"], **nobody().keywords())
    if reached.returncode:
        pytest.skip("this checkout is in a folder that other users may not enter")
    data, port = public / "data", ports.choose([])
    namespace = Account(prefix=accounts.namespace(1000))
    for account in (nobody(), namespace, nobody()):  # what one way made, the other goes on with
        with started(data, port, account) as child:
            uid = psutil.Process(child.process.pid).uids().real
            assert uid == (account.user or (0, 0))[0]
            query(data, port, "CREATE TABLE IF NOT EXISTS kept (id int)")
            query(data, port, "INSERT INTO kept VALUES (1)")
            rows = query(data, port, "SELECT count(*) FROM kept")
    assert rows == "3"


@needs_root
def test_root_is_told_when_no_account_can_run_it(tmp_path: Path) -> None:
    with pytest.raises(LsloopError, match="does not run as root") as caught:
        accounts.for_postgres(tmp_path, tmp_path / "postgres")
    assert "DATABASE_URL" in caught.value.fix
