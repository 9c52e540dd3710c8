"""All that a ledger says at one moment, to be compared with what it said before."""

from dataclasses import dataclass
from typing import Any

import psycopg

Rows = dict[Any, dict[str, Any]]

LIVE = ("claimed", "open", "annotated", "conflicted")

TABLES = {
    "samples": "SELECT sample_id AS id, * FROM samples",
    "revisions": "SELECT revision_id AS id, * FROM revisions",
    "values": "SELECT ROW(sample_id, field, version)::text AS id, * FROM v_revisions",
    "tasks": """SELECT task_key AS id, *,
                  (SELECT coalesce(jsonb_agg(e.base), '[]') FROM earlier_bases e
                    WHERE e.task_key = tasks.task_key) AS earlier
                  FROM tasks""",
    "locks": """SELECT lock_id AS id, *, expires_at IS NULL OR expires_at > now() AS counts
                  FROM locks WHERE released_at IS NULL""",
    "annotations": "SELECT annotation_id AS id, * FROM annotations",
    "history": "SELECT ROW(annotation_id, version)::text AS id, * FROM annotation_history",
    "conflicts": "SELECT conflict_id AS id, * FROM conflicts",
    "audit": "SELECT audit_id AS id, * FROM audit",
    "quarantines": "SELECT quarantine_id AS id, * FROM quarantines",
}


@dataclass(frozen=True)
class Picture:
    """The rows of each table by their id."""

    samples: Rows
    revisions: Rows
    values: Rows
    tasks: Rows
    locks: Rows
    annotations: Rows
    history: Rows
    conflicts: Rows
    audit: Rows
    quarantines: Rows

    def live_tasks(self) -> list[dict[str, Any]]:
        """The tasks that hold their sample: probes and adjudications do not."""
        return [task for task in self.tasks.values() if task["state"] in LIVE and is_ordinary(task)]

    def held_revision(self, sample: dict[str, Any], field: str) -> dict[str, Any] | None:
        """The revision that people's current value of a field is; None where nobody holds it."""
        version = sample["held"].get(field)
        return next(
            (r for r in self.revisions.values()
             if (r["sample_id"], r["field"], r["version"]) == (sample["id"], field, version)), None,
        )  # fmt: skip

    def standing(self, task: dict[str, Any]) -> list[dict[str, Any]]:
        """The answers to a task that stand and were understood."""
        return [
            a for a in self.annotations.values()
            if a["task_key"] == task["id"] and a["deleted_at"] is None and not a["was_cancelled"]
            and a["value"] is not None
        ]  # fmt: skip


def is_ordinary(task: dict[str, Any]) -> bool:
    return not task["is_gold_probe"] and task["adjudicates"] is None


def take(connection: psycopg.Connection[Any]) -> Picture:
    """The picture now, in one trip to the ledger."""
    with connection.transaction(), connection.pipeline():
        found = {name: connection.execute(statement) for name, statement in TABLES.items()}
        rows = {name: {row["id"]: row for row in cursor.fetchall()} for name, cursor in found.items()}
    for task in rows["tasks"].values():
        del task["read_at"]  # that it was read again says nothing about it
    return Picture(**rows)
