"""Eight pushers at once, two task types, and a crawler among them: no sample is held or sent twice."""

import json
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

from faults import processes, promises
from lsloop.stack import postgres
from world import TRANSCRIPT, World, clips, wait_until

TRANSLATION = "translation_review"
SAMPLES = 40

# Of the live locks of a sample, one for every task type leaves no room for any other. PostgreSQL itself
# refuses, in the moment, whoever takes a second one.
NEVER_BOTH = """
    ALTER TABLE locks ADD CONSTRAINT never_both EXCLUDE USING gist (
        int8range(hashtextextended(sample_id::text, 0), hashtextextended(sample_id::text, 0), '[]') WITH &&,
        int8range(hashtextextended(task_type, 0), hashtextextended(task_type, 0), '[]') WITH &&
    ) WHERE (released_at IS NULL)
"""

# What is chosen is known when somebody lets go of 42.
CHOOSE_SLOWLY = """
    CREATE OR REPLACE FUNCTION has_all(s samples, p_reads text[]) RETURNS boolean LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM pg_advisory_xact_lock_shared(42);
        RETURN true;
    END $$
"""

WINDOW = 6  # samples that the crawler holds at a time


def test_eight_pushers_and_a_crawler_send_each_sample_once(empty: World) -> None:
    empty.ingest(clips(SAMPLES, translation="hello"))
    with empty.ledger.transaction() as transaction:
        transaction.run(NEVER_BOTH)
    folder, limit = empty.config.project_dir, str(SAMPLES // 4)
    with crawling(empty.config.database_url) as locked, ExitStack() as stack:
        pushers = [
            stack.enter_context(
                processes.start(
                    folder, "push", "--task-type", task_type, "--limit", limit, "--json", "--quiet"
                )
            )
            for task_type in [TRANSCRIPT, TRANSLATION] * 4
        ]
        assert [pusher.wait() for pusher in pushers] == [0] * 8, "".join(pusher.said for pusher in pushers)
    assert locked.count("t") > 0
    sent = [json.loads(pusher.said)["sent"] for pusher in pushers]
    for task_type in (TRANSCRIPT, TRANSLATION):
        sent.append(empty.push(task_type).sent)  # what the crawler held in the moment of their choice
        promises.check_sent_once(empty, task_type)
    assert sum(sent) == 2 * SAMPLES


def test_a_lock_taken_while_a_push_makes_its_choice_is_seen(empty: World) -> None:
    """The push has found its samples and not yet taken them when the crawler takes one."""
    empty.ingest(clips(2))
    with empty.ledger.transaction() as transaction:
        transaction.run(CHOOSE_SLOWLY)
    with ThreadPoolExecutor() as pool:
        with empty.ledger.transaction() as transaction:
            transaction.value("SELECT pg_advisory_xact_lock(42)")
            push = pool.submit(empty.push)
            wait_until(
                lambda: empty.value(
                    "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
                )
            )
            locked = (
                "SELECT success FROM samples, lock_sample_for_annotation(sample_id, 'crawler') WHERE"
                " external_id = :id"
            )
            assert empty.value(locked, id="clip-002")
        assert push.result().sent == 1
    promises.check_sent_once(empty, samples=1)


@contextmanager
def crawling(database_url: str) -> Iterator[list[str]]:
    """A crawler that is not Python goes through the samples; yields, for each that it asked for, t or f."""
    stop, locked = threading.Event(), []

    def crawl() -> None:
        while not stop.is_set():
            locked.extend(psql(database_url, crawl_script()).split())

    with ThreadPoolExecutor() as pool:
        crawler = pool.submit(crawl)
        try:
            yield locked
        finally:
            stop.set()
            crawler.result()


def crawl_script() -> str:
    """Lock each sample, tell whether that worked, and let go of it when WINDOW more were asked for."""
    lines = []
    for number in range(1, SAMPLES + WINDOW + 1):
        if number <= SAMPLES:
            lines.append(
                f"""SELECT s.sample_id AS id_{number}, coalesce(l.token, s.sample_id) AS token_{number},
                   l.success
                      FROM samples s, lock_sample_for_annotation(s.sample_id, 'crawler') l
                     WHERE external_id = 'clip-{number:03}' \\gset
                    SELECT :'success';"""
            )
        if (last := number - WINDOW) > 0:
            lines.append(f"SELECT unlock_sample(:'id_{last}', false, :'token_{last}') \\g /dev/null")
    return "\n".join(lines)


def psql(database_url: str, script: str) -> str:
    command = [str(postgres.binary("psql")), "-X", "-q", "-At", "-v", "ON_ERROR_STOP=1", database_url]
    done = subprocess.run(command, input=script, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    return done.stdout
