"""Services of the stack, in the order they are started.

Each needs something from the one before.
"""

import os
import secrets
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lsloop.config import Config
from lsloop.stack import children, files, ports, postgres, state, studio, studio_env
from lsloop.stack.children import Child, Failed
from lsloop.stack.studio_env import Say

LSLOOP = [sys.executable, "-P", "-m", "lsloop"]  # -P: no module of the project folder stands in for ours
PORTS = {"postgres": 5433, "label_studio": 8085, "server": 8000}
TRIES = 3
OURS_SECONDS = 60.0
LOG_BYTES = 10_000_000


@dataclass
class Service:
    """One service: how to start it on a port, and how to tell that it answers there.

    It also says how long that may take.
    """

    name: str
    start: Callable[[int], Child]
    ready: Callable[[Child, int], bool]
    seconds: float
    port: int = 0  # the worker has none
    child: Child | None = None

    @property
    def running(self) -> Child:
        """The process, once it was started."""
        assert self.child is not None
        return self.child


def start(config: Config, say: Say, upgrade: Callable[[str], None], started: list[Service]) -> None:
    """Start all services; each is in `started` from the moment it runs.

    Raises Failed.
    """
    here = config.state_dir
    state.update(here, secret=files.keep(here / "secret", secrets.token_hex(32)))
    label_studio = None
    if not config.environment.label_studio_url:
        env = environment_dir(config)
        studio_env.ensure(env, say)
        label_studio = _label_studio(here, env)
        say("Starting Label Studio")
        _begin(here, label_studio, started, say)
    if not config.environment.database_url:
        say("Starting PostgreSQL")
        _start_postgres(here, upgrade, started, say)
    if label_studio:
        _finish(here, label_studio, started, say)
        _write_down_label_studio(here, label_studio.port)
    say("Starting the server and the worker")
    _start_ours(config, started, say)


def begin(here: Path, service: Service) -> None:
    """Start it on its port, and write down its process."""
    service.child = child = service.start(service.port)
    state.record(here, service.name, child.process.pid, child.stop_signal)


def environment_dir(config: Config) -> Path:
    """Return where Label Studio's own environment is, or is to be made."""
    given = config.environment.lsloop_studio_env
    return config.project_dir / given.expanduser() if given else config.state_dir / "studio"


def _start_postgres(here: Path, upgrade: Callable[[str], None], started: list[Service], say: Say) -> None:
    data = here / "postgres"
    service = Service(
        "postgres",
        lambda port: postgres.start(data, port, _log(here, "postgres")),
        lambda child, port: postgres.is_ready(child, data),
        postgres.START_SECONDS,
    )
    _begin(here, service, started, say)
    _finish(here, service, started, say)
    url = postgres.url(data, service.port)
    state.update(here, database_url=url)
    upgrade(url)


def _label_studio(here: Path, env: Path) -> Service:
    return Service(
        "label_studio",
        lambda port: studio.start(env, here / "label-studio", port, _log(here, "label-studio")),
        lambda child, port: studio.is_ready(port),
        studio.START_SECONDS,
    )


def _write_down_label_studio(here: Path, port: int) -> None:
    admin = studio.admin(here / "label-studio")
    state.update(
        here,
        label_studio_url=f"http://127.0.0.1:{port}",
        label_studio_user=admin.email,
        label_studio_password=admin.password,
        label_studio_api_key=admin.token,
    )


def _start_ours(config: Config, started: list[Service], say: Say) -> None:
    """The server and the worker at the same time: neither needs the other to start."""
    here = config.state_dir
    server = Service(
        "server",
        lambda port: _spawn_server(config, port),
        lambda child, port: ports.http_status(port, "/health") != 0,
        OURS_SECONDS,
    )
    # It has started when its log says so. What it needs later, it waits for.
    worker = Service(
        "worker", lambda port: _spawn_worker(config), lambda child, port: child.has_spoken, OURS_SECONDS
    )
    for service in (server, worker):
        _begin(here, service, started, say)
    for service in (server, worker):
        _finish(here, service, started, say)


def _spawn_server(config: Config, port: int) -> Child:
    state.update(config.state_dir, server_url=f"http://127.0.0.1:{port}")
    command = [*LSLOOP, "-C", str(config.project_dir), "serve", "--host", ports.HOST, "--port", str(port)]
    log = _log(config.state_dir, "server")
    return children.spawn("The server", command, log, config.project_dir, dict(os.environ))


def _spawn_worker(config: Config) -> Child:
    command = [*LSLOOP, "-C", str(config.project_dir), "worker"]
    log = _log(config.state_dir, "worker")
    return children.spawn("The worker", command, log, config.project_dir, dict(os.environ))


def _begin(here: Path, service: Service, started: list[Service], say: Say) -> None:
    """Start it on the port it had last time, else on its usual one, else on any."""
    if service.name in PORTS:
        known: dict[str, int] = state.read(here).get("ports", {})
        wanted = known.get(service.name, PORTS[service.name])
        service.port = ports.choose([wanted, PORTS[service.name]])
        if service.port != wanted:
            say(f"Port {wanted} is taken: using {service.port}")
        state.update(here, ports=known | {service.name: service.port})
    started.append(service)
    begin(here, service)


def _finish(here: Path, service: Service, started: list[Service], say: Say, tries: int = TRIES) -> None:
    """Wait until it answers.

    Begin again on another port when somebody else took this one in the meantime.
    """
    child = service.running
    try:
        children.wait_until(lambda: service.ready(child, service.port), child, service.seconds)
    except Failed:
        if tries == 1 or child.process.poll() is None or ports.is_free(service.port) or not service.port:
            raise
        started.remove(service)
        _begin(here, service, started, say)
        _finish(here, service, started, say, tries - 1)


def _log(here: Path, name: str) -> Path:
    """The log file; a long one is put aside before the service appends to it."""
    log = state.logs(here) / f"{name}.log"
    if log.is_file() and log.stat().st_size > LOG_BYTES:
        log.replace(log.with_suffix(".log.1"))
    return log
