"""Label Studio projects as the ledger knows them.

It knows which one belongs to a task type, and how far it has been read.
"""

from dataclasses import dataclass
from datetime import datetime

from lsloop.ledger import Ledger
from lsloop.records import Project

_COLUMNS = """project_id, task_type, server, ls_project_id, marker, label_config, cursor, webhook_url,
   ls_created_at,
    written_label_config, written_overlap, written_model_version"""


def find(ledger: Ledger, task_type: str, server: str) -> Project | None:
    """The project of a task type on a Label Studio server.

    It exists once `setup` wrote it down.
    """
    with ledger.transaction() as transaction:
        row = transaction.row(
            f"SELECT {_COLUMNS} FROM projects WHERE task_type = :task_type AND server = :server",
            task_type=task_type, server=server,
        )  # fmt: skip
    return Project(**row._mapping) if row else None


def reserve(ledger: Ledger, task_type: str, server: str) -> Project:
    """The project's row, made when it is missing.

    The marker is written down before Label Studio is asked to make the project.
    """
    with ledger.transaction() as transaction:
        transaction.run(
            "INSERT INTO projects (task_type, server) VALUES (:task_type, :server) ON CONFLICT DO NOTHING",
            task_type=task_type, server=server,
        )  # fmt: skip
    found = find(ledger, task_type, server)
    assert found is not None
    return found


def about_to_ask(ledger: Ledger, project: Project) -> None:
    """Record that Label Studio may have the project from now on.

    Nobody knows its id there.
    """
    with ledger.transaction() as transaction:
        transaction.run(
            "UPDATE projects SET asked_at = clock_timestamp(), asks = asks + 1 WHERE project_id = :id",
            id=project.project_id,
        )


@dataclass(frozen=True)
class Asked:
    """Requests to make a project in the last day.

    It tells how many there were, and how many seconds ago the last one was.
    """

    times: int
    age: float


def asked(ledger: Ledger, project: Project) -> Asked:
    """The requests to make the project that may still be at work."""
    with ledger.transaction() as transaction:
        row = transaction.row(
            """SELECT asks, CAST(extract(epoch FROM clock_timestamp() - asked_at) AS double precision) AS age
                 FROM projects WHERE project_id = :id AND asked_at > now() - interval '1 day'""",
            id=project.project_id,
        )
    return Asked(row.asks, row.age) if row else Asked(0, 0.0)


def bind(
    ledger: Ledger,
    project: Project,
    ls_project_id: int,
    label_config: str,
    *,
    ls_created_at: str | None = None,
    written_label_config: str | None = None,
    written_overlap: int | None = None,
) -> Project:
    """Write down which Label Studio project it is.

    With it go when it was made, the label config seen there, and what lsloop last wrote.
    """
    with ledger.transaction() as transaction:
        row = transaction.row(
            f"""UPDATE projects SET ls_project_id = :ls_project_id, ls_created_at = :ls_created_at,
                       label_config = :label_config, written_label_config = :written_label_config,
                       written_overlap = :written_overlap,
                       written_model_version = CASE WHEN ls_project_id = :ls_project_id
                       THEN written_model_version END,
                       cursor = CASE WHEN ls_project_id = :ls_project_id THEN cursor END,
                       webhook_url = CASE WHEN ls_project_id = :ls_project_id THEN webhook_url END
                 WHERE project_id = :project_id RETURNING {_COLUMNS}""",
            ls_project_id=ls_project_id, ls_created_at=ls_created_at, label_config=label_config,
            written_label_config=written_label_config, written_overlap=written_overlap,
            project_id=project.project_id,
        )  # fmt: skip
    assert row is not None
    return Project(**row._mapping)


def shows(ledger: Ledger, project: Project, model_version: str) -> None:
    """Record which model version's pre-annotations Label Studio was told to show."""
    with ledger.transaction() as transaction:
        transaction.run(
            "UPDATE projects SET written_model_version = :version WHERE project_id = :id",
            version=model_version, id=project.project_id,
        )  # fmt: skip


@dataclass(frozen=True)
class Read:
    """The progress in reading a project.

    `cursor` is the latest change there was when the last pull began, by Label Studio's clock.
    `is_quiet`: that is so long ago that nothing before it can be on its way any more. Tasks up to the
    number `compared_to` were compared last.
    """

    cursor: datetime | None
    is_quiet: bool
    compared_to: int


def read(ledger: Ledger, project: Project, overlap_seconds: float) -> Read:
    """The progress in reading a project."""
    with ledger.transaction() as transaction:
        row = transaction.row(
            """SELECT cursor, coalesce(cursor_moved_at < now() - make_interval(secs => :overlap),
               false) AS is_quiet,
                      compared_to FROM projects WHERE project_id = :id""",
            id=project.project_id, overlap=overlap_seconds,
        )  # fmt: skip
    assert row is not None
    return Read(row.cursor, row.is_quiet, row.compared_to)


def advance(ledger: Ledger, project: Project, cursor: datetime | None, compared_to: int) -> None:
    """Record that everything that changed up to `cursor` is in the ledger.

    `cursor` is by Label Studio's clock; None: there is nothing yet. It may go back, because that clock
    may.
    """
    with ledger.transaction() as transaction:
        transaction.run(
            """UPDATE projects SET pulled_at = now(), compared_to = :compared_to,
               cursor = CAST(:cursor AS timestamptz),
                      cursor_moved_at = CASE WHEN cursor IS DISTINCT FROM CAST(:cursor AS timestamptz)
                      THEN now()
                                             ELSE cursor_moved_at END
                WHERE project_id = :project_id""",
            cursor=cursor, compared_to=compared_to, project_id=project.project_id,
        )  # fmt: skip


def tell_webhook(ledger: Ledger, project: Project, url: str | None) -> None:
    """Record the address to which Label Studio was asked to send the project's events.

    None: to none.
    """
    with ledger.transaction() as transaction:
        transaction.run(
            "UPDATE projects SET webhook_url = :url WHERE project_id = :id", url=url, id=project.project_id
        )


def markers(ledger: Ledger) -> set[str]:
    """The markers of all projects that the ledger knows, on any Label Studio."""
    with ledger.transaction() as transaction:
        return {str(row.marker) for row in transaction.rows("SELECT marker FROM projects")}


def of_server(ledger: Ledger, server: str) -> list[Project]:
    """Every project on a Label Studio server whose number there is known."""
    with ledger.transaction() as transaction:
        rows = transaction.rows(
            f"SELECT {_COLUMNS} FROM projects WHERE server = :server AND ls_project_id IS NOT NULL",
            server=server,
        )
    return [Project(**row._mapping) for row in rows]


def pushed(ledger: Ledger, server: str | None = None) -> list[str]:
    """The task types that have a project on a Label Studio server.

    None: on any server.
    """
    with ledger.transaction() as transaction:
        rows = transaction.rows(
            """SELECT DISTINCT task_type FROM projects
                WHERE (CAST(:server AS text) IS NULL OR server = :server)
                AND ls_project_id IS NOT NULL ORDER BY 1""",
            server=server,
        )
    return [row.task_type for row in rows]
