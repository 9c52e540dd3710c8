"""Label Studios as the ledger knows them.

Each is known by what it says it is, never by the URL under which it is reached.
"""

from dataclasses import dataclass

from lsloop.ledger import Ledger


@dataclass(frozen=True)
class Server:
    """A Label Studio.

    `name` is the ledger's; `identity` what it says it is, None where that is not known.
    """

    name: str
    identity: str | None = None


def known(ledger: Ledger) -> list[Server]:
    """Every Label Studio that the ledger has met."""
    with ledger.transaction() as transaction:
        rows = transaction.rows(
            """SELECT server AS name, max(identity) AS identity
                 FROM (SELECT server, identity FROM servers UNION ALL SELECT server, NULL FROM projects) s
                GROUP BY 1 ORDER BY 1"""
        )
    return [Server(**row._mapping) for row in rows]


def remember(ledger: Ledger, server: Server, spelling: str) -> None:
    """Record that this Label Studio was met under this setting.

    An identity that is known stays when none is told.
    """
    with ledger.transaction() as transaction:
        transaction.run(
            """INSERT INTO servers AS s (server, identity) VALUES (:name, :identity)
               ON CONFLICT (server) DO UPDATE SET identity = excluded.identity
                WHERE excluded.identity IS NOT NULL AND s.identity IS DISTINCT FROM excluded.identity""",
            name=server.name, identity=server.identity,
        )  # fmt: skip
        transaction.run(
            """INSERT INTO server_spellings AS s (spelling, server) VALUES (:spelling, :name)
               ON CONFLICT (spelling) DO UPDATE SET server = excluded.server
               WHERE s.server <> excluded.server""",
            spelling=spelling, name=server.name,
        )  # fmt: skip


def spelled(ledger: Ledger, spelling: str) -> str:
    """The name of the Label Studio last met under this setting.

    It is for those who do not ask Label Studio. Under a setting that was never met: the one of that
    name, else the only one there is.
    """
    with ledger.transaction() as transaction:
        found = transaction.value(
            """SELECT coalesce((SELECT server FROM server_spellings WHERE spelling = :spelling),
                               (SELECT server FROM projects WHERE server = :spelling LIMIT 1),
                               (SELECT min(server) FROM projects HAVING count(DISTINCT server) = 1))""",
            spelling=spelling,
        )
    return spelling if found is None else str(found)


def at_work(ledger: Ledger, server: str) -> int:
    """The number of tasks that this Label Studio may have of those sent to it.

    They count whether answered or not.
    """
    with ledger.transaction() as transaction:
        return int(
            transaction.value(
                """SELECT count(*) FROM tasks JOIN projects USING (project_id)
                    WHERE server = :server AND sent_at IS NOT NULL AND gone_at IS NULL""",
                server=server,
            )
        )


def elsewhere(ledger: Ledger, server: str, task_type: str | None = None) -> dict[str, int]:
    """The number of tasks at work that were sent to other Label Studios than this one.

    The numbers are by the name of each Label Studio.
    """
    with ledger.transaction() as transaction:
        rows = transaction.rows(
            """SELECT server, count(*) AS n FROM tasks t JOIN projects USING (project_id)
                WHERE server <> :server AND sent_at IS NOT NULL AND gone_at IS NULL
                  AND t.is_live
                  AND (CAST(:task_type AS text) IS NULL OR t.task_type = :task_type)
                GROUP BY 1 ORDER BY 1""",
            server=server, task_type=task_type,
        )  # fmt: skip
    return {row.server: row.n for row in rows}
