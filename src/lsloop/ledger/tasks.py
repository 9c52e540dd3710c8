"""Tasks: claimed before they are sent, opened, and ended.

They are open when Label Studio has them, and ended when it does not any more.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from random import Random
from typing import Any
from uuid import UUID

from sqlalchemy import Row

from lsloop.ledger import Ledger, Transaction, Turn, gold, problems
from lsloop.records import Claim, Order, Prediction, Project, Sample

_SAMPLE = (
    "sample_id, external_id, fields, media_path, media_md5, "
    "duration, width, height, frame_rate, frames, pages, sync_version"
)

CLAIM = """t.task_key, s.sample_id, s.external_id, shown_fields(s, t) AS fields, s.media_path, s.media_md5,
    s.duration, s.width, s.height, s.frame_rate, s.frames, s.pages, s.sync_version,
    p.value, p.model_version, p.score, p.uncertainty,
    CASE WHEN t.adjudicates IS NOT NULL THEN candidates(t) END AS candidates"""
"""What a task is made from: columns of a task `t`, its sample `s` and the prediction `p` to show."""


@dataclass(frozen=True)
class Plan:
    """The choice that a push is asked to make, and how."""

    task_type: str
    reads: Sequence[str]
    writes: Sequence[str]
    overlap: int = 1
    order: Order = "oldest"
    seed: str = ""  # of the order `random`, and of what chance chooses in the order `uncertain`
    random_share: float = 0.0  # in the order `uncertain`, the share of places that chance fills
    gold_ratio: float = 0.0  # the share of what is sent that are gold probes


def eligible(ledger: Ledger, plan: Plan, limit: int, digest: str) -> list[Sample]:
    """The samples that a push would claim now, in order.

    It changes nothing. `digest`: see `try_again`.
    """
    with ledger.transaction() as transaction:
        transaction.run(_TRIED_AGAIN, task_type=plan.task_type, digest=digest)
        line = _lined_up(transaction, plan, limit)
        found = _eligible(transaction, plan, limit) if line is None else _samples(transaction, line)
        transaction.undo()
    return found


def line_up(ledger: Ledger, plan: Plan, limit: int) -> list[UUID] | None:
    """The samples that a push takes, in order.

    None where that is not decided once for all its batches.
    """
    with ledger.transaction() as transaction:
        return _lined_up(transaction, plan, limit)


def _lined_up(transaction: Transaction, plan: Plan, limit: int) -> list[UUID] | None:
    # One of each speaker before the second of any: what was sent in the first batch counts in the next.
    if plan.order != "uncertain":
        return None
    rows = transaction.rows(
        "SELECT sample_id"
        " FROM uncertain_first(:task_type, :reads, :seed, CAST(:share AS double precision), :limit)",
        task_type=plan.task_type, reads=list(plan.reads), seed=plan.seed,
        share=plan.random_share, limit=limit,
    )  # fmt: skip
    return [row.sample_id for row in rows]


def _samples(transaction: Transaction, ids: Sequence[UUID]) -> list[Sample]:
    rows = transaction.rows(
        f"""SELECT {_SAMPLE} FROM unnest(CAST(:ids AS uuid[])) WITH ORDINALITY line(sample_id, place)
              JOIN samples USING (sample_id) ORDER BY place""",
        ids=list(ids),
    )
    return [Sample(**row._mapping) for row in rows]


def _eligible(transaction: Transaction, plan: Plan, limit: int) -> list[Sample]:
    rows = transaction.rows(
        f"SELECT {_SAMPLE} FROM eligible_samples(:task_type, :reads, :order, :seed, :limit)",
        task_type=plan.task_type, reads=list(plan.reads), order=plan.order, seed=plan.seed, limit=limit,
    )  # fmt: skip
    return [Sample(**row._mapping) for row in rows]


@dataclass(frozen=True)
class Claimed:
    """Keys in sending order.

    `probes` of them are gold, `missing` more were due and there was no gold sample for them.

    `passed` samples of a line were claimed or cannot be: the next claim begins after them. `reached` is
    the arrival of the youngest, where the oldest are wanted first: the next claim of the same push
    begins there.
    """

    keys: list[UUID]
    probes: int = 0
    missing: int = 0
    passed: int = 0
    reached: int = 0


def claim(
    ledger: Ledger,
    project: Project,
    plan: Plan,
    limit: int,
    *,
    claimed_by: str,
    among: Sequence[UUID] | None = None,
    chance: Random | None = None,
    after: int = 0,
) -> Claimed:
    """Claim up to `limit` tasks for this project.

    They are eligible samples, which are locked, and gold probes among them.

    The samples are the first that can be sent of `among`, else of all. Samples that another transaction
    is at are passed over, not waited for. Without eligible samples there are no probes. `chance` rounds
    how many they are. In the order `oldest`, samples that arrived before `after` are not looked at: a
    long push would look at all that it has sent again.
    """
    values = {
        "project_id": project.project_id, "task_type": plan.task_type, "reads": list(plan.reads),
        "writes": list(plan.writes), "overlap": plan.overlap, "by": claimed_by,
    }  # fmt: skip
    with ledger.transaction() as transaction:
        due = gold.share(limit, plan.gold_ratio, chance)
        probes = gold.claim(transaction, due, values)
        rows = transaction.rows(
            """SELECT task_key, place, arrival
                 FROM claim_tasks(:project_id, :task_type, :reads, :writes, :overlap, :by, :order, :seed,
                                  :limit,
                                  CAST(:among AS uuid[]), :after)""",
            after=after, order=plan.order, seed=plan.seed, limit=limit - len(probes), **values,
            among=None if among is None else list(among),
        )  # fmt: skip
        keys = [row.task_key for row in rows]
        is_full = len(keys) == limit - len(probes)
        transaction.run("SELECT lock_claimed(:keys)", keys=keys)
        are_short = len(keys) + len(probes) < limit or bool(
            probes and not keys and not _any(transaction, plan)
        )
        due = gold.still_due(due, len(keys), are_short=are_short, ratio=plan.gold_ratio, chance=chance)
        probes = gold.keep(transaction, probes, due)
    passed = rows[-1].place if is_full and keys else len(among or ())
    reached = rows[-1].arrival if rows and plan.order == "oldest" else 0
    return Claimed(gold.mixed(keys, probes), len(probes), due - len(probes), passed, reached)


def _any(transaction: Transaction, plan: Plan) -> bool:
    return bool(_eligible(transaction, replace(plan, order="oldest"), 1))


def due_adjudications(ledger: Ledger, project: Project) -> int:
    """The number of disagreements that wait for somebody to decide them."""
    with ledger.transaction() as transaction:
        asked = "SELECT count(*) FROM due_adjudications(:project_id)"
        return int(transaction.value(asked, project_id=project.project_id))


def claim_adjudications(ledger: Ledger, project: Project, limit: int, *, claimed_by: str) -> list[UUID]:
    """Claim a task for each disagreement that waits for somebody to decide it.

    Returns their keys.
    """
    with ledger.transaction() as transaction:
        rows = transaction.rows(
            "SELECT key FROM claim_adjudications(:project_id, :by, :limit) key",
            project_id=project.project_id, by=claimed_by, limit=limit,
        )  # fmt: skip
    return [row.key for row in rows]


def content(ledger: Ledger, keys: Sequence[UUID]) -> list[Claim]:
    """Take the sample of each claimed task as it is now for what is sent.

    Returns them in the order of `keys`.
    """
    with ledger.transaction() as transaction:
        transaction.run("SELECT snapshot_tasks(:keys)", keys=list(keys))
        rows = transaction.rows(
            f"""SELECT {CLAIM}
                 FROM unnest(CAST(:keys AS uuid[])) WITH ORDINALITY k(task_key, place)
                 JOIN tasks t USING (task_key) JOIN samples s USING (sample_id)
                 LEFT JOIN predictions p ON p.prediction_id = t.prediction_id
                WHERE t.state = 'claimed' ORDER BY k.place""",
            keys=list(keys),
        )
    return [claim_of(row) for row in rows]


def leave_out(ledger: Ledger, found: Mapping[UUID, problems.Problem]) -> None:
    """Leave out these claimed tasks, which are not sent.

    Their samples are free, and set aside with the reason.
    """
    if not found:
        return
    with ledger.transaction() as transaction:
        transaction.run("SELECT leave_out(CAST(:keys AS uuid[]))", keys=list(found))
        problems.set_aside(transaction, list(found.values()))


def let_go(ledger: Ledger, keys: Collection[UUID]) -> None:
    """Let go of these claimed tasks: they are not sent, and their samples are free."""
    if keys:
        with ledger.transaction() as transaction:
            transaction.run("SELECT leave_out(CAST(:keys AS uuid[]))", keys=list(keys))


_TRIED_AGAIN = """DELETE FROM problems p USING samples s
     WHERE s.sample_id = p.sample_id AND p.step = 'push' AND p.subject = 'sample' AND p.task_type = :task_type
       AND (p.digest <> :digest OR p.sync_version <> s.sync_version OR s.deleted_at IS NOT NULL)"""


def try_again(ledger: Ledger, project: Project, digest: str) -> None:
    """Allow samples that were set aside to be sent again where something changed.

    What changed is the samples, or what tasks are made of (`digest`).
    """
    with ledger.transaction() as transaction:
        transaction.run(_TRIED_AGAIN, task_type=project.task_type, digest=digest)


def about_to_send(turn: Turn, shown: Mapping[UUID, str | None]) -> set[UUID]:
    """Record that it is uncertain from now on whether Label Studio has these tasks.

    It ends when their ids are written down. `shown` is the model version of each one's pre-annotation,
    None where it has none. Returns which of them to send: one that a pull found in Label Studio
    meanwhile is not. Raises Unreachable when the turn is over.
    """
    with turn.transaction() as transaction:
        rows = transaction.rows(
            "SELECT * FROM mark_sent(CAST(:keys AS uuid[]), CAST(:versions AS text[])) AS task_key",
            keys=list(shown),
            versions=list(shown.values()),
        )
    return {row.task_key for row in rows}


def claim_of(row: Row[Any]) -> Claim:
    """The record of a row that has the columns of CLAIM."""
    sample = Sample(**{name: row._mapping[name] for name in _SAMPLE.split(", ")})
    shown = (
        None if row.value is None else Prediction(row.value, row.model_version, row.score, row.uncertainty)
    )
    return Claim(row.task_key, sample, shown, tuple(row.candidates or ()))


def opened(ledger: Ledger, project: Project, ids: Mapping[UUID, int]) -> None:
    """Record that Label Studio has these tasks, under these ids."""
    with ledger.transaction() as transaction:
        transaction.run(
            "SELECT open_tasks(CAST(:project_id AS integer), CAST(:keys AS uuid[]), CAST(:ids AS bigint[]))",
            project_id=project.project_id, keys=list(ids), ids=list(ids.values()),
        )  # fmt: skip


def park(ledger: Ledger, project: Project, skips: int) -> int:
    """Park the tasks that so many annotators skipped; return how many.

    They are not sent again until their content changes.
    """
    with ledger.transaction() as transaction:
        return int(transaction.value("SELECT park_skipped(:id, :skips)", id=project.project_id, skips=skips))


def gone(ledger: Ledger, keys: Sequence[UUID]) -> int:
    """Record that these tasks were deleted in Label Studio.

    Samples at work may be sent again. Returns how many tasks were at work.
    """
    with ledger.transaction() as transaction:
        return int(transaction.value("SELECT tasks_gone(:keys)", keys=list(keys)))


def gone_from(ledger: Ledger, project: Project, known: Mapping[int, UUID]) -> int:
    """Record that these tasks of a project are gone; return how many were at work.

    They are given as id there and key, and only those still known under that id are meant.
    """
    with ledger.transaction() as transaction:
        return int(
            transaction.value(
                """SELECT tasks_gone(array_agg(t.task_key))
                     FROM tasks t
                     JOIN unnest(CAST(:ids AS bigint[]), CAST(:keys AS uuid[])) told(ls_task_id, task_key)
                          USING (ls_task_id, task_key)
                    WHERE t.project_id = :project_id AND t.gone_at IS NULL""",
                ids=list(known),
                keys=list(known.values()),
                project_id=project.project_id,
            )
        )


@dataclass(frozen=True)
class Doubtful:
    """A task that Label Studio may lack, or have more than once."""

    task_key: UUID
    claimed: bool  # its id was never written down
    ended: bool  # it was taken out of Label Studio, and may be there again
    sent: bool
    age: float | None  # seconds since it was last sent
    ls_task_id: int | None


def doubtful(ledger: Ledger, project: Project) -> list[Doubtful]:
    """Tasks of which it is not certain that Label Studio has them, and exactly once.

    They are those whose push was cut off, and, within the last day, those that more than one request
    carried and those that were ended before anybody knew whether Label Studio has them.
    """
    with ledger.transaction() as transaction:
        rows = transaction.rows(
            """SELECT task_key, state = 'claimed' AS claimed, state = 'cancelled' AS ended,
               sent_at IS NOT NULL AS sent,
                      ls_task_id,
                      CAST(extract(epoch FROM clock_timestamp() - sent_at) AS double precision) AS age
                 FROM tasks WHERE project_id = :project_id
                  AND (state = 'claimed' OR sent_at > now() - interval '1 day'
                       AND (sent_again OR state = 'cancelled' AND gone_at IS NULL AND ls_task_id IS NULL))
                ORDER BY claimed_at, task_key""",
            project_id=project.project_id,
        )
    return [Doubtful(**row._mapping) for row in rows]


def keep(ledger: Ledger, project: Project, key: UUID, ls_task_id: int) -> None:
    """Keep this one of the tasks that Label Studio has under this key."""
    with ledger.transaction() as transaction:
        transaction.run(
            "SELECT keep_task(:project_id, :key, :id)", project_id=project.project_id, key=key, id=ls_task_id
        )


def hear_ended(transaction: Transaction, project: Project) -> list[UUID]:
    """Set ended tasks to work again that were answered all the same.

    It does so where nothing stands in the way. They are to be settled.
    """
    rows = transaction.rows("SELECT key FROM hear_ended_tasks(:id) key", id=project.project_id)
    return [row.key for row in rows]


def needless(ledger: Ledger, project: Project) -> dict[int, UUID]:
    """Unanswered tasks in Label Studio in whose place others are or were at work.

    They are given by their ids there, with their keys. Those that were put away already are left out.
    """
    with ledger.transaction() as transaction:
        rows = transaction.rows(
            f"SELECT n.ls_task_id, n.task_key FROM needless_tasks(:id) n WHERE NOT EXISTS ({_HIDDEN})",
            id=project.project_id,
        )
    return {row.ls_task_id: row.task_key for row in rows}


_HIDDEN = """SELECT FROM put_away p
              WHERE p.project_id = :id AND p.ls_task_id = n.ls_task_id AND p.task_key = n.task_key"""


def put_away(ledger: Ledger, project: Project, tasks: Mapping[int, UUID]) -> None:
    """Record that these tasks are out of people's way in Label Studio, or about to be.

    They are given by id there and key.
    """
    with ledger.transaction() as transaction:
        transaction.run(
            """INSERT INTO put_away (project_id, ls_task_id, task_key)
               SELECT :id, n.* FROM unnest(CAST(:ids AS bigint[]), CAST(:keys AS uuid[])) n
               ON CONFLICT (project_id, ls_task_id) DO UPDATE SET task_key = excluded.task_key""",
            id=project.project_id, ids=list(tasks), keys=list(tasks.values()),
        )  # fmt: skip


@dataclass(frozen=True)
class Hidden:
    """A task in Label Studio that people are not given.

    `is_needed`: they are to be given it again, until it has `overlap` annotations.
    """

    ls_task_id: int
    task_key: UUID
    is_needed: bool
    overlap: int


def hidden(ledger: Ledger, project: Project) -> list[Hidden]:
    """Tasks that were put away."""
    with ledger.transaction() as transaction:
        rows = transaction.rows(
            """SELECT p.ls_task_id, p.task_key, coalesce(t.ls_overlap, t.overlap) AS overlap,
                      t.ls_task_id = p.ls_task_id AND t.gone_at IS NULL
                      AND t.task_key NOT IN (SELECT n.task_key FROM needless_tasks(:id) n) AS is_needed
                 FROM put_away p JOIN tasks t USING (task_key) WHERE p.project_id = :id
                 ORDER BY p.ls_task_id""",
            id=project.project_id,
        )
    return [Hidden(**row._mapping) for row in rows]


def not_hidden(ledger: Ledger, project: Project, ls_task_id: int) -> None:
    """Record that people are given this task again, or that it is gone."""
    with ledger.transaction() as transaction:
        transaction.run(
            "DELETE FROM put_away WHERE project_id = :id AND ls_task_id = :task",
            id=project.project_id,
            task=ls_task_id,
        )


_KNOWN = "FROM tasks WHERE project_id = :id AND ls_task_id IS NOT NULL AND gone_at IS NULL"


def known(ledger: Ledger, project: Project) -> dict[int, UUID]:
    """Every task that Label Studio should have: its id there, and its key."""
    with ledger.transaction() as transaction:
        rows = transaction.rows(f"SELECT ls_task_id, task_key {_KNOWN}", id=project.project_id)
    return {row.ls_task_id: row.task_key for row in rows}


def known_of(ledger: Ledger, project: Project, ids: Collection[int]) -> dict[int, UUID]:
    """Those of these tasks that Label Studio should have: id there, and key."""
    with ledger.transaction() as transaction:
        rows = transaction.rows(
            f"SELECT ls_task_id, task_key {_KNOWN} AND ls_task_id = ANY (CAST(:ids AS bigint[]))",
            id=project.project_id, ids=list(ids),
        )  # fmt: skip
    return {row.ls_task_id: row.task_key for row in rows}


def sent_keys(ledger: Ledger, project: Project) -> list[str]:
    """The keys of all tasks that Label Studio may have in this project.

    The newest come first.
    """
    with ledger.transaction() as transaction:
        rows = transaction.rows(
            """SELECT CAST(task_key AS text) AS task_key FROM tasks
                WHERE project_id = :id AND sent_at IS NOT NULL AND gone_at IS NULL ORDER BY sent_at DESC""",
            id=project.project_id,
        )
    return [row.task_key for row in rows]


def moved(ledger: Ledger, project: Project, now: Mapping[str, int]) -> None:
    """Record that the tasks of a project are in another one now: key → id there.

    Those that are not among them keep no id of a task.
    """
    with ledger.transaction() as transaction:
        transaction.run(
            "SELECT move_tasks(CAST(:id AS integer), CAST(:keys AS uuid[]), CAST(:ids AS bigint[]))",
            id=project.project_id, keys=list(now), ids=list(now.values()),
        )  # fmt: skip


@dataclass(frozen=True)
class Recorded:
    """A task as the ledger has it under a number of Label Studio's."""

    ls_task_id: int
    task_key: UUID
    sample_id: UUID
    media_path: str | None


