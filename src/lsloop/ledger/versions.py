"""Models: versions that training made, those in use, and trainings asked for.

One version is in use per task type.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from lsloop.errors import UsageError
from lsloop.ledger import Ledger, Transaction, problems, queries
from lsloop.ledger.problems import Problem

CHANNEL = "lsloop_promoted"
"""PostgreSQL notifies it when another version comes into use; the payload is the task type."""


@dataclass(frozen=True)
class Version:
    """A model that a training made, with its lineage.

    `path` is relative to the project folder; `weights` is their fingerprint.
    """

    version: str
    task_type: str
    path: str
    weights: str
    base: str
    base_version: str | None
    data_sha256: str
    params: dict[str, Any]
    seed: int
    code_version: str
    metrics: dict[str, Any]
    created_at: datetime | None = None
    replaces: str | None = None
    promoted_at: datetime | None = None
    demoted_at: datetime | None = None
    in_use: bool = False


class RolledBack(NamedTuple):
    """The version in use before a rollback, and the one after it.

    None: no version, so the base.
    """

    was: str
    now: str | None


def promoted(ledger: Ledger, task_type: str) -> Version | None:
    """The version in use for a task type.

    None while that is the base model of params.yaml.
    """
    with ledger.transaction() as transaction:
        row = transaction.row(queries.named("models")["promoted"], task_type=task_type)
    return None if row is None else Version(**row._mapping)


def listed(ledger: Ledger, task_type: str | None = None) -> list[Version]:
    """Every version, of one task type or of all, the newest first."""
    with ledger.transaction() as transaction:
        rows = transaction.rows(queries.named("models")["versions"], task_type=task_type)
    return [Version(**row._mapping) for row in rows]


def find(ledger: Ledger, name: str) -> Version:
    """The version that is called so: its name, or how it begins.

    Raises UsageError naming what there is.
    """
    there = listed(ledger)
    found = [one for one in there if one.version == name] or [
        one for one in there if one.version.startswith(name)
    ]
    if len(found) == 1:
        return found[0]
    known = ", ".join(one.version for one in (found or there)[:10]) or "none yet"
    how_many = "Several model versions begin with" if found else "There is no model version"
    raise UsageError(f"{how_many} {name!r}.", f"Use one of: {known}.")


def history(ledger: Ledger, version: str) -> list[dict[str, Any]]:
    """The promotions and rollbacks of versions, oldest first: by whom, when and why."""
    with ledger.transaction() as transaction:
        rows = transaction.rows(queries.named("models")["history"], version=version)
    return [dict(row._mapping) for row in rows]


def register(ledger: Ledger, version: Version) -> bool:
    """Write a version down; return False when it is there already.

    It is not in use by that. Raises Refused.
    """
    with ledger.transaction() as transaction:
        return _register(transaction, version)


def promote(ledger: Ledger, version: str, actor: str, reason: str | None = None) -> bool:
    """Take a version into use; return False when it is already in use.

    Every server that listens is told. Raises Refused.
    """
    with ledger.transaction() as transaction:
        return _promote(transaction, version, actor, reason)


def _register(transaction: Transaction, version: Version) -> bool:
    known_later = ("created_at", "replaces", "promoted_at", "demoted_at", "in_use")
    values = {name: value for name, value in vars(version).items() if name not in known_later}
    return bool(
        transaction.value(
            """SELECT register_model(:version, :task_type, :path, :weights, :base,
               CAST(:base_version AS text),
                   :data_sha256, CAST(:params AS jsonb), :seed, :code_version, CAST(:metrics AS jsonb))""",
            **values
            | {
                "params": json.dumps(version.params),
                "metrics": json.dumps(version.metrics, allow_nan=False),
            },
        )
    )


def _promote(transaction: Transaction, version: str, actor: str, reason: str | None) -> bool:
    statement = "SELECT promote_model(:version, :actor, CAST(:reason AS text))"
    return bool(transaction.value(statement, version=version, actor=actor, reason=reason))


def roll_back(ledger: Ledger, task_type: str, actor: str, reason: str | None = None) -> RolledBack:
    """Take back into use what the version in use replaced.

    Raises Refused when none is in use.
    """
    with ledger.transaction() as transaction:
        row = transaction.row(
            "SELECT was, now_in_use FROM roll_back_model(:task_type, :actor, CAST(:reason AS text))",
            task_type=task_type,
            actor=actor,
            reason=reason,
        )
    assert row is not None
    return RolledBack(row.was, row.now_in_use)


@dataclass(frozen=True)
class StandIn:
    """A model that answers for a task type in place of the one that was wanted first.

    The one that was wanted first cannot be used.
    """

    task_type: str
    version: str
    reason: str
    since: datetime


def stands_in(ledger: Ledger, task_type: str, version: str, reason: str | None) -> None:
    """Write down which model stands in for the first choice, and why.

    Without a reason: that none does.
    """
    with ledger.transaction() as transaction:
        transaction.run(
            "SELECT model_stands_in(:task_type, :version, CAST(:reason AS text))",
            task_type=task_type, version=version, reason=reason,
        )  # fmt: skip


def stand_ins(ledger: Ledger, task_type: str | None = None) -> dict[str, StandIn]:
    """The models that stand in for the first choice, by task type."""
    with ledger.transaction() as transaction:
        rows = transaction.rows(queries.named("models")["stand_ins"], task_type=task_type)
    return {row.task_type: StandIn(**row._mapping) for row in rows}


def turn(task_type: str) -> str:
    """The name of the turn that whoever trains a task type holds.

    See Ledger.in_turn.
    """
    return f"lsloop retrain {task_type}"


def trainings(ledger: Ledger, task_type: str | None = None, limit: int = 20) -> list[dict[str, Any]]:
    """The trainings that were asked for last, newest first.

    One that was killed reads `interrupted`.
    """
    with ledger.transaction() as transaction:
        rows = transaction.rows(queries.named("models")["trainings"], task_type=task_type, limit=limit)
    return [dict(row._mapping) for row in rows]


def request(ledger: Ledger, task_type: str, actor: str, reason: str | None = None) -> int:
    """Ask for a training; return its number, or that of the one that waits already."""
    with ledger.transaction() as transaction:
        return int(
            transaction.value(
                "SELECT request_training(:task_type, :actor, CAST(:reason AS text))",
                task_type=task_type,
                actor=actor,
                reason=reason,
            )
        )


def reach(ledger: Ledger, task_type: str, milestones: Sequence[int], every: int) -> int | None:
    """Ask for a training if the accepted annotations reached a new milestone.

    Returns its number, else None.
    """
    with ledger.transaction() as transaction:
        found: int | None = transaction.value(
            "SELECT reach_milestones(:task_type, CAST(:milestones AS integer[]), :every)",
            task_type=task_type,
            milestones=list(milestones),
            every=every,
        )
    return found


def waiting(ledger: Ledger) -> list[tuple[int, str]]:
    """The trainings that were asked for and that no job is there for.

    Each is given by number and task type.
    """
    with ledger.transaction() as transaction:
        rows = transaction.rows(queries.named("models")["waiting"])
    return [(row.training_id, row.task_type) for row in rows]


def has_job(ledger: Ledger, training_id: int, job_id: int) -> None:
    """Record that a job of the queue will do the training."""
    with ledger.transaction() as transaction:
        transaction.run(
            "SELECT training_has_job(:training_id, :job_id)", training_id=training_id, job_id=job_id
        )


def give_up(ledger: Ledger, task_type: str, error: str) -> None:
    """Give up the training that waits.

    `error` says what kept it from beginning.
    """
    with ledger.transaction() as transaction:
        transaction.run("SELECT give_up_training(:task_type, :error)", task_type=task_type, error=error)


def begin(ledger: Ledger, task_type: str, actor: str, reason: str | None, run: dict[str, Any]) -> int:
    """Begin a training, or go on with the killed one that is the same run.

    Returns its number. Hold `turn` meanwhile.
    """
    with ledger.transaction() as transaction:
        return int(
            transaction.value(
                "SELECT begin_training(:task_type, :actor, CAST(:reason AS text), CAST(:run AS jsonb))",
                task_type=task_type,
                actor=actor,
                reason=reason,
                run=json.dumps(run),
            )
        )


def unfinished(ledger: Ledger, task_type: str) -> dict[str, Any] | None:
    """The ingredients of the training that was interrupted.

    Hold `turn`: it may be running otherwise.
    """
    with ledger.transaction() as transaction:
        statement = "SELECT run FROM trainings WHERE task_type = :task_type AND state = 'running'"
        found: dict[str, Any] | None = transaction.value(statement, task_type=task_type)
    return found


def conclude(
    ledger: Ledger,
    training_id: int,
    version: Version,
    outcome: str,
    promoted_by: str | None,
    reason: str | None,
) -> None:
    """Write down what a training made and what became of it, all or nothing.

    It is in use if somebody promotes it.
    """
    with ledger.transaction() as transaction:
        _register(transaction, version)
        if promoted_by is not None:
            _promote(transaction, version.version, promoted_by, reason)
        _end(transaction, training_id, version.version, outcome, None)


def end(
    ledger: Ledger, training_id: int, version: str | None, outcome: str | None, error: str | None = None
) -> None:
    """End a training: what it made and what became of that, or what went wrong."""
    with ledger.transaction() as transaction:
        _end(transaction, training_id, version, outcome, error)


def _end(
    transaction: Transaction, training_id: int, version: str | None, outcome: str | None, error: str | None
) -> None:
    transaction.run(
        "SELECT end_training(:training_id, CAST(:version AS text), "
        "CAST(:outcome AS text), CAST(:error AS text))",
        training_id=training_id,
        version=version,
        outcome=outcome,
        error=error,
    )


def set_aside(ledger: Ledger, task_type: str, left_out: Mapping[str, str]) -> None:
    """Set aside samples (by id) that the training of a task type left out now.

    Each has its reason; those of earlier trainings are removed.
    """
    fix = (
        "Mend the recording or the answer, then `lsloop ingest` and `lsloop export`; "
        "the next training looks at it again."
    )
    with ledger.transaction() as transaction:
        known = transaction.rows(
            "SELECT sample_id FROM samples WHERE CAST(sample_id AS text) = ANY (:ids)", ids=list(left_out)
        )
        ids = {str(row.sample_id): row.sample_id for row in known}
        problems.keep_only(transaction, "retrain", "sample", list(left_out), task_type)
        problems.set_aside(
            transaction,
            [
                Problem("retrain", "sample", key, reason, fix, task_type=task_type, sample_id=ids.get(key))
                for key, reason in left_out.items()
            ],
        )
