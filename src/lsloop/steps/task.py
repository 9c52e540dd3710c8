"""Push: samples become tasks in Label Studio, each exactly once, wherever the way there is cut off.

A task is written down as claimed before it is sent and its key travels with it. Whatever became of a request, the key
tells: the next push (or pull) asks Label Studio, adopts what is there, sends what is not, and removes a twin.
"""

import os
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from itertools import chain
from typing import Any
from uuid import UUID

from lsloop import candidates, signing
from lsloop.config import Push
from lsloop.errors import LsloopError, Uncertain
from lsloop.labelstudio import interface, projects, tasks
from lsloop.labelstudio.client import LabelStudio
from lsloop.ledger import Ledger, Turn
from lsloop.ledger import tasks as ledger_tasks
from lsloop.records import Claim, Prediction, Project, Sample
from lsloop.task_types import Kind

UPSTREAM = "upstream"
"""The model version of a pre-annotation that no model of ours made: the sample's own current value."""

REFLOW = "human-reflow"
"""The model version of an annotator's own work on a sample that goes round again. Label Studio gets it under the version
that the project shows: of the others annotators see nothing."""


PROVED_TOGETHER = 2000
"""Tasks. A proof costs 20 ms and 15 ms more per thousand: one for every request would be a tenth of it."""


@dataclass(frozen=True)
class Media:
    """How annotators reach media: links under `url`, signed with `secret`, good until `expires` (seconds since 1970)."""

    url: str
    secret: str
    expires: int

    def link(self, path: str) -> str:
        """The signed link to one file."""
        return signing.signed_url(self.url, self.secret, path, self.expires)


@dataclass
class Pushed:
    """What a push did. `adopted` tasks had arrived before, `removed` ones were there twice, `refreshed` ones show what their
    samples are now; `unfit` says why tasks went without their pre-annotation. `probes` of those sent are gold;
    `missing_probes` more were due, and too few samples are gold. `adjudications` of those sent ask somebody to decide
    between answers that do not agree."""

    sent: int = 0
    adopted: int = 0
    removed: int = 0
    refreshed: int = 0
    probes: int = 0
    missing_probes: int = 0
    adjudications: int = 0
    unfit: list[str] = field(default_factory=list)


def park(ledger: Ledger, project: Project, skips: int) -> int:
    """Take tasks that `skips` annotators skipped out of the queue until their content changes; answers how many."""
    return ledger_tasks.park(ledger, project, skips)


def plan(ledger: Ledger, choice: ledger_tasks.Plan, limit: int) -> list[Sample]:
    """What a push would send now, in order. Changes nothing, here or in Label Studio."""
    return ledger_tasks.eligible(ledger, choice, limit)


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
    advance: Callable[[int], None] = lambda done: None,
    waiting: Callable[[], None] = lambda: None,
) -> Pushed:
    """Claim and send up to `limit` samples. One push at a time per project; another one waits, after calling `waiting`.

    Raises Uncertain, Unreachable or Refused when Label Studio fails; what was sent until then is in the ledger.
    """
    with _in_turn(ledger, project, waiting) as turn:
        pushed = Pushed()
        made = making(ledger, project, kind, media)
        sender = _Sender(ledger, turn, studio, project, made, pushed)
        again = reconcile(ledger, studio, project, pushed, settle=params.settle_seconds)
        fresh = _claims(ledger, project, choice, limit - len(again), params.batch, pushed)
        sender.send_all(chain(_in_batches(again, params.batch), fresh), advance)
        _show_predictions(ledger, studio, project)
    return pushed


def _in_turn(
    ledger: Ledger, project: Project, waiting: Callable[[], None] = lambda: None
) -> AbstractContextManager[Turn]:
    """Whoever sends tasks to a project, or removes twins from it, does so alone."""
    return ledger.in_turn(f"lsloop push {project.project_id}", waiting)