def under_other_keys(ledger: Ledger, project: Project, told: Mapping[int, UUID | None]) -> list[Recorded]:
    """Tasks that Label Studio has under these numbers with a key unlike the ledger's.

    The key there is another one that nobody has, or there is none.
    """
    with ledger.transaction() as transaction:
        rows = transaction.rows(
            """SELECT t.ls_task_id, t.task_key, t.sample_id, t.base ->> 'media_path' AS media_path
                 FROM unnest(CAST(:ids AS bigint[]), CAST(:keys AS uuid[])) told(ls_task_id, task_key)
                 JOIN tasks t ON t.project_id = :id AND t.ls_task_id = told.ls_task_id AND t.gone_at IS NULL
                WHERE t.task_key IS DISTINCT FROM told.task_key
                  AND NOT EXISTS (SELECT FROM tasks o WHERE o.task_key = told.task_key)""",
            id=project.project_id, ids=list(told), keys=list(told.values()),
        )  # fmt: skip
    return [Recorded(**row._mapping) for row in rows]


def seen_between(ledger: Ledger, project: Project, since: datetime, until: datetime) -> dict[int, datetime]:
    """Tasks that the ledger saw last updated from `since` to `until`.

    It saw that when it last read them. They are given as id in Label Studio and that moment of its
    clock.
    """
    with ledger.transaction() as transaction:
        rows = transaction.rows(
            f"""SELECT ls_task_id, ls_updated_at {_KNOWN} AND ls_updated_at BETWEEN :since AND :until""",
            id=project.project_id, since=since, until=until,
        )  # fmt: skip
    return {row.ls_task_id: row.ls_updated_at for row in rows}


