"""Push: samples become tasks in Label Studio, each exactly once.

That holds wherever the way there is cut off. A task is written down as claimed before it is sent and its key
travels with it. Whatever became of a request, the key tells: the next push (or pull) asks Label Studio,
adopts what is there, sends what is not, and takes a twin out of people's way.
"""

import os
import socket
from collections.abc import Callable, Iterator
from itertools import chain
from uuid import UUID

from lsloop.config import Push
from lsloop.errors import Refused
from lsloop.labelstudio import ml, projects
from lsloop.labelstudio.client import LabelStudio
from lsloop.ledger import Ledger, gold
from lsloop.ledger import projects as ledger_projects
from lsloop.ledger import tasks as ledger_tasks
from lsloop.records import Project
from lsloop.signing import Media
from lsloop.steps.task.content import UPSTREAM, Making, Unmade, making
from lsloop.steps.task.planning import Planned, plan
from lsloop.steps.task.sending import Look, Pushed, Sender
from lsloop.steps.task.twins import in_turn, put_away_needless, put_away_seen_twins, reconcile
from lsloop.task_types import Kind

__all__ = [
    "UPSTREAM", "Look", "Making", "Media", "Planned", "Pushed", "Unmade", "making", "park", "plan", "push",
    "put_away_needless", "put_away_seen_twins",
]  # fmt: skip


def park(ledger: Ledger, project: Project, skips: int) -> int:
    """Take tasks that `skips` annotators skipped out of the queue; answer how many.

    They are out until their content changes.
    """
    return ledger_tasks.park(ledger, project, skips)


def push(
    ledger: Ledger,
    studio: LabelStudio,
    project: Project,
    kind: Kind,
    choice: ledger_tasks.Plan,
    *,
    limit: int,
    params: Push,
    media: Media | None,
    look: Look = lambda keys: {},
    fresh: bool = True,
    advance: Callable[[int], None] = lambda done: None,
    waiting: Callable[[], None] = lambda: None,
) -> Pushed:
    """Claim and send up to `limit` samples.

    Without `fresh`, it sends only what was cut off, and adjudications. `look` says of claimed tasks why the
    media of some cannot be shown: those are not sent. One push at a time per project; another one waits,
    after calling `waiting`. Raises Uncertain, Unreachable or Refused when Label Studio fails; what was sent
    until then is in the ledger.
    """
    with in_turn(ledger, project, waiting) as turn:
        pushed = Pushed()
        made = making(ledger, project, kind, media)
        sender = Sender(ledger, turn, studio, project, made, pushed, look)
        ledger_tasks.try_again(ledger, project, made.digest)
        again = reconcile(ledger, studio, project, pushed, settle=params.settle_seconds)
        claims = _claims(ledger, project, choice, limit - len(again), params.batch, pushed, fresh=fresh)
        sender.send_all(chain(_in_batches(again, params.batch), claims), advance)
        pushed.noticed += _show_predictions(ledger, studio, project)
    return pushed


def _in_batches(keys: list[UUID], size: int) -> Iterator[list[UUID]]:
    for start in range(0, len(keys), size):
        yield keys[start : start + size]


def _claims(
    ledger: Ledger,
    project: Project,
    choice: ledger_tasks.Plan,
    limit: int,
    batch: int,
    pushed: Pushed,
    *,
    fresh: bool,
) -> Iterator[list[UUID]]:
    claimed_by, chance = f"{socket.gethostname()}:{os.getpid()}", gold.rounding(ledger, choice.task_type)
    keys = ledger_tasks.claim_adjudications(ledger, project, max(limit, 0), claimed_by=claimed_by)
    pushed.adjudications = len(keys)
    yield from _in_batches(keys, batch)
    limit = limit - len(keys) if fresh else 0
    line = ledger_tasks.line_up(ledger, choice, limit) if limit > 0 else None
    after = 0
    while limit > 0:
        size = min(batch, limit)
        next_ones = None if line is None else line[:size]
        claimed = ledger_tasks.claim(
            ledger, project, choice, size, claimed_by=claimed_by, among=next_ones, chance=chance, after=after
        )
        # What somebody else was at, or let go of since, is looked for at the end.
        was, after = after, claimed.reached if len(claimed.keys) == size else 0
        line = None if line is None else line[claimed.passed :]
        if not claimed.keys and not line and not was:
            return
        if not claimed.keys:
            continue
        pushed.probes += claimed.probes
        pushed.missing_probes += claimed.missing
        limit -= len(claimed.keys)
        yield claimed.keys


def _show_predictions(ledger: Ledger, studio: LabelStudio, project: Project) -> list[str]:
    """Have Label Studio show the predictions that most open tasks carry.

    It shows those of one version only. Another one that somebody chose there stays, and is told. Label Studio
    itself writes the first version that it was sent, and the name of an ML backend when one is attached.
    """
    assert project.ls_project_id is not None
    version = ledger_tasks.shown_model_version(ledger, project)
    there = projects.get(studio, project.ls_project_id)
    if not version or there is None:
        return []
    now, written = there.get("model_version") or "", project.written_model_version
    if now != version:
        if written and now not in ("", written, *ml.titles(studio, project.ls_project_id)):
            return [
                f"people are shown pre-annotations of {now}, as chosen in Label Studio; "
                f"most open tasks have {version}"
            ]
        try:
            projects.use_model_version(studio, project.ls_project_id, version)
        except Refused as refusal:  # the tasks are there; only what people are shown first is another version
            return [refusal.problem.rstrip(".")]
    if written != version:
        ledger_projects.shows(ledger, project, version)
    return []
