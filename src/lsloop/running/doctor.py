"""Doctor: the whole way proven with a canary, check by check.

The way goes from PostgreSQL to Label Studio and back.
"""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, closing, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar
from urllib.parse import urlsplit
from uuid import uuid4

from lsloop import dvc, loop, signing
from lsloop.config import Config
from lsloop.errors import LsloopError, Skipped
from lsloop.labelstudio.client import LabelStudio
from lsloop.ledger import Ledger, projects, samples, servers
from lsloop.loop import SILENT, Progress
from lsloop.steps import canary, checkup, links
from lsloop.steps.checkup import Check

T = TypeVar("T")


def examine(
    config: Config,
    ledger: Callable[[], Ledger],
    studio: Callable[[], LabelStudio],
    progress: Progress = SILENT,
) -> list[Check]:
    """Prove the round trip, check by check; nothing of it stays.

    The two adapters are opened here: that may fail, too.
    """
    with ExitStack() as stack:
        visit = _Visit(config, progress.advance)
        opened = visit.look("PostgreSQL", lambda: _entered(stack, closing(ledger())), checkup.postgres)
        ready = visit.look("schema", lambda: opened, checkup.schema) if opened else None
        if ready:
            visit.look("search path", lambda: ready, checkup.search_path)
        if opened:
            stack.enter_context(opened.in_turn("lsloop doctor", progress.waiting))
        there = visit.look("Label Studio", lambda: _entered(stack, studio()), checkup.token)
        visit.check("proxies", lambda: checkup.proxies(_addresses(config)))
        visit.check("server", lambda: canary.served(config.media_url))
        if ready and there:
            for name in config.params.task_types:
                visit.check(name, partial(loop.inspect, ready, there, config, name))
                if _has_model(ready, config, name):
                    visit.check(f"model of {name}", partial(loop.inspect_model, ready, there, config, name))
        if there:
            _fly(visit, canary.Canary(there, opened.place if opened else "no ledger"), stack)
        if ready:
            visit.look("worker", lambda: ready, checkup.worker)
        visit.check("media", lambda: _playable(ready, config))
        visit.check("open task", lambda: _opened(ready, there, config))
        visit.check("DVC remote", lambda: _probed(config))
        visit.check("clocks", lambda: checkup.clocks(opened, there))
        visit.check("disk space", lambda: checkup.disk(config.project_dir))
        visit.check("secrets", lambda: checkup.secrets(config.secret_files))
    return visit.checks


@dataclass
class _Visit:
    """The checks so far."""

    config: Config
    advance: Callable[[int], None]
    checks: list[Check] = field(default_factory=list)

    def check(self, name: str, check: Callable[[], str]) -> bool:
        self.checks.append(checkup.look(name, check))
        self.advance(1)
        return self.checks[-1].state == "ok"

    def look(self, name: str, get: Callable[[], T], check: Callable[[T], str]) -> T | None:
        """Get something and check it; None where either fails."""
        got: list[T] = []

        def both() -> str:
            got.append(get())
            return check(got[0])

        return got[0] if self.check(name, both) else None


def _entered(stack: ExitStack, manager: AbstractContextManager[T]) -> T:
    return stack.enter_context(manager)


def _fly(visit: _Visit, bird: canary.Canary, stack: ExitStack) -> None:
    """Send a task out, have Label Studio's event come, and the annotation back.

    The event comes to our server. Then, or at a stop, the canary is gone.
    """
    stack.callback(_end, bird)
    if visit.check("task out", bird.out):
        visit.check("webhook", lambda: _heard(visit.config, bird))
        visit.check("annotation back", bird.back)
    visit.check("nothing left", bird.end)


def _end(bird: canary.Canary) -> None:
    with suppress(LsloopError):  # a check has told
        bird.end()


def _addresses(config: Config) -> dict[str, str]:
    """The services that are asked over HTTP, as far as the settings name them."""
    found: dict[str, str] = {}
    with suppress(LsloopError):
        found["Label Studio"] = config.label_studio_url
    with suppress(LsloopError):
        found["media"] = config.media_url
    return found


def _heard(config: Config, bird: canary.Canary) -> str:
    if config.webhook_url is None:
        raise Skipped("nobody said where Label Studio reaches the server", "Set LSLOOP_WEBHOOK_URL.")
    there = config.served_at or config.media_url
    expires = int(time.time()) + 600
    asked = signing.canary_url(config.media_url, config.secret, bird.key, expires)
    told = signing.canary_url(there, config.secret, bird.key, expires)
    return bird.heard(told, lambda: canary.has_arrived(asked))


def _has_model(ledger: Ledger, config: Config, name: str) -> bool:
    try:
        return bool(loop.models_in_order(ledger, config, name))
    except LsloopError:
        return True  # the check says what is wrong


def _playable(ledger: Ledger | None, config: Config) -> str:
    path = samples.any_media(ledger) if ledger else None
    if path is None:
        raise Skipped("no sample has media", "")
    now = int(time.time())
    good, expired = (signing.signed_url(config.media_url, config.secret, path, now + s) for s in (600, -600))
    parts = urlsplit(config.label_studio_url)
    return canary.playable(good, expired, f"{parts.scheme}://{parts.netloc}")


def _opened(ledger: Ledger | None, studio: LabelStudio | None, config: Config) -> str:
    """Fetch the recording of one open task of each task type.

    It is fetched by the very link that is in the task.
    """
    if not (ledger and studio):
        raise Skipped("needs the ledger and Label Studio")
    media, told = loop.media(config), list[str]()
    parts = urlsplit(config.label_studio_url)
    for project in projects.of_server(ledger, servers.spelled(ledger, config.label_studio_server)):
        if link := links.first(ledger, studio, project, media):
            told.append(canary.opened(link, f"{parts.scheme}://{parts.netloc}"))
    if not told:
        raise Skipped("no open task shows media")
    return "; ".join(told)


def _probed(config: Config) -> str:
    remote = dvc.probe_remote(config.project_dir, str(uuid4()))
    if remote is None:
        raise Skipped("there is no default remote", "`dvc remote add -d` adds one.")
    return f"read and written: {remote}"
