"""Predictions: the samples that wait for one, and what models said.

Samples are claimed for as long as a worker is at them.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import orjson

from lsloop.ledger import Ledger, problems
from lsloop.ledger.problems import Problem
from lsloop.records import Prediction, Sample

_SAMPLE = (
    "sample_id, external_id, fields, media_path, media_md5, "
    "duration, width, height, frame_rate, frames, pages, sync_version"
)
_NOBODY = UUID(int=0)


@dataclass(frozen=True)
class Backlog:
    """Samples that wait for a prediction of this model version.

    Predictions made before `since` do not count.
    """

    task_type: str
    reads: Sequence[str]
    model_version: str
    since: datetime | None = None


def now(ledger: Ledger) -> datetime:
    """The ledger's clock."""
    with ledger.transaction() as transaction:
        moment: datetime = transaction.value("SELECT clock_timestamp()")
    return moment


def count(ledger: Ledger, backlog: Backlog) -> int:
    """The number of samples that wait, including those that another worker is at."""
    with ledger.transaction() as transaction:
        return int(
            transaction.value(
                "SELECT count_waiting_for_prediction(:task_type, :reads, :version, "
                "CAST(:since AS timestamptz))",
                task_type=backlog.task_type, reads=list(backlog.reads), version=backlog.model_version,
                since=backlog.since,
            )
        )  # fmt: skip


def samples(ledger: Ledger, ids: Sequence[UUID]) -> dict[UUID, Sample]:
    """The samples of these ids, by id.

    Those that do not exist or were deleted are left out.
    """
    with ledger.transaction() as transaction:
        rows = transaction.rows(
            f"SELECT {_SAMPLE} FROM samples WHERE sample_id = ANY (:ids) AND deleted_at IS NULL",
            ids=list(ids),
        )
    return {row.sample_id: Sample(**row._mapping) for row in rows}


# The sources are few: with each of them the index of (source, external_id) is asked.
NAMED_SQL = f"""
    WITH RECURSIVE every AS (
        SELECT min(source) AS source FROM samples UNION ALL
        SELECT (SELECT min(s.source) FROM samples s WHERE s.source > e.source)
          FROM every e WHERE e.source IS NOT NULL)
    SELECT n.name, n.source AS wanted, {", ".join(f"s.{one}" for one in _SAMPLE.split(", "))}
      FROM unnest(CAST(:names AS text[]), CAST(:sources AS text[])) n(name, source)
      JOIN every e ON e.source = coalesce(n.source, e.source)
      JOIN samples s ON s.source = e.source AND s.external_id = n.name
     WHERE s.deleted_at IS NULL"""
"""The samples of external ids, each with a source or NULL for any."""


def named(
    ledger: Ledger, names: Sequence[tuple[str, str | None]]
) -> dict[tuple[str, str | None], list[Sample]]:
    """The samples of these names.

    A name is a `sample_id`, or an external id with its source, or with None for any source.
    """
    with ledger.transaction() as transaction:
        rows = transaction.rows(
            NAMED_SQL,
            names=[name for name, _ in names], sources=[source for _, source in names],
        )  # fmt: skip
    found: dict[tuple[str, str | None], list[Sample]] = {}
    for row in rows:
        sample = Sample(**{name: row._mapping[name] for name in _SAMPLE.split(", ")})
        found.setdefault((row.name, row.wanted), []).append(sample)
    by_id = samples(ledger, [made for name, _ in names if (made := _uuid(name))])
    for key in names:
        one = by_id.get(_uuid(key[0]) or _NOBODY)
        if one and one not in found.get(key, []):
            found.setdefault(key, []).append(one)
    return found


def _uuid(name: str) -> UUID | None:
    try:
        return UUID(name)
    except ValueError:
        return None


