"""Claims: which samples a push takes next, in which order, and where it goes on."""

import psycopg
import pytest

from lsloop.ledger import Ledger, projects, tasks
from lsloop.ledger.tasks import Plan

PLAN = Plan("translation_review", reads=("transcript",), writes=("translation",))


@pytest.fixture
def names(ledger: Ledger) -> dict[str, str]:
    """Six samples, the oldest first: external id by sample id."""
    with ledger.transaction() as transaction:
        rows = transaction.rows(
            """INSERT INTO samples (external_id, fields) SELECT name, '{"transcript": "x"}'
                 FROM unnest(ARRAY['a', 'b', 'c', 'd', 'e', 'f']) WITH ORDINALITY n(name,
                             place) ORDER BY place
               RETURNING sample_id, external_id"""
        )
    return {str(row.sample_id): row.external_id for row in rows}


def test_a_push_goes_on_where_its_last_claim_stood_and_another_one_finds_what_was_let_go(
    ledger: Ledger, database_url: str, names: dict[str, str]
) -> None:
    project = projects.reserve(ledger, PLAN.task_type, "nowhere")

    def claim(limit: int, after: int = 0) -> tuple[list[str], int]:
        claimed = tasks.claim(ledger, project, PLAN, limit, claimed_by="test", after=after)
        with ledger.transaction() as transaction:
            rows = transaction.rows(
                """SELECT sample_id FROM unnest(CAST(:k AS uuid[])) WITH ORDINALITY k(task_key, n)
                     JOIN tasks USING (task_key) ORDER BY n""",
                k=claimed.keys,
            )
        return [names[str(row.sample_id)] for row in rows], claimed.reached

    first, reached = claim(2)
    assert first == ["a", "b"]
    with psycopg.connect(database_url, autocommit=True) as other:
        other.execute(
            """SELECT leave_out(ARRAY(SELECT task_key FROM tasks JOIN samples USING (sample_id)
               WHERE external_id = 'a'))"""
        )
        assert claim(1, reached)[0] == ["c"]
        with other.transaction():
            other.execute("SELECT FROM samples WHERE external_id = 'd' FOR UPDATE")
            assert claim(1)[0] == ["a"]
            assert claim(9)[0] == ["e", "f"], "who is at a sample is not waited for"
    assert claim(9)[0] == ["d"]
    assert claim(9) == ([], 0)
