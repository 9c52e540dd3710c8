"""Tasks that nobody has started and whose sample changed.

They are read here, and written down when Label Studio shows the new content.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from lsloop.ledger import Ledger
from lsloop.ledger.tasks import CLAIM, claim_of
from lsloop.records import Claim, Project


@dataclass(frozen=True)
class Stale:
    """A task that shows what its sample was.

    `base` is what it is to show, `claim` what that is made from; `moved` are the fields that upstream
    ever changed or took away.
    """

    claim: Claim
    ls_task_id: int
    base: dict[str, Any]
    prediction_id: int | None
    moved: Sequence[str] = ()

    @property
    def task_key(self) -> UUID:
        return self.claim.task_key


def stale(ledger: Ledger, project: Project, limit: int) -> list[Stale]:
    """Tasks to refresh, at most `limit`, oldest first.

    Where nothing that is shown changed, the base moves on at once.
    """
    with ledger.transaction() as transaction:
        rows = transaction.rows(
            f"""SELECT {CLAIM}, t.ls_task_id, p.prediction_id, snapshot(s, t.reads || t.writes) AS base,
                       ARRAY(SELECT jsonb_object_keys(s.field_versions)) AS moved
                  FROM (SELECT task_key FROM stale_tasks(CAST(:project_id AS integer)) task_key
                  LIMIT :limit) k
                  JOIN tasks t USING (task_key) JOIN samples s USING (sample_id)
                  LEFT JOIN LATERAL (SELECT (current_prediction(s, t.task_type, t.reads)).*) p ON true
                 ORDER BY t.opened_at, t.ls_task_id""",
            project_id=project.project_id,
            limit=limit,
        )
    return [Stale(claim_of(row), row.ls_task_id, row.base, row.prediction_id, row.moved) for row in rows]


def refreshed(
    ledger: Ledger, task: Stale, model_version: str | None, *, since: datetime, until: datetime
) -> bool:
    """Record that Label Studio shows the new content since `since`.

    Answers begun before `until` may be about the old one. Both are in Label Studio's time. Returns
    False when an answer came in meanwhile: the task is then judged by what it showed before.
    """
    with ledger.transaction() as transaction:
        return bool(
            transaction.value(
                "SELECT refresh_task(:key, :version, CAST(:base AS jsonb), "
                ":prediction, :model, :since, :until)",
                key=task.task_key,
                version=task.claim.sample.sync_version,
                base=orjson.dumps(task.base).decode(),
                prediction=task.prediction_id,
                model=model_version,
                since=since,
                until=until,
            )
        )
