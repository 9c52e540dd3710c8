"""Label Studio of the project's own.

It is gunicorn on 127.0.0.1 over a SQLite store in one folder.
"""

import json
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path

from lsloop.stack import children, files, ports, studio_env
from lsloop.stack.children import Child
from lsloop.stack.studio_env import SITE, STORE

EMAIL = "admin@lsloop.local"
ADMIN = "lsloop.admin.json"
MADE_BY = "lsloop.made-by"
THREADS = 8
START_SECONDS = 120.0

SETTINGS = studio_env.PRIVATE | {
    "DJANGO_DB": "sqlite",
    "LOG_LEVEL": "WARNING",
    "LABEL_STUDIO_DISABLE_SIGNUP_WITHOUT_LINK": "true",
    # Webhooks and ML backends are lsloop's own, on this machine.
    "SSRF_PROTECTION_ENABLED": "false",
    "ML_BLOCK_LOCAL_IP": "false",
    # Seconds. By itself it gives up a model's server after one: less than one that loads its model may take.
    "ML_CONNECTION_TIMEOUT": "5",
    "ML_TIMEOUT_HEALTH": "5",
    "ML_TIMEOUT_SETUP": "30",
    # Refuse predictions that do not fit the label config; without it they are stored and break the page.
    "fflag_feat_utc_210_prediction_validation_15082025": "true",
    # Without it every import of predictions counts all tasks of the project again.
    "fflag_fix_back_4620_memory_efficient_predictions_import_08012025_short": "true",
}

GUNICORN = {
    "--worker-class": "gthread",
    "--workers": "1",  # SQLite has one writer at a time; a second process would only add memory
    "--threads": str(THREADS),
    "--timeout": "300",  # a slow start on a busy machine is not a hang
    "--graceful-timeout": "10",
    "--keep-alive": "75",
    "--limit-request-line": "0",  # the data manager puts its filters into the URL
    "--limit-request-field_size": "65536",
    "--log-level": "warning",
}


@dataclass(frozen=True)
class Admin:
    """Account to sign in with.

    It serves the page (email, password) and the API (`Authorization: Token …`).
    """

    email: str
    password: str
    token: str


def admin(data: Path) -> Admin:
    """The account of the store in `data`, made up on first use and kept."""
    fresh = Admin(EMAIL, secrets.token_urlsafe(12), secrets.token_hex(20))
    return Admin(**json.loads(files.keep(data / ADMIN, json.dumps(asdict(fresh)))))


def start(env: Path, data: Path, port: int, log: Path) -> Child:
    """Start the server of the environment `env` on the store in `data`.

    For the environment see `studio_env.ensure`.

    Returns at once unless the store is of another Label Studio version: `wait_until_ready` next.
    """
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    _bring_up_to_date(env, data, log)
    who = admin(data)
    settings = SETTINGS | {
        "LABEL_STUDIO_BASE_DATA_DIR": str(data),
        "LSLOOP_STUDIO_PORT": str(port),
        "LSLOOP_ADMIN_EMAIL": who.email,
        "LSLOOP_ADMIN_PASSWORD": who.password,
        "LSLOOP_ADMIN_TOKEN": who.token,
    }
    options = GUNICORN | {"--bind": f"127.0.0.1:{port}"}
    command = [
        str(studio_env.python(env)),
        "-m",
        "gunicorn",
        "lsloop_studio:application",
        "--no-control-socket",
    ]
    command += [word for pair in options.items() for word in pair]
    return children.spawn("Label Studio", command, log, SITE, children.environment(**settings))


def wait_until_ready(child: Child, port: int, seconds: float = START_SECONDS) -> None:
    """Return when the server answers.

    Raises Failed.
    """
    children.wait_until(lambda: is_ready(port), child, seconds)


def is_ready(port: int) -> bool:
    """Tell whether the server answers."""
    return ports.http_status(port, "/health") == 200


def _bring_up_to_date(env: Path, data: Path, log: Path) -> None:
    made_by = data / MADE_BY
    if not (data / STORE).is_file():
        studio_env.new_store(env, data)
    elif not made_by.is_file() or made_by.read_text(encoding="utf-8") != studio_env.made_from(env):
        studio_env.migrate(env, data, log)
    files.write(made_by, studio_env.made_from(env))
