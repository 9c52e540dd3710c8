"""The adapters a command works with, opened once and passed on."""

from collections.abc import Iterator
from contextlib import contextmanager

from lsloop import ledger
from lsloop.config import Config
from lsloop.labelstudio import client
from lsloop.labelstudio.client import LabelStudio
from lsloop.ledger import Ledger, projects, servers


@contextmanager
def opened_ledger(config: Config) -> Iterator[Ledger]:
    """The ledger, its schema checked."""
    opened = ledger.connect(config.database_url)
    try:
        yield opened
    finally:
        opened.close()


@contextmanager
def label_studio(config: Config) -> Iterator[LabelStudio]:
    """Label Studio."""
    with client.connect(config.label_studio_url, config.label_studio_api_key) as studio:
        yield studio


@contextmanager
def both(config: Config) -> Iterator[tuple[Ledger, LabelStudio]]:
    """The ledger and Label Studio."""
    with (
        opened_ledger(config) as opened,
        client.connect(config.label_studio_url, config.label_studio_api_key) as studio,
    ):
        yield opened, studio


def page_of(ledger_: Ledger, config: Config, task_type: str) -> str | None:
    """Return where people annotate a task type; None while it has no project."""
    name, _ = config.task_type(task_type)
    found = projects.find(ledger_, name, servers.spelled(ledger_, config.label_studio_server))
    return config.task_page(found.ls_project_id) if found else None
