"""Gold: references, probes, scores of their answers, and who is held back.

Probes go among what is sent.
"""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from lsloop.errors import UsageError
from lsloop.ledger import Ledger, Transaction, queries
from lsloop.records import Project, Value

_CHANCE: random.Random = random.SystemRandom()
"""Nobody foretells where the next probe is."""


def rounding(ledger: Ledger, task_type: str) -> random.Random:
    """The chance that rounds the shares of the next push.

    It stays the same until a task is claimed, so that a dry run tells it.
    """
    with ledger.transaction() as transaction:
        tasks = transaction.value(
            "SELECT count(*) FROM tasks WHERE task_type = :task_type", task_type=task_type
        )
    return random.Random(f"{task_type} {tasks}")  # noqa: S311  # no secret: where probes are stays _CHANCE's


def share(tasks: int, ratio: float, chance: random.Random | None = None) -> int:
    """The number of probes among so many tasks, a whole one each time.

    It is `ratio` of them on average.
    """
    return int(tasks * ratio + (chance or _CHANCE).random())


def still_due(
    due: int, ordinary: int, *, are_short: bool, ratio: float, chance: random.Random | None = None
) -> int:
    """The number of due probes that go beside so many ordinary tasks.

    Where these are too few, it is `ratio` of all.
    """
    if not are_short:
        return due
    return min(due, int(ordinary * ratio / (1 - ratio) + (chance or _CHANCE).random())) if ordinary else 0


def idle(ledger: Ledger, task_type: str, reads: Sequence[str], writes: Sequence[str]) -> int:
    """The number of gold samples that could be probes now."""
    with ledger.transaction() as transaction:
        asked = "SELECT count(*) FROM idle_gold(:task_type, :reads, :writes)"
        return int(transaction.value(asked, task_type=task_type, reads=list(reads), writes=list(writes)))


def mixed(ordinary: Sequence[UUID], probes: Sequence[UUID]) -> list[UUID]:
    """Mix the probes into `ordinary`, whose order stays, at random places."""
    places = set(_CHANCE.sample(range(len(ordinary) + len(probes)), len(probes)))
    rest, hidden = iter(ordinary), iter(probes)
    return [next(hidden if at in places else rest) for at in range(len(ordinary) + len(probes))]


def claim(transaction: Transaction, count: int, values: dict[str, Any]) -> list[UUID]:
    """Claim up to `count` probes, the gold that fewest annotators have met first.

    Returns their keys.
    """
    if not count:
        return []
    rows = transaction.rows(
        "SELECT key"
        " FROM claim_probes(:project_id, :task_type, :reads, :writes, :overlap, :by, :count, :chance) key",
        count=count, chance=str(_CHANCE.random()), **values,
    )  # fmt: skip
    return [row.key for row in rows]


def keep(transaction: Transaction, probes: list[UUID], count: int) -> list[UUID]:
    """Keep `count` of the probes claimed in this transaction; drop the others.

    The others are deleted, as if they had never been there.
    """
    if count < len(probes):
        transaction.run("DELETE FROM tasks WHERE task_key = ANY (:keys)", keys=probes[count:])
    return probes[:count]


@dataclass(frozen=True)
class Unscored:
    """An answer to a probe that was not held to its reference yet."""

    annotation_id: int
    version: int
    gold_id: int
    external_id: str
    answer: Value
    reference: Value


@dataclass(frozen=True)
class Score:
    """The agreement of an answer with its reference.

    `errors` of `total` in `unit` are wrong.
    """

    answer: Unscored
    score: float
    errors: int
    total: int
    unit: str


def unscored(
    transaction: Transaction, project: Project, unit: str, keys: Sequence[UUID] | None = None
) -> list[Unscored]:
    """The answers to these probes (None: to all of the project) that are to be scored.

    Errors are counted in `unit`.
    """
    rows = transaction.rows(
        "SELECT * FROM unscored_answers(:project_id, :unit, CAST(:keys AS uuid[]))",
        project_id=project.project_id, unit=unit, keys=None if keys is None else list(keys),
    )  # fmt: skip
    return [Unscored(**row._mapping) for row in rows]


