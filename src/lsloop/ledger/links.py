"""Links to media that tasks carry.

The ledger knows what they were made of, and which tasks still have to get new ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from lsloop.ledger import Ledger
from lsloop.records import Project


@dataclass(frozen=True)
class Linked:
    """A task that people may still open.

    `path` is where its recording is; None: it is another recording now.
    """

    task_key: UUID
    ls_task_id: int
    path: str | None


@dataclass(frozen=True)
class Stale:
    """The tasks that are to be looked at.

    They are those whose id is above `seen_to` (None: no more than those of `listed`).
    """

    seen_to: int | None
    listed: list[Linked]


_LINKED = """SELECT t.task_key, t.ls_task_id,
   CASE WHEN s.media_md5 = t.base ->> 'media_md5' THEN s.media_path END AS path
               FROM tasks t JOIN samples s USING (sample_id)
              WHERE t.project_id = :project AND t.gone_at IS NULL
                AND t.state IN ('open', 'annotated', 'conflicted')
                AND s.media_path IS NOT NULL"""

_STALE = "project_id = :project AND (made_of <> :made_of OR expires < :until)"


def remember(ledger: Ledger, project: Project, made_of: str, expires: int) -> None:
    """Record that tasks of the project may carry such links from now on."""
    with ledger.transaction() as transaction:
        transaction.run(
            "INSERT INTO media_links (project_id, made_of, expires) VALUES (:project, :made_of, :expires)"
            " ON CONFLICT DO NOTHING",
            project=project.project_id, made_of=made_of, expires=expires,
        )  # fmt: skip


def stale(ledger: Ledger, project: Project, made_of: str, until: int) -> Stale | None:
    """Find links that were not made of this, or expire before `until`.

    None: nothing is stale. It costs no scan.
    """
    with ledger.transaction() as transaction:
        seen_to = transaction.value(
            f"SELECT min(seen_to) FROM media_links WHERE {_STALE}",
            project=project.project_id, made_of=made_of, until=until,
        )  # fmt: skip
        rows = transaction.rows(
            f"{_LINKED} AND t.task_key IN (SELECT task_key FROM links_to_renew)"
            " ORDER BY t.ls_task_id LIMIT 500",
            project=project.project_id,
        )
    listed = [Linked(**row._mapping) for row in rows]
    return Stale(seen_to, listed) if listed or seen_to is not None else None


def after(ledger: Ledger, project: Project, seen_to: int, count: int) -> list[Linked]:
    """The next tasks with media that people may still open.

    They come by their ids in Label Studio.
    """
    with ledger.transaction() as transaction:
        rows = transaction.rows(
            f"{_LINKED} AND t.ls_task_id > :seen_to ORDER BY t.ls_task_id LIMIT :count",
            project=project.project_id, seen_to=seen_to, count=count,
        )  # fmt: skip
    return [Linked(**row._mapping) for row in rows]


def seen(ledger: Ledger, project: Project, made_of: str, until: int, seen_to: int) -> None:
    """Record that tasks up to this id carry none of the stale links any more."""
    with ledger.transaction() as transaction:
        transaction.run(
            f"UPDATE media_links SET seen_to = :seen_to WHERE {_STALE}",
            project=project.project_id, made_of=made_of, until=until, seen_to=seen_to,
        )  # fmt: skip


def forget(ledger: Ledger, project: Project, made_of: str, until: int) -> None:
    """Record that no task carries the stale links any more.

    While a task may be on its way with one, they are looked for again.
    """
    values = {"project": project.project_id, "made_of": made_of, "until": until}
    with ledger.transaction() as transaction:
        transaction.run(f"UPDATE media_links SET seen_to = 0 WHERE {_STALE}", **values)
        transaction.run(
            f"""DELETE FROM media_links WHERE {_STALE} AND NOT EXISTS (
                   SELECT FROM tasks WHERE project_id = :project AND state = 'claimed'
                     AND sent_at IS NOT NULL)""",
            **values,
        )


def settle(ledger: Ledger, renewed: Sequence[UUID], refused: Sequence[UUID]) -> None:
    """Record tasks that have good links now, and those that are to be tried again."""
    with ledger.transaction() as transaction:
        transaction.run(
            "DELETE FROM links_to_renew WHERE task_key = ANY (CAST(:keys AS uuid[]))", keys=list(renewed)
        )
        transaction.run(
            "INSERT INTO links_to_renew SELECT unnest(CAST(:keys AS uuid[])) ON CONFLICT DO NOTHING",
            keys=list(refused),
        )


def open_task(ledger: Ledger, project: Project) -> Linked | None:
    """The task with media that people are most likely to open next."""
    with ledger.transaction() as transaction:
        row = transaction.row(
            f"{_LINKED} AND t.state = 'open' ORDER BY t.ls_task_id LIMIT 1", project=project.project_id
        )
    return Linked(**row._mapping) if row else None
