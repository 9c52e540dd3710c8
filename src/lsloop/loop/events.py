"""Events of Label Studio, looked at as they arrive."""

import time
from collections.abc import Callable

from lsloop.config import Config
from lsloop.config.following import Now
from lsloop.errors import Unreachable
from lsloop.labelstudio.client import LabelStudio
from lsloop.ledger import Ledger, events, projects, servers
from lsloop.loop.job import resolved
from lsloop.loop.pull import look
from lsloop.steps import (
    annotation,
    event,
    project,
)


def process_events(ledger: Ledger, studio: LabelStudio, config: Config) -> event.Processed:
    """Look at the tasks that stored events name, those of a burst once.

    Returns when no event is due any more. Raises UsageError when events are due and the Label Studio at hand
    is not the one that tasks are in: they are left alone.
    """
    if not events.are_due(ledger):
        return event.Processed()
    server = _server(ledger, studio, config)
    with ledger.in_turn("lsloop events"):  # two at once would look at the same tasks
        return event.process(
            ledger,
            server,
            lambda there, ids: look(ledger, studio, config, there, ids),
            lambda there, payloads: annotation.tell(
                ledger, studio, there, resolved(config, there.task_type)[2], payloads
            ),
            tries=config.params.events.tries,
        )


def _server(ledger: Ledger, studio: LabelStudio, config: Config) -> str:
    """Return the Label Studio at hand, by the ledger's name.

    One that is away is the one that it was: the look finds that out.
    """
    try:
        place = project.recognise(ledger, studio, config.label_studio_server)
    except Unreachable:
        return servers.spelled(ledger, config.label_studio_server)
    if not projects.of_server(ledger, place.server.name):
        project.refuse_another(ledger, studio, place)
    return place.server.name


def attend(ledger: Ledger, studio: LabelStudio, now: Now, stop: Callable[[], bool]) -> None:
    """Process events as they arrive, with the settings of then, until `stop()`.

    Raises Unreachable when PostgreSQL goes away.
    """
    with events.arriving(ledger) as wait:
        forget_at = 0.0
        while not stop():
            config = now()
            process_events(ledger, studio, config)
            if time.monotonic() > forget_at:
                events.forget(ledger, config.params.events.keep_days)
                forget_at = time.monotonic() + _HOUR
            due_again = time.monotonic() + _PATIENCE
            while not stop() and not wait(_GLANCE) and time.monotonic() < due_again:
                pass


_HOUR = 3600.0


_PATIENCE = 1.0  # seconds until events are looked for that are due again


_GLANCE = 0.2  # seconds until a stop is noticed