def seen_above(ledger: Ledger, project: Project, ls_task_id: int, limit: int) -> dict[int, datetime | None]:
    """The next `limit` tasks, by number, that Label Studio should have.

    Each has the moment when it was last updated as the ledger has read it; None for those that it never
    read.
    """
    with ledger.transaction() as transaction:
        rows = transaction.rows(
            f"SELECT ls_task_id, ls_updated_at {_KNOWN} AND ls_task_id > :above"
            " ORDER BY ls_task_id LIMIT :limit",
            id=project.project_id, above=ls_task_id, limit=limit,
        )  # fmt: skip
    return {row.ls_task_id: row.ls_updated_at for row in rows}


def seen_of(ledger: Ledger, project: Project, ids: Collection[int]) -> dict[int, datetime | None]:
    """The last updates of those of these tasks that the ledger knows.

    They are as the ledger has read them.
    """
    with ledger.transaction() as transaction:
        rows = transaction.rows(
            f"SELECT ls_task_id, ls_updated_at {_KNOWN} AND ls_task_id = ANY (CAST(:ids AS bigint[]))",
            id=project.project_id, ids=list(ids),
        )  # fmt: skip
    return {row.ls_task_id: row.ls_updated_at for row in rows}


@dataclass(frozen=True)
class Offer:
    """A task for which Label Studio is to ask so many annotators.

    `is_raised`: more than before.
    """

    task_key: UUID
    ls_task_id: int
    wanted: int
    is_raised: bool