def record(transaction: Transaction, scores: Sequence[Score]) -> None:
    """Write scores down."""
    transaction.run(
        """INSERT INTO gold_scores (annotation_id, version, gold_id, task_type, annotator, submitted_at,
           score, errors,
                                    total, unit)
           SELECT n.annotation_id, n.version, n.gold_id, t.task_type, a.annotator, a.ls_created_at, n.score,
                  n.errors,
                  n.total, n.unit
             FROM unnest(CAST(:annotations AS bigint[]), CAST(:versions AS integer[]),
                         CAST(:gold AS bigint[]),
                         CAST(:scores AS double precision[]), CAST(:errors AS integer[]),
                         CAST(:totals AS integer[]),
                         CAST(:units AS text[]))
                  n(annotation_id, version, gold_id, score, errors, total, unit)
             JOIN annotations a USING (annotation_id) JOIN tasks t USING (task_key)
           ON CONFLICT (annotation_id, version, gold_id) DO UPDATE
              SET score = excluded.score, errors = excluded.errors, total = excluded.total,
              unit = excluded.unit""",
        annotations=[s.answer.annotation_id for s in scores], versions=[s.answer.version for s in scores],
        gold=[s.answer.gold_id for s in scores], scores=[s.score for s in scores],
        errors=[s.errors for s in scores], totals=[s.total for s in scores], units=[s.unit for s in scores],
    )  # fmt: skip


def is_to_be_examined(transaction: Transaction, project: Project, settings: dict[str, Any]) -> bool:
    """Tell whether references or these settings changed since answers were looked at.

    All answers to probes are meant; from now on they count as looked at.
    """
    return bool(
        transaction.value(
            "SELECT is_to_be_examined(:id, CAST(:settings AS jsonb))",
            id=project.project_id, settings=json.dumps(settings),
        )
    )  # fmt: skip


def scoring_is_off(ledger: Ledger, project: Project) -> None:
    """Record that scoring is off: what comes in from now on is not scored.

    It will be scored when scoring is on again.
    """
    with ledger.transaction() as transaction:
        transaction.run(
            "UPDATE projects SET examined = NULL WHERE project_id = :id AND examined IS NOT NULL",
            id=project.project_id,
        )


def annotators_of(transaction: Transaction, keys: Sequence[UUID]) -> list[str]:
    """Everybody who ever answered these probes.

    A withdrawn answer changes their scores, too.
    """
    rows = transaction.rows(
        """SELECT DISTINCT a.annotator FROM annotations a JOIN tasks t USING (task_key)
            WHERE t.task_key = ANY (:keys) AND t.is_gold_probe ORDER BY 1""",
        keys=list(keys),
    )
    return [row.annotator for row in rows]


def one_by_one(transaction: Transaction, *task_types: str) -> None:
    """Lock these task types until the transaction ends.

    Nobody else takes in their answers meanwhile, or begins or lifts a quarantine. Else an answer that
    comes in while its annotator is quarantined would be settled by who does not know, and never again.
    """
    for task_type in sorted(task_types):
        transaction.run(
            "SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))", name=f"lsloop answers {task_type}"
        )


def review(
    transaction: Transaction, task_type: str, annotators: Sequence[str] | None, window: int, floor: float
) -> list[UUID]:
    """Begin and lift quarantines by the last `window` scores of these annotators.

    None: everybody's. Returns the tasks to settle anew.
    """
    rows = transaction.rows(
        """SELECT DISTINCT key FROM review_annotators(:task_type, CAST(:annotators AS text[]), :window,
           :floor) r,
                  tasks_answered_since(:task_type, r.annotator, r.since) key""",
        task_type=task_type, annotators=None if annotators is None else list(annotators),
        window=window, floor=floor,
    )  # fmt: skip
    return [row.key for row in rows]


def release(
    transaction: Transaction, annotator: str, task_type: str | None, actor: str, reason: str | None
) -> dict[str, list[UUID]]:
    """Lift an annotator's quarantines by hand.

    Returns for each task type the tasks to settle anew.
    """
    held = transaction.rows(
        "SELECT task_type FROM quarantines WHERE annotator = :annotator AND lifted_at IS NULL",
        annotator=annotator,
    )
    one_by_one(transaction, *(row.task_type for row in held))
    rows = transaction.rows(
        """SELECT r.task_type, ARRAY(SELECT tasks_answered_since(r.task_type, :annotator, r.since)) AS keys
             FROM release_annotator(:annotator, :task_type, :actor, :reason) r""",
        annotator=annotator, task_type=task_type, actor=actor, reason=reason,
    )  # fmt: skip
    return {row.task_type: row.keys for row in rows}


