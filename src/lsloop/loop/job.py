"""Context of the turns of the loop.

It holds the settings of a task type, its kind, its label config, and links to media.
"""

import time
from pathlib import Path

from lsloop import dvc, resources, task_types
from lsloop.config import Config, TaskType
from lsloop.errors import UsageError
from lsloop.steps import (
    task,
)
from lsloop.task_types import Kind


def resolved(config: Config, task_type: str) -> tuple[str, TaskType, Kind]:
    """The name, the settings and the kind of a task type.

    Raises UsageError.
    """
    name, settings = config.task_type(task_type)
    if settings.kind in task_types.names() or config.params.task_types[name].kind:
        _refuse_own_names(name, settings)
        return name, settings, task_types.load(settings.kind)
    label_config = template(config, name, settings)
    return name, settings, task_types.from_template(name, label_config, settings.reads, settings.writes)


def _refuse_own_names(name: str, settings: TaskType) -> None:
    if settings.reads or settings.writes:
        raise UsageError(
            f"{name} has a kind with fields of its own; `reads` and `writes` of params.yaml "
            "do not apply to it.",
            "Remove them, or give the task type another name and no `kind`.",
        )


def template(config: Config, name: str, settings: TaskType) -> str:
    try:
        return resources.template(settings.template, config.project_dir)
    except FileNotFoundError as error:
        raise UsageError(
            f"There is no template {settings.template}.xml for {name}.",
            "Put it into label_studio_templates/.",
        ) from error


def kinds_of(config: Config, task_type: str | None = None) -> dict[str, Kind]:
    """The kind of a task type, or those of all, by the name of the task type."""
    names = config.params.task_types if task_type is None else [task_type]
    return {name: kind for name, _, kind in (resolved(config, name) for name in names)}


def links_to(config: Config) -> list[Path]:
    """List where links in the raw data may lead.

    That is DVC's cache, when it links instead of copying.
    """
    cache = dvc.cache(config.project_dir)
    return [cache] if cache else []


def media(config: Config) -> task.Media:
    """Return links that are good for the days that were asked for.

    Those made within a tenth of them are the same links.
    """
    now, seconds = time.time(), config.params.media.url_days * 86400
    step = max(1, int(seconds / 10))
    expires = int(now + seconds) // step * step
    return task.Media(config.media_url, config.secret, expires, renewed_until=int(now + seconds / 4))


def known_media(config: Config) -> task.Media | None:
    """Return `media`, where somebody said where media are.

    A machine that only pulls need not know.
    """
    try:
        return media(config)
    except UsageError:
        return None