def _in_batches(keys: list[UUID], size: int) -> Iterator[list[UUID]]:
    for start in range(0, len(keys), size):
        yield keys[start : start + size]


def _claims(
    ledger: Ledger, project: Project, choice: ledger_tasks.Plan, limit: int, batch: int, pushed: Pushed
) -> Iterator[list[UUID]]:
    claimed_by = f"{socket.gethostname()}:{os.getpid()}"
    keys = ledger_tasks.claim_adjudications(ledger, project, max(limit, 0), claimed_by=claimed_by)
    pushed.adjudications = len(keys)
    yield from _in_batches(keys, batch)
    limit -= len(keys)
    line = ledger_tasks.line_up(ledger, choice, limit) if limit > 0 else None
    while limit > 0:
        size = min(batch, limit)
        next_ones = None if line is None else line[:size]
        claimed = ledger_tasks.claim(ledger, project, choice, size, claimed_by=claimed_by, among=next_ones)
        line = None if line is None else line[claimed.passed :]
        if not claimed.keys and not line:
            return
        pushed.probes += claimed.probes
        pushed.missing_probes += claimed.missing
        limit -= len(claimed.keys)
        yield claimed.keys


@dataclass(frozen=True)
class _Batch:
    keys: list[UUID]
    payload: list[dict[str, Any]]


@dataclass(frozen=True)
class Making:
    """How tasks are made for Label Studio: by which kind, under which label config, and with which media links.

    `shown_as` is the model version whose predictions the project shows.
    """

    kind: Kind
    label_config: str
    media: Media | None
    shown_as: str

    def __call__(self, claims: Sequence[Claim], unfit: list[str]) -> list[dict[str, Any]]:
        """{"data", "predictions"} of each task. Why pre-annotations had to be left out is added to `unfit`."""
        made = [self._task(claim) for claim in claims]
        self._check([task["predictions"] for task in made], unfit)
        return made

    def _task(self, claim: Claim) -> dict[str, Any]:
        sample = claim.sample
        url = self.media.link(sample.media_path) if self.media and sample.media_path else None
        data = {**self.kind.task_data(sample, url), tasks.KEY: str(claim.task_key)}
        if claim.candidates:
            data["candidates"] = candidates.html(claim.candidates, self.kind.WRITES)
            most_central = Prediction(claim.candidates[0], self.shown_as)
            return {"data": data, "predictions": self._shown(sample, most_central)}
        return {"data": data, "predictions": self._shown(sample, claim.prediction)}

    def _shown(self, sample: Sample, prediction: Prediction | None) -> list[dict[str, Any]]:
        """The pre-annotation: what a model predicted, else what the sample's own fields say."""
        value = prediction.value if prediction else self.kind.upstream_value(sample)
        if value is None:
            return []
        result = self.kind.to_result(value, self.label_config, sample)
        version = prediction.model_version if prediction else UPSTREAM
        shown_as = self.shown_as if version == REFLOW else version
        return [
            {"result": result, "model_version": shown_as, "score": prediction.score if prediction else None}
        ]

    def _check(self, shown: list[list[dict[str, Any]]], unfit: list[str]) -> None:
        """Leave out pre-annotations that do not fit the label config: Label Studio would store them unchecked."""
        there = [predictions for predictions in shown if predictions]
        for predictions, problems in zip(
            there, interface.check_predictions(self.label_config, [p[0] for p in there]), strict=True
        ):
            if problems:
                predictions.clear()
                unfit.append(problems[0])


def making(ledger: Ledger, project: Project, kind: Kind, media: Media | None) -> Making:
    """How the tasks of a project are made."""
    assert project.label_config is not None
    shown_as = ledger_tasks.shown_model_version(ledger, project) or UPSTREAM
    return Making(kind, project.label_config, media, shown_as)