Review = Literal["released", "rejected"]


def review_held(
    transaction: Transaction,
    annotator: str,
    task_type: str | None,
    ls_task_ids: Sequence[int] | None,
    review: Review,
    actor: str,
    reason: str | None,
) -> dict[str, list[UUID]]:
    """Decide about held answers, all or those to some tasks of Label Studio.

    Returns for each task type the tasks to settle anew.
    """
    held = transaction.rows(
        "SELECT task_type FROM quarantines WHERE annotator = :annotator AND lifted_at IS NULL",
        annotator=annotator,
    )
    one_by_one(transaction, *(row.task_type for row in held))
    rows = transaction.rows(
        "SELECT * FROM review_held(:annotator, :task_type, CAST(:ids AS bigint[]), :review, :actor, :reason)",
        annotator=annotator, task_type=task_type, ids=None if ls_task_ids is None else list(ls_task_ids),
        review=review,
        actor=actor, reason=reason,
    )  # fmt: skip
    found: dict[str, list[UUID]] = {}
    for row in rows:
        found.setdefault(row.task_type, []).append(row.task_key)
    return found


def send_anew(transaction: Transaction, keys: Sequence[UUID]) -> int:
    """End those of these tasks of which no answer is left that may count.

    Their samples are sent anew. Returns how many tasks were ended.
    """
    return int(transaction.value("SELECT send_anew(CAST(:keys AS uuid[]))", keys=list(keys)))


def find_sample(ledger: Ledger, external_id: str, source: str | None) -> UUID:
    """Find the sample by its name.

    Raises UsageError when there is none, or one in each of several sources.
    """
    with ledger.transaction() as transaction:
        rows = transaction.rows(
            """SELECT sample_id, source FROM samples WHERE external_id = :id AND deleted_at IS NULL
                  AND (CAST(:source AS text) IS NULL OR source = :source) ORDER BY source""",
            id=external_id, source=source,
        )  # fmt: skip
    if not rows:
        raise UsageError(
            f"There is no sample {external_id!r}.", "Give an external_id of data/raw/metadata.jsonl."
        )
    if len(rows) > 1:
        named = ", ".join(row.source for row in rows)
        raise UsageError(f"Several samples are called {external_id!r}.", f"Say which with --source: {named}.")
    found: UUID = rows[0].sample_id
    return found


def set_standard(
    ledger: Ledger, sample_id: UUID, score: float, executor: str, reference: Value | None = None
) -> bool:
    """Make a sample gold; without a reference, by its accepted values.

    Returns whether that changed anything. Raises Refused when it has no accepted value either.
    """
    with ledger.transaction() as transaction:
        return bool(
            transaction.value(
                "SELECT set_gold_standard(:id, CAST(:score AS numeric), :by, CAST(:reference AS jsonb))",
                id=sample_id, score=score, by=executor,
                reference=None if reference is None else json.dumps(reference, ensure_ascii=False),
            )
        )  # fmt: skip


def unset_standard(ledger: Ledger, sample_id: UUID, executor: str) -> bool:
    """Give a sample back to ordinary work; return whether it was gold."""
    with ledger.transaction() as transaction:
        return bool(transaction.value("SELECT unset_gold_standard(:id, :by)", id=sample_id, by=executor))


def standards(ledger: Ledger) -> list[dict[str, Any]]:
    """Every gold sample, those first whose reference annotators agree with least."""
    return _named(ledger, "standards")


def pools(ledger: Ledger) -> list[dict[str, Any]]:
    """The probes per task type: sent, answered, at work, and as a share of all sent."""
    return _named(ledger, "probes")


def drift(ledger: Ledger, window: int, task_type: str | None = None) -> list[dict[str, Any]]:
    """The drift of scores per annotator and task type.

    It is the mean of their last `window` scores beside that of those before.
    """
    return _named(ledger, "drift", window=window, task_type=task_type)


def _named(ledger: Ledger, name: str, **values: Any) -> list[dict[str, Any]]:
    with ledger.transaction() as transaction:
        return [dict(row._mapping) for row in transaction.rows(queries.named("gold")[name], **values)]
