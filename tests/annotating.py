"""People who annotate at the speed of the ledger: their answers arrive as Label Studio's would, without
Label Studio."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from lsloop.config import Config
from lsloop.ledger import Ledger, annotations, projects
from lsloop.ledger import tasks as ledger_tasks
from lsloop.loop.pull import court_of
from lsloop.loop.push import choice_of
from lsloop.records import Annotation, Claim, Project, Task, Value

START = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Office:
    """A ledger and its Label Studio, of which only what reaches the ledger is played."""

    ledger: Ledger
    config: Config
    task_type: str = "transcript_correction"
    _ids: Any = field(default_factory=lambda: itertools.count(1))
    _tasks: dict[int, Task] = field(default_factory=dict)
    claims: dict[int, Claim] = field(default_factory=dict)

    @property
    def project(self) -> Project:
        projects.reserve(self.ledger, self.task_type, "test")
        found = projects.find(self.ledger, self.task_type, "test")
        assert found is not None
        return found

    def push(self, limit: int) -> list[int]:
        """Send up to `limit` tasks; their ids in Label Studio, in the order in which annotators see them."""
        plan, project = choice_of(self.config, self.task_type, None, ""), self.project
        keys = ledger_tasks.claim_adjudications(self.ledger, project, limit, claimed_by="test")
        keys += ledger_tasks.claim(self.ledger, project, plan, limit - len(keys), claimed_by="test").keys
        sent = {}
        for claim in ledger_tasks.content(self.ledger, keys):
            number = next(self._ids)
            sent[claim.task_key], self.claims[number] = number, claim
            self._tasks[number] = Task(number, claim.task_key, START, ())
        ledger_tasks.about_to_send(self.ledger, dict.fromkeys(sent))
        ledger_tasks.opened(self.ledger, project, sent)
        return list(sent.values())

    def answer(self, number: int, annotator: str, value: Value, **fields: Any) -> int:
        """Submit an annotation; it reaches the ledger with the next `pull`. Answers its id."""
        made = next(self._ids)
        given = Annotation(
            made, annotator, [{"id": "r", "value": value}], value, None, False, False, 1.0, self._now(),
            self._now()
        )  # fmt: skip
        self._change(number, [*self._tasks[number].annotations, replace(given, **fields)])
        return made

    def edit(self, number: int, made: int, **fields: Any) -> None:
        """Change an annotation, as its annotator would."""
        if "value" in fields:
            fields["result"] = [{"id": "r", "value": fields["value"]}]
        fields["updated_at"] = self._now()
        self._change(
            number,
            [
                replace(a, **fields) if a.ls_annotation_id == made else a
                for a in self._tasks[number].annotations
            ],
        )

    def delete(self, number: int, made: int) -> None:
        self._change(number, [a for a in self._tasks[number].annotations if a.ls_annotation_id != made])

    def pull(self, numbers: Sequence[int] | None = None) -> annotations.Received:
        """What `lsloop pull` does with these tasks (None: all) once they are read."""
        court = court_of(self.config, self.project)
        wanted = [self._tasks[number] for number in (numbers or self._tasks)]
        received = annotations.receive(self.ledger, self.project, wanted, judge=court.judge)
        received.include(court.examine_all(self.ledger, self.project))
        return received

    def everybody_answers(
        self, numbers: Sequence[int], said: Callable[[int, Claim], tuple[str, Value]]
    ) -> None:
        """Each task is answered by whom, and with what, `said` tells by its place and what is shown."""
        for place, number in enumerate(numbers):
            self.answer(number, *said(place, self.claims[number]))

    def rows(self, statement: str, **values: Any) -> list[Any]:
        with self.ledger.transaction() as transaction:
            return transaction.rows(statement, **values)

    def value(self, statement: str, **values: Any) -> Any:
        with self.ledger.transaction() as transaction:
            return transaction.value(statement, **values)

    def states(self) -> dict[str, int]:
        return {row.state: row.n for row in self.rows("SELECT state, count(*) AS n FROM tasks GROUP BY 1")}

    def probes(self) -> set[int]:
        """The ids of the probes: what an annotator cannot know."""
        return {row.ls_task_id for row in self.rows("SELECT ls_task_id FROM tasks WHERE is_gold_probe")}

    def sample(self, external_id: str) -> UUID:
        found: UUID = self.value("SELECT sample_id FROM samples WHERE external_id = :id", id=external_id)
        return found

    def current(self, external_id: str) -> str:
        return str(
            self.value("SELECT fields ->> 'transcript' FROM samples WHERE external_id = :id", id=external_id)
        )

    def _change(self, number: int, given: list[Annotation]) -> None:
        self._tasks[number] = replace(self._tasks[number], annotations=tuple(given), updated_at=self._now())

    def _now(self) -> datetime:
        return START + timedelta(seconds=next(self._ids))


def said(text: str, **remarks: Any) -> Value:
    """A transcript as the kind understands it."""
    return {"transcript": text, "quality_flags": [], "confidence": None, "notes": "", **remarks}


def samples(ledger: Ledger, texts: dict[str, str]) -> None:
    """Samples with media whose upstream transcript is the text."""
    with ledger.transaction() as transaction:
        transaction.run(
            """INSERT INTO samples (external_id, fields, media_path, media_md5)
               SELECT key, jsonb_build_object('transcript', value), key || '.wav', 'm' || key
                 FROM unnest(CAST(:ids AS text[]), CAST(:texts AS text[])) s(key, value)""",
            ids=list(texts), texts=list(texts.values()),
        )  # fmt: skip