class _Sender:
    """Sends claimed tasks batch by batch, one request at a time; the next batch is made ready meanwhile."""

    def __init__(
        self,
        ledger: Ledger,
        turn: Turn,
        studio: LabelStudio,
        project: Project,
        made: Making,
        pushed: Pushed,
    ) -> None:
        assert project.ls_project_id is not None
        self._ledger, self._turn, self._studio, self._made, self._pushed = ledger, turn, studio, made, pushed
        self._project, self._ls_project_id = project, project.ls_project_id
        self._for_one: set[UUID] = set()
        self._arrived: dict[UUID, int] = {}

    def send_all(self, batches: Iterator[list[UUID]], advance: Callable[[int], None]) -> None:
        """Send every batch. While a request is under way the batch after it is claimed and made ready, and those before it
        are written down."""
        with ThreadPoolExecutor(max_workers=1) as line:
            under_way: Future[dict[UUID, int]] | None = None
            try:
                for keys in batches:
                    ready = self._prepare(keys)
                    self._arrived |= under_way.result() if under_way else {}
                    under_way = line.submit(self._send, ready)
                    if len(self._arrived) >= PROVED_TOGETHER:
                        advance(self._written_down())
                self._arrived |= under_way.result() if under_way else {}
            except LsloopError:
                with suppress(LsloopError):  # else the next push finds them by key
                    advance(self._written_down())
                raise
            advance(self._written_down())

    def _prepare(self, keys: list[UUID]) -> _Batch:
        claims = ledger_tasks.content(self._ledger, keys)
        self._for_one |= {claim.task_key for claim in claims if claim.candidates}
        return _Batch([claim.task_key for claim in claims], self._made(claims, self._pushed.unfit))

    def _send(self, batch: _Batch) -> dict[UUID, int]:
        """One request. Raises Uncertain when nobody knows whether Label Studio did the work."""
        batch = self._marked(batch)
        if not batch.keys:
            return {}
        ids = tasks.import_batch(self._studio, self._ls_project_id, batch.payload)
        return dict(zip(batch.keys, ids, strict=True))

    def _marked(self, batch: _Batch) -> _Batch:
        """What of a batch is to be sent, written down as such."""
        shown = (next((p["model_version"] for p in task["predictions"]), None) for task in batch.payload)
        marked = ledger_tasks.about_to_send(self._turn, dict(zip(batch.keys, shown, strict=True)))
        there = [(key, task) for key, task in zip(batch.keys, batch.payload, strict=True) if key in marked]
        return _Batch([key for key, _ in there], [task for _, task in there])

    def _written_down(self) -> int:
        """Write down the ids of what arrived, proved; how many.

        Label Studio answers in the order of the request. That is checked over all of them, and every later read of a task
        goes by its key: an id alone never decides whose annotation it is.
        """
        arrived, self._arrived = self._arrived, {}
        if not arrived:
            return 0
        pairs = [(ls_task_id, str(key)) for key, ls_task_id in arrived.items()]
        as_asked = tasks.carry(self._studio, self._ls_project_id, pairs)
        return self._opened(arrived if as_asked else self._looked_up(list(arrived)))

    def _looked_up(self, keys: list[UUID]) -> dict[UUID, int]:
        found = {
            UUID(key): ls_id
            for ls_id, key in tasks.find_by_key(self._studio, self._ls_project_id, [str(k) for k in keys])
        }
        if len(found) != len(keys):
            raise Uncertain(
                f"Label Studio took {len(keys)} tasks and has {len(found)} of them.",
                "Run `lsloop push` again: it finds out by key.",
            )
        return found

    def _opened(self, arrived: dict[UUID, int]) -> int:
        ledger_tasks.opened(self._ledger, self._project, arrived)
        for key in self._for_one & arrived.keys():  # one person decides, however many answer other tasks
            tasks.set_overlap(self._studio, arrived[key], 1)
        self._pushed.sent += len(arrived)
        return len(arrived)