def to_offer(ledger: Ledger, project: Project) -> list[Offer]:
    """Tasks for which Label Studio does not know how many people it is to ask.

    They are those of which somebody said nothing, or did before.
    """
    with ledger.transaction() as transaction:
        rows = transaction.rows(
            """SELECT o.task_key, o.ls_task_id, o.wanted, o.wanted > coalesce(t.ls_overlap,
               t.overlap) AS is_raised
                 FROM tasks_to_offer(:project_id) o JOIN tasks t USING (task_key)""",
            project_id=project.project_id,
        )
    return [Offer(**row._mapping) for row in rows]


def offered(ledger: Ledger, offer: Offer) -> None:
    """Record that Label Studio was told of this offer."""
    with ledger.transaction() as transaction:
        transaction.run("SELECT task_offered(:key, :wanted)", key=offer.task_key, wanted=offer.wanted)


def durations(ledger: Ledger, keys: Collection[UUID]) -> dict[UUID, float]:
    """The lengths in seconds of the recordings of these tasks, where known."""
    with ledger.transaction() as transaction:
        rows = transaction.rows(
            """SELECT task_key, duration FROM tasks JOIN samples USING (sample_id)
                WHERE task_key = ANY (CAST(:keys AS uuid[])) AND duration IS NOT NULL""",
            keys=list(keys),
        )
    return {row.task_key: row.duration for row in rows}


