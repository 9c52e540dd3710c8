"""Label Studio's own Python environment, made once with pinned versions.

Every start after that uses it.

It stands apart from lsloop's because the two pin different versions of the same packages. In it is kept an
empty store with all tables made: that takes Label Studio most of a minute, and a copy takes no time.
"""

import fcntl
import hashlib
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from lsloop import resources
from lsloop.errors import UsageError
from lsloop.stack import children, files

Say = Callable[[str], None]

SITE = Path(__file__).parent / "site"  # holds nothing but what Label Studio's environment may import
MARKER = "lsloop-studio"  # holds the fingerprint once the environment is complete
TEMPLATE = "empty.sqlite3"
STORE = "label_studio.sqlite3"  # Label Studio's name for it, in its data folder

PRIVATE = {
    # Neither telemetry nor error reports nor questions about newer versions leave the machine.
    "COLLECT_ANALYTICS": "false",
    "LATEST_VERSION_CHECK": "false",
    "SENTRY_DSN": "",
    "FRONTEND_SENTRY_DSN": "",
}


def python(env: Path) -> Path:
    """The environment's interpreter."""
    return env / "bin" / "python"


def ensure(env: Path, say: Say) -> None:
    """Make the environment and the empty store in `env` unless they are complete.

    It takes minutes the first time. Raises Failed when a step fails, UsageError when `env` is not lsloop's.
    """
    make_once(env, resources.path("constraints-studio.txt"), _make_template, say)


def make_once(env: Path, pins: Path, finish: Callable[[Path, Path, Say], None], say: Say) -> None:
    """Make a virtual environment of the packages in `pins`, then `finish` it.

    `finish(env, log, say)` is called; the environment is whole, or made again.

    Raises Failed when a step fails, UsageError when `env` is not lsloop's.
    """
    wanted = fingerprint(pins)
    if made_from(env) == wanted:
        return
    env.parent.mkdir(parents=True, exist_ok=True)
    with _only_one(env.with_name(f"{env.name}.lock"), say):
        if made_from(env) == wanted:
            return
        _clear(env)
        log = env.with_name(f"{env.name}.log")
        log.unlink(missing_ok=True)
        _install(env, pins, log, say)
        finish(env, log, say)
        files.write(env / MARKER, wanted)


def fingerprint(pins: Path) -> str:
    """Return the digest of what an environment is made from.

    Another value means that it must be made anew.
    """
    return hashlib.sha256(pins.read_bytes() + f"\nPython {sys.version_info[:2]}".encode()).hexdigest()


def made_from(env: Path) -> str:
    """The fingerprint of what `env` was made from to the end; empty when it was not."""
    marker = env / MARKER
    return marker.read_text(encoding="utf-8") if marker.is_file() else ""


def new_store(env: Path, data: Path) -> None:
    """Put an empty store with all tables into the data folder.

    The store is there whole or not at all.
    """
    half = data / f"{STORE}.half-made"
    shutil.copyfile(env / TEMPLATE, half)
    half.chmod(0o600)
    with half.open("rb") as file:
        os.fsync(file.fileno())
    half.rename(data / STORE)


def migrate(env: Path, data: Path, log: Path) -> None:
    """Bring the tables of the store in `data` up to the environment's Label Studio.

    It takes about 40 s if the store is new.
    """
    where = {"LABEL_STUDIO_BASE_DATA_DIR": str(data), "DJANGO_DB": "sqlite", "LOG_LEVEL": "WARNING"}
    command = [str(python(env)), "-m", "lsloop_studio"]
    _run("Label Studio's tables", command, log, SITE, children.environment(**PRIVATE, **where))


def _install(env: Path, pins: Path, log: Path, say: Say) -> None:
    env.mkdir(exist_ok=True)
    (env / MARKER).write_text("half-made", encoding="utf-8")  # so that a later run knows that it may clear it
    say("Installing Label Studio in an environment of its own (once, a few minutes)")
    _run("The environment", [sys.executable, "-m", "venv", str(env)], log, env, _installing())
    pip = [str(python(env)), "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
    _run("Label Studio", [*pip, "-r", str(pins)], log, env, _installing())


def _make_template(env: Path, log: Path, say: Say) -> None:
    say("Making Label Studio's tables (once, about a minute)")
    scratch = env / "empty"
    scratch.mkdir()
    migrate(env, scratch, log)
    (scratch / STORE).rename(env / TEMPLATE)
    shutil.rmtree(scratch)  # with the secret key: every store gets its own


def _clear(env: Path) -> None:
    """Remove an earlier environment; only one that lsloop made."""
    if env.exists() and any(env.iterdir()) and not (env / MARKER).is_file():
        raise UsageError(
            f"{env} is not an environment that lsloop made, so it is left alone.",
            "Name an empty or a new folder in LSLOOP_STUDIO_ENV.",
        )
    if env.exists():
        shutil.rmtree(env)


def _installing() -> dict[str, str]:
    """Return the environment variables for pip.

    These are all that it may need (proxies, package index), without what would lead it to other packages.
    """
    misleading = {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "PIP_TARGET", "PIP_PREFIX", "PIP_USER"}
    return {name: value for name, value in os.environ.items() if name not in misleading}


def _run(what: str, command: list[str], log: Path, cwd: Path, env: dict[str, str]) -> None:
    """Run a step to its end, its output in `log`.

    Raises Failed.
    """
    child = children.spawn(what, command, log, cwd, env)
    try:
        code = child.process.wait()
    finally:
        children.stop([child])
    if code:
        raise children.Failed(f"{what} could not be made ({children.how_it_ended(child)}).", log)


@contextmanager
def _only_one(lock: Path, say: Say) -> Iterator[None]:
    """Wait until no other process makes the same environment.

    The kernel ends the wait if that one dies.
    """
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Waiting for another lsloop that is installing Label Studio")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
