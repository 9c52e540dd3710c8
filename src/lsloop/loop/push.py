"""Samples go out: planned, sent, and shown as they are now."""

from collections.abc import Sequence
from typing import Any

from lsloop.config import Config
from lsloop.labelstudio.client import LabelStudio
from lsloop.ledger import Ledger, projects, servers
from lsloop.ledger.tasks import Plan
from lsloop.loop.job import links_to, media, resolved, template
from lsloop.loop.setup import setup
from lsloop.media.paths import RawData
from lsloop.progress import SILENT, Progress
from lsloop.records import Claim, Order, Project
from lsloop.steps import (
    canary,
    links,
    refresh,
    sample,
    task,
)
from lsloop.task_types import Kind


def plan_push(
    ledger: Ledger,
    config: Config,
    task_type: str,
    *,
    limit: int | None = None,
    order: Order | None = None,
    seed: str = "",
) -> task.Planned:
    """Plan what `push` would send now."""
    wanted, (name, settings, kind) = config.params.push, resolved(config, task_type)
    there = projects.find(ledger, name, servers.spelled(ledger, config.label_studio_server))
    if there and there.label_config:
        made = task.making(ledger, there, kind, media(config))
    else:
        made = task.Making(kind, template(config, name, settings), media(config), task.UPSTREAM)
    return task.plan(
        ledger,
        choice_of(config, task_type, order, seed),
        there,
        made,
        limit=wanted.limit if limit is None else limit,
        batch=wanted.batch,
    )


def push(
    ledger: Ledger,
    studio: LabelStudio,
    config: Config,
    task_type: str,
    *,
    limit: int | None = None,
    order: Order | None = None,
    seed: str = "",
    fresh: bool = True,
    progress: Progress = SILENT,
) -> task.Pushed:
    """Send samples to Label Studio, each exactly once.

    The project is made or verified first. Without `fresh` only what was cut off is sent, and adjudications.
    """
    found = setup(ledger, studio, config, task_type)
    there = found.project
    _, _, kind = resolved(config, task_type)
    given = media(config)
    done, linked = brought_up(ledger, studio, config, there, kind, given)
    if fresh and progress is not SILENT:
        progress.expect(plan_push(ledger, config, task_type, limit=limit, order=order, seed=seed).tasks)
    pushed = task.push(
        ledger,
        studio,
        there,
        kind,
        choice_of(config, task_type, order, seed),
        limit=config.params.push.limit if limit is None else limit,
        params=config.params.push,
        media=given,
        look=_look(ledger, config),
        fresh=fresh,
        advance=progress.advance,
        waiting=progress.waiting,
    )
    pushed.refreshed, pushed.links, pushed.not_renewed = done.refreshed, linked.renewed, linked.problems
    pushed.unfit += done.problems
    pushed.noticed += [] if found.created else found.drift
    return pushed


def _look(ledger: Ledger, config: Config) -> task.Look:
    """Return what looks at samples that came by SQL before they are sent.

    It looks where the raw data lie on this machine.
    """
    if not config.raw_dir.is_dir():
        return lambda keys: {}
    raw = RawData(config.raw_dir, lambda: links_to(config))
    return lambda keys: sample.look(ledger, keys, raw)


def brought_up(
    ledger: Ledger, studio: LabelStudio, config: Config, there: Project, kind: Kind, given: task.Media | None
) -> tuple[refresh.Refreshed, links.Renewed]:
    """Bring tasks that nobody has started up to date.

    They show what their samples are now, and links to media are such as are made now. Where nobody said where
    media are, links stay as they are.
    """
    most, linked = config.params.push, links.Renewed()
    if given:
        linked = links.renew(ledger, studio, there, given, limit=most.refresh, works=canary.gives_out)

    def made(claims: Sequence[Claim], unfit: list[str]) -> Sequence[dict[str, Any] | task.Unmade]:
        return task.making(ledger, there, kind, given or media(config))(claims, unfit)

    return refresh.refresh(ledger, studio, there, made, params=most), linked


def choice_of(config: Config, task_type: str, order: Order | None, seed: str) -> Plan:
    name, settings, kind = resolved(config, task_type)
    wanted = config.params.push
    return Plan(
        name, kind.READS, kind.WRITES, settings.overlap, order or wanted.order, seed, wanted.random_share,
        config.gold_ratio
    )  # fmt: skip