def set_aside(ledger: Ledger, project: Project, limit: int, *, except_for: Collection[int]) -> list[int]:
    """Tasks that pulls of a project set aside, by their numbers in Label Studio.

    Those come first that were tried least lately.
    """
    with ledger.transaction() as transaction:
        rows = transaction.rows(
            """SELECT ls_task_id FROM problems
                WHERE step = 'pull' AND subject = 'task' AND task_type = :task_type
                AND ls_project_id = :ls_project_id
                  AND ls_task_id IS NOT NULL AND NOT ls_task_id = ANY (CAST(:ids AS bigint[]))
                ORDER BY last_seen, problem_id LIMIT :limit""",
            task_type=project.task_type, ls_project_id=project.ls_project_id,
            ids=list(except_for), limit=limit,
        )  # fmt: skip
    return [row.ls_task_id for row in rows]


def count_expected(ledger: Ledger, project: Project) -> int:
    """The number of tasks that Label Studio should have, foreign ones included.

    Foreign ones are those that are not ours.
    """
    with ledger.transaction() as transaction:
        return int(
            transaction.value(
                f"SELECT (SELECT count(*) {_KNOWN}) + foreign_tasks FROM projects WHERE project_id = :id",
                id=project.project_id,
            )
        )


def swept(ledger: Ledger, project: Project, foreign: int) -> None:
    """Record that all ids in Label Studio were compared.

    `foreign` of them are not ours.
    """
    with ledger.transaction() as transaction:
        transaction.run(
            "UPDATE projects SET foreign_tasks = :foreign WHERE project_id = :id",
            foreign=foreign,
            id=project.project_id,
        )


def shown_model_version(ledger: Ledger, project: Project) -> str | None:
    """The model version of most open tasks' pre-annotations.

    Label Studio shows annotators those of one version.
    """
    with ledger.transaction() as transaction:
        found: str | None = transaction.value(
            """SELECT model_version FROM tasks
                WHERE project_id = :id AND state IN ('open', 'annotated') AND model_version IS NOT NULL
                GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 1""",
            id=project.project_id,
        )
    return found
