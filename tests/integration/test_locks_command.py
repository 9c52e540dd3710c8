"""lsloop locks: who holds what, why, and which of them can be released."""

import json
from pathlib import Path
from typing import Any

import pytest

from lsloop.commands import main
from lsloop.config import Conflicts
from lsloop.errors import Refused
from lsloop.ledger import Ledger, locks, tasks
from lsloop.steps import lock
from office import Office


@pytest.fixture
def office(ledger: Ledger) -> Office:
    made = Office(ledger)
    for name in ("open", "disputed", "done", "held", "expired"):
        made.crawl(name, transcript="one")
    return made


@pytest.fixture
def project(tmp_path: Path, database_url: str) -> Path:
    (tmp_path / ".env").write_text(f"DATABASE_URL={database_url}\n")
    return tmp_path


def hold(office: Office, name: str, lifetime: str) -> None:
    office.rows(
        """SELECT lock_sample_for_annotation(sample_id, 'crawler', NULL, CAST(:lifetime AS interval))
           FROM samples
            WHERE external_id = :name""",
        name=name, lifetime=lifetime,
    )  # fmt: skip


def run(project: Path, capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, Any]:
    code = main(["-C", str(project), "locks", "--json", *args])
    return code, json.loads(capsys.readouterr().out)


def words(ledger: Ledger) -> dict[str, str]:
    return {found.external_id: lock.why(found) for found in locks.held(ledger)}


def test_each_lock_says_why_it_is_held(office: Office) -> None:
    hold(office, "held", "30 minutes")
    hold(office, "expired", "-5 minutes")
    office.send(limit=3)
    office.crawl("disputed", transcript="two")
    office.answer("disputed", "three")
    office.answer("open", "", was_cancelled=True)
    office.answer("done", "heard")
    found = words(office.ledger)
    numbers = {name: task.ls_task_id for name, task in office.there.items()}
    assert found == {
        "open": (
            f"task {numbers['open']} of project 1 is open in Label Studio, no answer for 0 s, skipped 1 time"
        ),
        "disputed": f"conflict 1 about task {numbers['disputed']} of project 1 waits for a decision",
        "held": "held outside Label Studio; expires in 29 min unless it is renewed",
        "expired": "expired 5 min ago without being renewed; whoever asks next gets the sample",
    }


def test_a_push_that_was_cut_off_is_told(office: Office) -> None:
    plan = tasks.Plan(office.task_type, office.kind.READS, office.kind.WRITES)
    tasks.claim(office.ledger, office.project, plan, 1, claimed_by="box:7")
    assert words(office.ledger) == {
        "open": "being sent by box:7; if that was cut off, the next push finishes it"
    }


def test_answers_that_are_too_few_or_differ_are_told(office: Office) -> None:
    office.send(overlap=2)
    number = office.there["open"].ls_task_id
    office.answer("open", "one", "an")
    assert words(office.ledger)["open"] == f"task {number} of project 1 has 1 of 2 answers"
    office.answer("open", "quite different", "binh")
    assert words(office.ledger)["open"] == f"task {number} of project 1 has answers, but no valid answer yet"


def test_stale_ones_are_those_expired_those_cut_off_and_those_nobody_answers(office: Office) -> None:
    hold(office, "held", "30 minutes")
    hold(office, "expired", "-5 minutes")
    office.send(limit=2)
    assert [found.external_id for found in locks.stale(office.ledger, 14)] == ["expired"]
    with office.ledger.transaction() as transaction:
        transaction.run("UPDATE tasks SET opened_at = now() - interval '15 days'")
    assert {found.external_id for found in locks.stale(office.ledger, 14)} == {"expired", "open", "disputed"}
    assert {found.external_id for found in locks.stale(office.ledger, 16)} == {"expired"}
    office.answer("open", "heard")
    assert {found.external_id for found in locks.stale(office.ledger, 14)} == {"expired", "disputed"}
    plan = tasks.Plan(office.task_type, office.kind.READS, office.kind.WRITES)
    tasks.claim(office.ledger, office.project, plan, 1, claimed_by="box:7")
    with office.ledger.transaction() as transaction:
        transaction.run("UPDATE tasks SET claimed_at = now() - interval '2 hours' WHERE state = 'claimed'")
    assert {found.external_id for found in locks.stale(office.ledger, 14)} == {"expired", "disputed", "done"}


def test_a_lock_outside_label_studio_can_be_released_and_its_token_is_worth_nothing_then(
    office: Office,
) -> None:
    hold(office, "held", "30 minutes")
    (found,) = locks.held(office.ledger)
    token = office.value("SELECT token FROM locks")
    locks.release(office.ledger, found.lock_id, actor="lead", reason="the crawler is gone")
    assert locks.held(office.ledger) == []
    assert office.value("SELECT renew_lock(:token)", token=token) is False
    (line,) = office.rows("SELECT actor, action, about, reason, detail FROM audit")
    assert (line.actor, line.action, line.about, line.reason) == (
        "lead",
        "release",
        "lock 1",
        "the crawler is gone",
    )
    assert str(token) not in json.dumps(line.detail), "a token is a secret"


@pytest.mark.parametrize(
    ("state", "fix"),
    [
        ("claimed", "`lsloop push"),
        ("open", "The lock ends when task 1 is answered or skipped."),
        ("conflicted", "`lsloop conflicts show 1`"),
    ],
)
def test_the_lock_of_a_task_at_work_is_never_released_and_what_ends_it_is_told(
    office: Office, state: str, fix: str
) -> None:
    if state == "claimed":
        plan = tasks.Plan(office.task_type, office.kind.READS, office.kind.WRITES)
        tasks.claim(office.ledger, office.project, plan, 1, claimed_by="box:7")
    else:
        office.send(limit=1)
    if state == "conflicted":
        office.crawl("open", transcript="two")
        office.answer("open", "three")
    (found,) = locks.held(office.ledger)
    with pytest.raises(Refused, match=f"which is {state}") as refusal:
        locks.release(office.ledger, found.lock_id, actor="lead")
    assert fix in refusal.value.fix
    assert locks.held(office.ledger) == [found] or locks.held(office.ledger)[0].lock_id == found.lock_id
    assert office.rows("SELECT * FROM audit WHERE action = 'release'") == []


def test_a_lock_ends_with_its_task_however_that_ends(office: Office) -> None:
    office.send(limit=3)
    office.crawl("disputed", media="2", transcript="one")
    office.answer("disputed", "three")
    office.by_rule(Conflicts())
    office.answer("done", "heard")
    tasks.gone(office.ledger, [office.there["open"].task_key])
    assert locks.held(office.ledger) == []


def test_the_command_shows_releases_and_refuses(
    office: Office, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hold(office, "held", "30 minutes")
    office.send(limit=1)
    code, document = run(project, capsys)
    assert code == 0
    assert {one["external_id"]: one["task_type"] for one in document["locks"]} == {
        "held": None, "open": "transcript_correction",
    }  # fmt: skip
    assert document["counts"] == {"bound": 1, "elsewhere": 1, "expired": 0}
    assert run(project, capsys, "--task-type", "audio_segmentation")[1]["locks"][0]["external_id"] == "held"
    assert run(project, capsys, "--stale")[1]["locks"] == []
    assert run(project, capsys, "--release", "1", "--by", "lead")[1] == {"released": 1}
    code, document = run(project, capsys, "--release", "2")
    assert (code, "which is open" in document["error"]["problem"]) == (1, True)
    code, document = run(project, capsys, "--release", "99")
    assert (code, document["error"]["problem"]) == (1, "Nobody holds a lock 99.")