def bring_in(ledger: Ledger, task_type: str, said: Sequence[tuple[Sample, Prediction]]) -> tuple[int, int]:
    """Write down what models elsewhere said, of samples as they are now.

    Returns how many are new, and how many differ from before. What is there already and the same stays
    as it is.
    """
    with ledger.transaction() as transaction:
        rows = transaction.rows(
            """INSERT INTO predictions AS p (sample_id, task_type, model_version, value, score,
               uncertainty, sync_version,
                                             created_at)
               SELECT DISTINCT ON (n.sample_id, n.version) n.sample_id, :task_type, n.version, n.value,
                      n.score,
                      n.uncertainty, n.sync_version, clock_timestamp()
                 FROM unnest(CAST(:ids AS uuid[]), CAST(:versions AS text[]), CAST(:values AS jsonb[]),
                             CAST(:scores AS double precision[]), CAST(:uncertainties AS double precision[]),
                             CAST(:sync_versions AS integer[])) WITH ORDINALITY
                      n(sample_id, version, value, score, uncertainty, sync_version, place)
                ORDER BY n.sample_id, n.version, n.place DESC
               ON CONFLICT (sample_id, task_type, model_version, sync_version) DO UPDATE
                  SET value = excluded.value, score = excluded.score, uncertainty = excluded.uncertainty,
                      created_at = excluded.created_at
                WHERE (p.value, p.score, p.uncertainty) IS DISTINCT FROM
                      (excluded.value, excluded.score, excluded.uncertainty)
               RETURNING xmax = 0 AS is_new""",
            task_type=task_type, ids=[s.sample_id for s, _ in said],
            versions=[p.model_version for _, p in said],
            values=[orjson.dumps(p.value).decode() for _, p in said], scores=[p.score for _, p in said],
            uncertainties=[p.uncertainty for _, p in said], sync_versions=[s.sync_version for s, _ in said],
        )  # fmt: skip
    new = sum(row.is_new for row in rows)
    return new, len(rows) - new


class Worker:
    """A worker that goes through a backlog once, oldest first.

    What it claimed is free again the moment it is gone.
    """

    def __init__(self, ledger: Ledger, backlog: Backlog, key: int) -> None:
        self._ledger, self._backlog, self._key = ledger, backlog, key
        self._after, self._after_id = 0, _NOBODY

    def claim(self, limit: int) -> list[Sample]:
        """The next samples that nobody else is at; none at the end."""
        with self._ledger.transaction() as transaction:
            rows = transaction.rows(
                f"""SELECT {_SAMPLE}, arrival
                     FROM claim_predictions(:task_type, :reads, :version, CAST(:since AS timestamptz), :key,
                                        :after,
                                            :after_id, :limit)""",
                task_type=self._backlog.task_type, reads=list(self._backlog.reads), since=self._backlog.since,
                version=self._backlog.model_version, key=self._key, after=self._after,
                after_id=self._after_id, limit=limit,
            )  # fmt: skip
        if rows:
            self._after, self._after_id = rows[-1].arrival, rows[-1].sample_id
        names = _SAMPLE.split(", ")
        return [Sample(**{name: row._mapping[name] for name in names}) for row in rows]

    def record(self, samples: Sequence[Sample], predictions: Sequence[Prediction | None]) -> None:
        """Write down what was predicted for claimed samples, and end the claims.

        A prediction is None where nothing could be predicted.
        """
        made = [(s, p) for s, p in zip(samples, predictions, strict=True) if p is not None]
        with self._ledger.transaction() as transaction:
            transaction.run(
                """SELECT record_predictions(:task_type, :version, :key, CAST(:done AS uuid[]),
                   CAST(:ids AS uuid[]),
                          CAST(:sync_versions AS integer[]), CAST(:values AS jsonb[]),
                          CAST(:scores AS double precision[]), CAST(:uncertainties AS double precision[]))""",
                task_type=self._backlog.task_type, version=self._backlog.model_version, key=self._key,
                done=[s.sample_id for s in samples], ids=[s.sample_id for s, _ in made],
                sync_versions=[s.sync_version for s, _ in made],
                values=[orjson.dumps(p.value).decode() for _, p in made],
                scores=[p.score for _, p in made], uncertainties=[p.uncertainty for _, p in made],
            )  # fmt: skip

    def set_aside(self, taken: Sequence[Sample], failed: Sequence[tuple[Sample, str]]) -> None:
        """Write down why nothing could be predicted for some samples.

        What is written of `taken` ones is removed. The samples are tried again in each run, as all that
        wait for a prediction.
        """
        name, version = self._backlog.task_type, self._backlog.model_version
        fix = "Mend what it names; the next `lsloop predict` tries it again."
        found = [
            Problem("predict", "sample", str(s.sample_id), reason, fix, name, s.sample_id, digest=version)
            for s, reason in failed
        ]
        with self._ledger.transaction() as transaction:
            transaction.run(
                "DELETE FROM problems WHERE step = 'predict' AND task_type = :name AND digest <> :version",
                name=name, version=version,
            )  # fmt: skip
            problems.clear(transaction, "predict", "sample", [str(one.sample_id) for one in taken], name)
            problems.set_aside(transaction, found)


@contextmanager
def worker(ledger: Ledger, backlog: Backlog) -> Iterator[Worker]:
    """A worker that predicts for a backlog, for as long as the block runs."""
    with ledger.transaction() as transaction:
        row = transaction.row(
            """SELECT name, hashtextextended(name, 0) AS key
                 FROM (SELECT 'lsloop predict worker ' || nextval('prediction_workers') AS name) n"""
        )
    assert row is not None
    with ledger.in_turn(row.name):
        yield Worker(ledger, backlog, row.key)
