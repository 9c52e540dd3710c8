"""Tasks that Label Studio has under keys of ours, and that this ledger does not know.

The ledger is older than they are.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from lsloop.ledger import Ledger
from lsloop.records import Project


@dataclass(frozen=True)
class Stray:
    """A task in Label Studio, as its data describes it."""

    ls_task_id: int
    task_key: UUID
    sample_id: UUID


def newest(ledger: Ledger, project: Project) -> int:
    """The greatest number of a task that the ledger knows in this Label Studio project.

    0 where it knows none.
    """
    with ledger.transaction() as transaction:
        return int(
            transaction.value(
                "SELECT coalesce(max(ls_task_id), 0) FROM tasks WHERE project_id = :id AND gone_at IS NULL",
                id=project.project_id,
            )
        )


def adopt(
    ledger: Ledger,
    project: Project,
    strays: Sequence[Stray],
    reads: Sequence[str],
    writes: Sequence[str],
    overlap: int,
) -> int:
    """Take back those of these tasks that are of samples of ours and unknown.

    Returns how many there were.
    """
    with ledger.transaction() as transaction:
        rows = transaction.rows(
            """SELECT adopt_tasks(CAST(:id AS integer), :task_type, CAST(:keys AS uuid[]),
               CAST(:samples AS uuid[]),
                                  CAST(:numbers AS bigint[]), :reads, :writes, CAST(:overlap AS integer))""",
            id=project.project_id, task_type=project.task_type, keys=[one.task_key for one in strays],
            samples=[one.sample_id for one in strays], numbers=[one.ls_task_id for one in strays],
            reads=list(reads), writes=list(writes), overlap=overlap,
        )  # fmt: skip
    return len(rows)


def knows_any(ledger: Ledger, sample_ids: Sequence[str]) -> bool:
    """Tell whether one of these is a sample of the ledger's."""
    with ledger.transaction() as transaction:
        asked = "SELECT EXISTS (SELECT FROM samples WHERE CAST(sample_id AS text) = ANY (:ids))"
        return bool(transaction.value(asked, ids=list(sample_ids)))
