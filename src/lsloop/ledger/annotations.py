"""Annotations in bulk: told in arrays, compared and settled in one transaction.

They come with tasks as Label Studio has them now.
"""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import orjson

from lsloop.errors import Entangled
from lsloop.ledger import Ledger, Transaction, gold
from lsloop.records import Annotation, Project, Task
from lsloop.values.text import without_nul


@dataclass
class Received:
    """The annotations and other news that some tasks brought.

    `twins` are (key, id) of tasks that Label Studio has a second time.

    `overtaken` were written down by somebody else since they were asked for: nobody can tell which is
    newer, so they are to be read again.
    """

    added: int = 0
    edited: int = 0
    removed: int = 0
    outcomes: dict[str, int] = field(default_factory=dict)
    twins: list[tuple[UUID, int]] = field(default_factory=list)
    overtaken: list[int] = field(default_factory=list)

    def include(self, other: "Received") -> None:
        """Add what another batch brought."""
        self.added += other.added
        self.edited += other.edited
        self.removed += other.removed
        self.twins += other.twins
        self.overtaken += other.overtaken
        for outcome, count in other.outcomes.items():
            self.outcomes[outcome] = self.outcomes.get(outcome, 0) + count


Judge = Callable[[Transaction, Sequence[UUID]], Sequence[UUID]]
"""Compares and scores the answers to tasks before these are settled; answers which other tasks are to be
settled, too."""


def begin_read(ledger: Ledger) -> int:
    """Draw a number in the order of reading.

    It is for what is asked of Label Studio from now on.
    """
    return int(ledger.call("SELECT nextval('reads')"))


def receive(
    ledger: Ledger,
    project: Project,
    tasks: Sequence[Task],
    *,
    asked: int | None = None,
    judge: Judge = lambda transaction, keys: (),
    dry_run: bool = False,
) -> Received:
    """Bring the ledger up to these tasks and settle those that have what they need.

    It is idempotent, and all or nothing.

    `asked` is what `begin_read` gave before they were asked for; without it, they are as Label Studio
    has them now. No clock tells which of two reads is newer. Tasks whose key the ledger does not know
    are somebody else's and are left alone.
    """
    ours = [task for task in tasks if task.task_key is not None]
    # Scores may have tasks settled anew that another transaction is at, while it wants one of these.
    for _ in range(_TRIES - 1):
        with contextlib.suppress(Entangled):
            return _receive(ledger, project, ours, asked, judge, dry_run)
    return _receive(ledger, project, ours, asked, judge, dry_run)


_TRIES = 5


def _receive(
    ledger: Ledger, project: Project, ours: Sequence[Task], asked: int | None, judge: Judge, dry_run: bool
) -> Received:
    with ledger.transaction() as transaction:
        gold.one_by_one(transaction, project.task_type)
        rows = transaction.rows(
            _RECEIVE, project_id=project.project_id, server=project.server, asked=asked, **_columns(ours)
        )
        received = _received(rows)
        received.outcomes = settle(
            transaction, [row.task_key for row in rows if row.overtaken is None], judge
        )
        if dry_run:
            transaction.undo()
    return received


def _received(rows: Sequence[Any]) -> Received:
    return Received(
        added=int(sum(row.added for row in rows)),
        edited=int(sum(row.edited for row in rows)),
        removed=int(sum(row.removed for row in rows)),
        twins=[(row.task_key, row.twin) for row in rows if row.twin is not None],
        overtaken=[row.overtaken for row in rows if row.overtaken is not None],
    )


def settle(transaction: Transaction, keys: Sequence[UUID], judge: Judge) -> dict[str, int]:
    """Settle these tasks, and those that the judge names; count the outcomes."""
    outcomes = transaction.rows(
        "SELECT outcome, settled FROM settle_tasks(CAST(:keys AS uuid[]))",
        keys=list({*keys, *judge(transaction, list(keys))}),
    )
    return {row.outcome: row.settled for row in outcomes}


