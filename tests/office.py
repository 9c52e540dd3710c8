"""The ledger with people at work and no Label Studio: tests say what Label Studio would tell."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from lsloop import task_types
from lsloop.config import Conflicts
from lsloop.ledger import Ledger, annotations, conflicts, projects, samples, tasks
from lsloop.ledger.conflicts import Conflict, Filter
from lsloop.records import Annotation, Project, Strategy, Task, Value
from lsloop.steps import conflict, consensus

SERVER = "office"
RULES = Conflicts()


@dataclass
class Office:
    """One project of one task type. Times are Label Studio's, and go forward by a minute with everything
    that happens."""

    ledger: Ledger
    task_type: str = "transcript_correction"
    clock: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    there: dict[str, Task] = field(default_factory=dict)
    numbers: Any = field(default_factory=lambda: itertools.count(1))

    @property
    def kind(self) -> task_types.Kind:
        return task_types.load(self.task_type)

    @property
    def project(self) -> Project:
        reserved = projects.reserve(self.ledger, self.task_type, SERVER)
        return projects.bind(self.ledger, reserved, 1, "<View/>")

    def crawl(self, external_id: str, media: str | None = "1", prune: bool = False, **fields: Any) -> None:
        """Upstream says this of a sample; `media` stands for the content of its recording."""
        import orjson

        with samples.incoming(self.ledger) as incoming:
            path = f"{external_id}.wav" if media else None
            content = orjson.dumps(fields).decode()
            incoming.copy([(1, "crawler", external_id, content, None, 0, path, 1 if media else None, 1)])
            if path:
                incoming.measured([samples.Media(path, f"md5 {media}", 3.0)])
            incoming.apply(prune=prune)

    def send(self, overlap: int = 1, limit: int = 100) -> list[str]:
        """Push what can be pushed; the external ids in sending order."""
        plan = tasks.Plan(self.task_type, self.kind.READS, self.kind.WRITES, overlap)
        keys = tasks.claim(self.ledger, self.project, plan, limit, claimed_by="office:1").keys
        claims = tasks.content(self.ledger, keys)
        with self.ledger.in_turn("office") as turn:
            tasks.about_to_send(turn, dict.fromkeys(keys))
        ids = {key: next(self.numbers) for key in keys}
        if ids:
            tasks.opened(self.ledger, self.project, ids)
        for claim in claims:
            self.there[claim.sample.external_id] = Task(ids[claim.task_key], claim.task_key, self.tick(), ())
        return [claim.sample.external_id for claim in claims]

    def answer(
        self, external_id: str, text: str | None, annotator: str = "an", **more: Any
    ) -> dict[str, int]:
        """An annotator submits, or edits what they submitted; None: deletes it. Answers what became of it."""
        task = self.there[external_id]
        others = tuple(a for a in task.annotations if a.annotator != annotator)
        before = [a for a in task.annotations if a.annotator == annotator]
        own = () if text is None else (self._annotation(text, annotator, before, more),)
        self.there[external_id] = replace(task, updated_at=self.tick(), annotations=(*others, *own))
        return self.receive(external_id)

    def receive(self, *external_ids: str) -> dict[str, int]:
        """Pull these tasks."""
        told = [self.there[name] for name in external_ids]
        jury = consensus.Jury(self.kind, 0.9)
        return annotations.receive(self.ledger, self.project, told, judge=jury.judge).outcomes

    def _annotation(
        self, text: str, annotator: str, before: Sequence[Annotation], more: Mapping[str, Any]
    ) -> Annotation:
        given: dict[str, Any] = {"was_cancelled": False, "ground_truth": False, "lead_time": 5.0, **more}
        value: Value = given.pop("value", None) or {self.kind.WRITES[0]: text}
        moment = self.tick()
        return Annotation(
            ls_annotation_id=before[0].ls_annotation_id if before else next(self.numbers),
            annotator=annotator,
            result=[{"value": {"text": [text]}}],
            value=None if given["was_cancelled"] else value,
            problem=None,
            created_at=before[0].created_at if before else moment,
            updated_at=moment,
            **given,
        )

    def tick(self, minutes: float = 1) -> datetime:
        self.clock += timedelta(minutes=minutes)
        return self.clock

    def conflict(self) -> Conflict:
        """The one open conflict."""
        (found,) = conflicts.find(self.ledger, Filter())
        return found

    def decide(self, strategy: Strategy, actor: str = "lead", reason: str | None = None) -> UUID | None:
        return conflict.resolve(self.ledger, self.kind, self.conflict(), strategy, actor=actor, reason=reason)

    def by_rule(self, rules: Conflicts = RULES) -> dict[str, int]:
        return conflict.by_rule(self.ledger, self.project, self.kind, rules)

    def rows(self, statement: str, **values: Any) -> list[Any]:
        with self.ledger.transaction() as transaction:
            return transaction.rows(statement, **values)

    def value(self, statement: str, **values: Any) -> Any:
        with self.ledger.transaction() as transaction:
            return transaction.value(statement, **values)

    def current(self, external_id: str, name: str = "transcript") -> Any:
        return self.value(
            "SELECT fields -> :name FROM samples WHERE external_id = :id", name=name, id=external_id
        )

    def state(self, external_id: str) -> str:
        return str(
            self.value("SELECT state FROM tasks WHERE task_key = :key", key=self.there[external_id].task_key)
        )

    def history(self, external_id: str, name: str = "transcript") -> list[tuple[Any, str]]:
        """(value, origin) of every value the field ever had."""
        found = self.rows(
            """SELECT value, origin FROM v_revisions JOIN samples USING (sample_id)
                WHERE external_id = :id AND field = :name ORDER BY version""",
            id=external_id, name=name,
        )  # fmt: skip
        return [(row.value, row.origin) for row in found]

    def everything(self) -> dict[str, list[Any]]:
        """What undo must restore: samples, tasks, live locks and open conflicts, without the times of
        writing."""
        return {
            "samples": self.rows(
                """SELECT sample_id, fields, upstream, held, field_versions, sync_version, media_md5
                   FROM samples
                    WHERE deleted_at IS NULL ORDER BY sample_id"""
            ),
            "tasks": self.rows("SELECT * FROM tasks ORDER BY task_key"),
            "locks": self.rows("SELECT * FROM locks WHERE released_at IS NULL ORDER BY lock_id"),
            "annotations": self.rows("SELECT * FROM annotations ORDER BY annotation_id"),
            "conflicts": self.rows(
                "SELECT conflict_id, task_key, base, ours, theirs, moved, status FROM conflicts ORDER BY"
                " conflict_id"
            ),
        }
