"""What is kept of who waits to be sent, against the definition: whatever happens, no sample is overlooked."""

import random
from collections.abc import Callable

import psycopg
import pytest

from lsloop.ledger import Ledger, tasks
from lsloop.ledger.tasks import Plan
from office import Office

NAMES = [f"clip-{number}" for number in range(6)]

UNTAKEN = """SELECT sample_id FROM samples s
    WHERE (SELECT true FROM taking(s, :task_type, :reads) LIMIT 1) IS NOT TRUE
      AND arrival <= (SELECT arrival FROM claim_fronts WHERE task_type = :task_type AND reads = :reads)"""
NOTED = "SELECT DISTINCT sample_id FROM waiting_samples WHERE task_type = :task_type"


def _ids(office: Office, statement: str, reads: list[str]) -> set[str]:
    given = {"task_type": office.task_type} | ({"reads": reads} if ":reads" in statement else {})
    return {str(row.sample_id) for row in office.rows(statement, **given)}


def _acts(office: Office, chance: random.Random) -> dict[str, Callable[[], object]]:
    """What may happen to a sample, by itself."""
    name = chance.choice(NAMES)
    of_task = "(SELECT task_key FROM tasks JOIN samples USING (sample_id) WHERE external_id = :name)"

    def run(statement: str) -> Callable[[], object]:
        return lambda: office.rows(statement, name=name)

    def answered(said: str | None) -> Callable[[], object]:
        return lambda: office.answer(name, said) if name in office.there else None

    return {
        "crawl": lambda: office.crawl(
            name, transcript=chance.choice("abc"), media=chance.choice("12"), other=chance.choice("xyz")
        ),
        "send": lambda: office.send(limit=chance.choice([1, 2, 9])),
        "answer": answered(chance.choice("pqr")),
        "take back": answered(None),
        "gone": run(f"SELECT tasks_gone(ARRAY{of_task})"),
        "let go": run(f"SELECT leave_out(ARRAY{of_task})"),
        "skip": run(f"UPDATE tasks SET skips = 5 WHERE state = 'open' AND task_key IN {of_task} RETURNING 1"),
        "park": lambda: tasks.park(office.ledger, office.project, 5),
        "by SQL": run(
            """UPDATE samples SET fields = fields || '{"transcript": "sql"}' WHERE external_id = :name
               RETURNING 1"""
        ),
        "lock": run(
            """SELECT l.* FROM samples s, lock_sample_for_annotation(s.sample_id, 'crawler') l
                WHERE external_id = :name"""
        ),
        "unlock": run("SELECT unlock_sample(sample_id) FROM samples WHERE external_id = :name"),
        "by rule": office.by_rule,
        "go round": run(
            """SELECT create_conflict_sample(sample_id, 'test') FROM samples
                WHERE external_id = :name AND deleted_at IS NULL"""
        ),
    }  # fmt: skip


@pytest.mark.parametrize("seed", range(5))
def test_whatever_happens_each_sample_that_no_task_takes_is_noted(ledger: Ledger, seed: int) -> None:
    chance = random.Random(seed)
    task_type = chance.choice(["transcript_correction", "translation_review"])
    office = Office(ledger, task_type)
    reads = list(office.kind.READS)
    for name in NAMES[:4]:
        office.crawl(name, transcript="a", translation="t")
    for _ in range(40):
        acts = _acts(office, chance)
        done = chance.choice(list(acts))
        acts[done]()
        assert _ids(office, UNTAKEN, reads) <= _ids(office, NOTED, reads), done
    plan = Plan(office.task_type, reads, office.kind.WRITES)
    wanted = [one.sample_id for one in tasks.eligible(ledger, plan, 99, "")]
    claimed = tasks.claim(ledger, office.project, plan, 99, claimed_by="last").keys
    by_key = {row.task_key: row.sample_id for row in office.rows("SELECT task_key, sample_id FROM tasks")}
    assert [by_key[key] for key in claimed] == wanted, "claimed is what the definition says, in its order"
    assert _ids(office, UNTAKEN, reads) == _ids(office, NOTED, reads), "and what is taken is noted no more"
    twice = "SELECT count(*) - count(DISTINCT sample_id) FROM waiting_samples WHERE task_type = :t"
    assert office.value(twice, t=task_type) == 0


def test_samples_that_are_added_by_a_transaction_that_ends_late_are_not_passed(
    ledger: Ledger, database_url: str
) -> None:
    office = Office(ledger)
    with psycopg.connect(database_url) as late:
        late.execute("SELECT upsert_sample('c', 'late', '{\"transcript\": \"a\"}', 'late.wav', 'm')")
        office.crawl("early", transcript="b")
        assert office.send() == ["early"], "who adds samples keeps nobody waiting"
        late.commit()
    assert office.send() == ["late"]
    assert office.send() == []
    assert office.value("SELECT arrival FROM claim_fronts") == office.value(
        "SELECT max(arrival) FROM samples"
    )


def test_other_fields_that_annotators_read_begin_the_search_anew(ledger: Ledger) -> None:
    office = Office(ledger)
    for name in NAMES[:2]:
        office.crawl(name, transcript="a", hint="old")
    office.send()
    for name in NAMES[:2]:
        office.answer(name, "said")
    office.crawl(NAMES[0], transcript="a", hint="new")
    assert office.send() == []
    plan = Plan(office.task_type, [*office.kind.READS, "hint"], office.kind.WRITES)
    assert len(tasks.claim(ledger, office.project, plan, 9, claimed_by="x").keys) == 1


INTO_THE_LINE = """INSERT INTO samples (arrival, external_id, parent_sample_id, only_task_type, media_path)
    OVERRIDING SYSTEM VALUE
    SELECT arrival, 'instead', sample_id, 'transcript_correction', 'new.wav' FROM samples
     WHERE external_id = 'clip-0' RETURNING 1"""


def test_a_sample_that_takes_the_place_of_another_in_the_line_is_found(
    ledger: Ledger, database_url: str
) -> None:
    """Also one that is added while a claim, whose end nobody sees yet, moves the front past it."""
    office = Office(ledger)
    for name in NAMES[:2]:
        office.crawl(name, transcript="a")
    with psycopg.connect(database_url) as claim:
        reads = list(office.kind.READS)
        claim.execute("SELECT move_front(%s, %s, 0, max(arrival)) FROM samples", [office.task_type, reads])
        office.value(INTO_THE_LINE)
    assert office.send() == ["instead", "clip-1"], "and its parent waits for it"
    office.value(INTO_THE_LINE.replace("'instead'", "'again'"))
    assert office.send() == ["again"]
