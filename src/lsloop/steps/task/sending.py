"""Sending: one request at a time.

The batch after it is made ready and those before it are written down meanwhile.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from lsloop.errors import LsloopError, Refused, Unauthorised, Uncertain
from lsloop.labelstudio import tasks
from lsloop.labelstudio.answers import NotFound
from lsloop.labelstudio.client import LabelStudio
from lsloop.ledger import Ledger, Turn
from lsloop.ledger import tasks as ledger_tasks
from lsloop.records import Claim, Project, Sample
from lsloop.steps.task.content import Making, Unmade, left_out
from lsloop.values.text import counted

HOPELESS = 20
"""Tasks that Label Studio refuses one by one, and takes none: then it is not the tasks."""

_REFUSED = (
    "Correct the sample upstream and ingest again, or change the label config; the next push then tries it."
)

PROVED_TOGETHER = 2000
"""Tasks. A proof costs 20 ms and 15 ms more per thousand: one for every request would be a tenth of it."""


@dataclass
class Pushed:
    """What a push did.

    `adopted` tasks had arrived before; `put_away` ones were there twice, or are needed no more, and are out
    of people's way; `refreshed` ones show what their samples are now; `links` were renewed; `not_renewed`
    says why others were not; `unfit` says why tasks went without their pre-annotation. `probes` of those sent
    are gold; `missing_probes` more were due, and too few samples are gold. `adjudications` of those sent ask
    somebody to decide between answers that do not agree. `kept` says which second tasks people still see,
    because somebody has begun to answer them; `left_out` which samples were not sent, and why; `noticed` what
    people changed by hand in the project.
    """

    sent: int = 0
    adopted: int = 0
    put_away: int = 0
    refreshed: int = 0
    links: int = 0
    not_renewed: list[str] = field(default_factory=list)
    probes: int = 0
    missing_probes: int = 0
    adjudications: int = 0
    unfit: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    noticed: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


Look = Callable[[Sequence[UUID]], Mapping[UUID, str]]
"""Of claimed tasks those whose media cannot be shown, and why."""


@dataclass(frozen=True)
class _Batch:
    keys: list[UUID]
    payload: list[dict[str, Any]]


class Sender:
    """Send claimed tasks batch by batch, one request at a time.

    The next batch is made ready meanwhile.
    """

    def __init__(
        self,
        ledger: Ledger,
        turn: Turn,
        studio: LabelStudio,
        project: Project,
        made: Making,
        pushed: Pushed,
        look: Look,
    ) -> None:
        assert project.ls_project_id is not None
        self._ledger, self._turn, self._studio, self._made, self._pushed = ledger, turn, studio, made, pushed
        self._project, self._ls_project_id, self._look = project, project.ls_project_id, look
        self._for_one: set[UUID] = set()
        self._arrived: dict[UUID, int] = {}
        self._samples: dict[UUID, Sample] = {}
        self._not_taken: dict[UUID, LsloopError] = {}
        self._taken = False  # whether Label Studio took anything

    def send_all(self, batches: Iterator[list[UUID]], advance: Callable[[int], None]) -> None:
        """Send every batch.

        While a request is under way the batch after it is claimed and made ready, and those before it are
        written down.
        """
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
                advance(self._written_down())
                self._give_up_refused()
            except LsloopError:
                with suppress(LsloopError):  # else the next push finds them by key
                    advance(self._written_down())
                raise

    def _prepare(self, keys: list[UUID]) -> _Batch:
        claims = self._with_media(ledger_tasks.content(self._ledger, keys))
        self._for_one |= {claim.task_key for claim in claims if claim.candidates}
        self._samples |= {claim.task_key: claim.sample for claim in claims}
        made = list(zip(claims, self._made(claims, self._pushed.unfit), strict=True))
        self._leave_out({claim.task_key: task for claim, task in made if isinstance(task, Unmade)})
        there = [(claim.task_key, task) for claim, task in made if not isinstance(task, Unmade)]
        return _Batch([key for key, _ in there], [task for _, task in there])

    def _with_media(self, claims: list[Claim]) -> list[Claim]:
        """The tasks whose media can be shown.

        The others are let go, and their samples say why.
        """
        bad = self._look([claim.task_key for claim in claims]) if "media" in self._made.kind.READS else {}
        ledger_tasks.let_go(self._ledger, bad)
        self._pushed.left_out += [
            f"{claim.sample.external_id}: {bad[claim.task_key]}" for claim in claims if claim.task_key in bad
        ]
        return [claim for claim in claims if claim.task_key not in bad]

    def _send(self, batch: _Batch) -> dict[UUID, int]:
        """Send one request, and more where Label Studio does not take one of its tasks.

        Raises Uncertain when nobody knows whether Label Studio did the work.
        """
        batch = self._marked(batch)
        if not batch.keys:
            return {}
        try:
            return self._imported(batch)
        except (NotFound, Unauthorised):
            raise
        except Refused as refusal:
            return self._halved(batch, refusal)
        except Uncertain as doubt:
            # An answer came: Label Studio is not at work on it any more. What it has nevertheless, its keys
            # tell.
            if not doubt.answered:
                raise
            return self._there(batch) or self._halved(batch, doubt)

    def _imported(self, batch: _Batch) -> dict[UUID, int]:
        ids = tasks.import_batch(self._studio, self._ls_project_id, batch.payload)
        self._taken = True
        return dict(zip(batch.keys, ids, strict=True))

    def _there(self, batch: _Batch) -> dict[UUID, int]:
        found = tasks.find_by_key(self._studio, self._ls_project_id, [str(key) for key in batch.keys])
        return {UUID(key): ls_task_id for ls_task_id, key in found}

    def _halved(self, batch: _Batch, why: LsloopError) -> dict[UUID, int]:
        """Find the tasks that Label Studio does not take, and send the others."""
        if len(batch.keys) == 1:
            self._not_taken[batch.keys[0]] = why
            if not self._taken and len(self._not_taken) >= HOPELESS:
                raise why
            return {}
        middle = len(batch.keys) // 2
        one, other = (_Batch(batch.keys[i:j], batch.payload[i:j]) for i, j in ((0, middle), (middle, None)))
        return self._send(one) | self._send(other)

    def _give_up_refused(self) -> None:
        """Leave out what Label Studio did not take while it took others.

        When it took nothing, the samples are not why.
        """
        left, self._not_taken = self._not_taken, {}
        if not left:
            return
        first = next(iter(left.values()))
        if not self._taken and (len(left) > 1 or isinstance(first, Uncertain)):
            raise first
        self._leave_out({key: Unmade(why.problem, _REFUSED) for key, why in left.items()})

    def _leave_out(self, unmade: dict[UUID, Unmade]) -> None:
        """Free these samples and write down why they are not sent.

        They are not sent until they or the label config change.
        """
        found = {
            key: left_out(
                self._project.task_type, self._samples[key], why, self._made.digest, self._ls_project_id
            )
            for key, why in unmade.items()
        }
        ledger_tasks.leave_out(self._ledger, found)
        self._pushed.left_out += [
            f"{self._samples[key].external_id}: {why.reason}" for key, why in unmade.items()
        ]

    def _marked(self, batch: _Batch) -> _Batch:
        """What of a batch is to be sent, written down as such."""
        shown = (next((p["model_version"] for p in task["predictions"]), None) for task in batch.payload)
        marked = ledger_tasks.about_to_send(self._turn, dict(zip(batch.keys, shown, strict=True)))
        there = [(key, task) for key, task in zip(batch.keys, batch.payload, strict=True) if key in marked]
        return _Batch([key for key, _ in there], [task for _, task in there])

    def _written_down(self) -> int:
        """Write down the ids of what arrived, proved; answer how many.

        Label Studio answers in the order of the request. That is checked over all of them, and every later
        read of a task goes by its key: an id alone never decides whose annotation it is.
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
                f"Label Studio took {counted(len(keys), 'task')} and has {len(found)} of them.",
                "Run `lsloop push` again: it finds out by key.",
            )
        return found

    def _opened(self, arrived: dict[UUID, int]) -> int:
        ledger_tasks.opened(self._ledger, self._project, arrived)
        for key in self._for_one & arrived.keys():  # one person decides, however many answer other tasks
            tasks.set_overlap(self._studio, arrived[key], 1)
        self._pushed.sent += len(arrived)
        return len(arrived)