_COLUMNS: dict[str, tuple[str, Callable[[Task, Annotation], Any]]] = {
    "numbers": ("bigint", lambda task, a: a.ls_annotation_id),
    "of_tasks": ("bigint", lambda task, a: task.ls_task_id),
    "annotators": ("text", lambda task, a: a.annotator),
    "results": ("text", lambda task, a: _json(a.result)),
    "values": ("text", lambda task, a: None if a.value is None else _json(a.value)),
    "problems": ("text", lambda task, a: a.problem),
    "hashes": ("text", lambda task, a: a.digest),
    "cancelled": ("boolean", lambda task, a: a.was_cancelled),
    "marked": ("boolean", lambda task, a: a.ground_truth),
    "lead_times": ("double precision", lambda task, a: a.lead_time),
    "created": ("timestamptz", lambda task, a: a.created_at),
    "updated": ("timestamptz", lambda task, a: a.updated_at),
    "edited_by": ("text", lambda task, a: a.edited_by),
    "say_nothing": ("boolean", lambda task, a: a.says_nothing),
    "raw": ("text", lambda task, a: a.raw),
}
"""What is told of annotations: an array each."""

_OF_TASKS: dict[str, tuple[str, Callable[[Task], Any]]] = {
    "ls_task_ids": ("bigint", lambda task: task.ls_task_id),
    "task_keys": ("uuid", lambda task: task.task_key),
    "tasks_updated": ("timestamptz", lambda task: task.updated_at),
    "are_whole": ("boolean", lambda task: task.is_whole),
}
"""What is told of tasks: an array each."""

_ARRAYS = [(name, kind) for name, (kind, _) in [*_OF_TASKS.items(), *_COLUMNS.items()]]

_RECEIVE = (
    "SELECT * FROM receive_annotations(p_project_id => :project_id, p_server => :server,"
    " p_asked => CAST(:asked AS bigint), "
    + ", ".join(f"p_{name} => CAST(:{name} AS {kind}[])" for name, kind in _ARRAYS)
    + ")"
)


def _columns(tasks: Sequence[Task]) -> dict[str, list[Any]]:
    told = [(task, annotation) for task in tasks for annotation in task.annotations]
    return {name: [read(task) for task in tasks] for name, (_, read) in _OF_TASKS.items()} | {
        name: [read(*one) for one in told] for name, (_, read) in _COLUMNS.items()
    }


def _json(value: Any) -> str:
    return without_nul(orjson.dumps(value).decode())


def tell(ledger: Ledger, project: Project, task_key: UUID, ls_task_id: int, a: Annotation) -> bool:
    """Write down a version that an event told of.

    Returns whether nobody had seen it before.
    """
    with ledger.transaction() as transaction:
        return bool(
            transaction.value(
                """SELECT tell_annotation(
                       :project_id, :server, CAST(:task_key AS uuid), CAST(:ls_task_id AS bigint),
                       CAST(:number AS bigint), :annotator, CAST(:edited_by AS text), CAST(:result AS jsonb),
                       CAST(:value AS jsonb), CAST(:problem AS text), :says_nothing, CAST(:raw AS text),
                       :digest, :was_cancelled, :ground_truth, CAST(:lead_time AS double precision),
                       :made, :updated)""",
                project_id=project.project_id, server=project.server,
                task_key=task_key, ls_task_id=ls_task_id, number=a.ls_annotation_id,
                annotator=a.annotator, edited_by=a.edited_by, result=_json(a.result),
                value=None if a.value is None else _json(a.value), problem=a.problem,
                says_nothing=a.says_nothing, raw=a.raw, digest=a.digest,
                was_cancelled=a.was_cancelled, ground_truth=a.ground_truth,
                lead_time=a.lead_time, made=a.created_at, updated=a.updated_at,
            )
        )  # fmt: skip


def is_known(ledger: Ledger, server: str, ls_annotation_id: int) -> bool:
    """Tell whether the ledger has this annotation of a Label Studio server.

    Annotations are given by their number there.
    """
    with ledger.transaction() as transaction:
        found = transaction.value(
            "SELECT EXISTS (SELECT FROM annotations WHERE server = :server AND ls_annotation_id = :id)",
            server=server, id=ls_annotation_id,
        )  # fmt: skip
    return bool(found)