def reconcile(
    ledger: Ledger, studio: LabelStudio, project: Project, pushed: Pushed, *, settle: float
) -> list[UUID]:
    """Find out what became of tasks whose push was cut off: adopt what arrived, remove twins; answers what to send.

    A request without an answer may still be at work in Label Studio for `settle` seconds after it was sent; until then
    what is not there yet may come.
    """
    assert project.ls_project_id is not None
    doubtful = ledger_tasks.doubtful(ledger, project)
    sent = [task for task in doubtful if task.sent]
    found = _arrivals(studio, project.ls_project_id, sent, settle)
    adopted = {
        task.task_key: min(found[task.task_key]) for task in sent if task.claimed and task.task_key in found
    }
    ledger_tasks.opened(ledger, project, adopted)
    pushed.adopted += len(adopted)
    twins = {key: ids for key, ids in found.items() if len(ids) > 1}
    pushed.removed += remove_twins(ledger, studio, project, twins)
    return [task.task_key for task in doubtful if task.claimed and task.task_key not in adopted]


def _arrivals(
    studio: LabelStudio, ls_project_id: int, sent: Sequence[ledger_tasks.Doubtful], settle: float
) -> dict[UUID, list[int]]:
    """The ids that Label Studio has for each key, once all are there or nothing more can come."""
    if not sent:
        return {}
    started = time.monotonic()
    patience = max((settle - (task.age or 0) for task in sent if task.claimed), default=0.0)
    while True:
        found = _by_key(tasks.find_by_key(studio, ls_project_id, [str(task.task_key) for task in sent]))
        if time.monotonic() - started >= patience or all(task.task_key in found for task in sent):
            return found
        time.sleep(_POLL)


_POLL = 0.5  # seconds


def remove_twins(
    ledger: Ledger, studio: LabelStudio, project: Project, twins: Mapping[UUID, Sequence[int]]
) -> int:
    """Of the tasks that Label Studio has under a key, keep one; answers how many were removed.

    A task that somebody has answered is never removed; the one that stays is an answered one if there is any.
    """
    assert project.ls_project_id is not None
    ids = [ls_task_id for group in twins.values() for ls_task_id in group]
    answered = (
        {task["id"] for task in tasks.fetch(studio, project.ls_project_id, ids) if task["annotations"]}
        if ids
        else set()
    )
    extra: list[int] = []
    for key, group in twins.items():
        stays = min(group, key=lambda ls_task_id: (ls_task_id not in answered, ls_task_id))
        ledger_tasks.keep(ledger, project, key, stays)
        extra += [ls_task_id for ls_task_id in group if ls_task_id != stays and ls_task_id not in answered]
    return tasks.delete_unanswered(studio, project.ls_project_id, extra, [str(key) for key in twins])


def remove_seen_twins(
    ledger: Ledger, studio: LabelStudio, project: Project, seen: Sequence[tuple[UUID, int]]
) -> int:
    """Remove the second tasks that a pull came across, as `remove_twins` does, when no push is at work."""
    assert project.ls_project_id is not None
    keys = sorted({str(key) for key, _ in seen})
    if not keys:
        return 0
    with _in_turn(ledger, project):
        twins = _by_key(tasks.find_by_key(studio, project.ls_project_id, keys))
        return remove_twins(ledger, studio, project, twins)


def _by_key(found: Iterable[tuple[int, str]]) -> dict[UUID, list[int]]:
    ids: dict[UUID, list[int]] = {}
    for ls_task_id, key in found:
        ids.setdefault(UUID(key), []).append(ls_task_id)
    return ids


def _show_predictions(ledger: Ledger, studio: LabelStudio, project: Project) -> None:
    """Have Label Studio show the predictions of the version that most open tasks carry; it shows those of one only."""
    assert project.ls_project_id is not None
    version = ledger_tasks.shown_model_version(ledger, project)
    there = projects.get(studio, project.ls_project_id)
    if version and there and there.get("model_version") != version:
        projects.update(studio, project.ls_project_id, model_version=version)
