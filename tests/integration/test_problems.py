"""What is left out is listed, once, with its reason; it leaves the list when it was taken."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from lsloop import commands
from lsloop.ledger import Ledger, events, problems
from lsloop.ledger.problems import Problem
from office import Office

LINE = Problem("ingest", "line", "clip-7", "transcript is a number", "Make it text.")
ANSWER = Problem(
    "pull", "annotation", "12", "a number over 64 bits", "Open it.", "t", annotator="minh", ls_task_id=3
)


def aside(ledger: Ledger, *found: Problem) -> None:
    with ledger.transaction() as transaction:
        problems.set_aside(transaction, found)


def keys(ledger: Ledger, **which: str) -> set[str]:
    return {one["key"] for one in problems.listed(ledger, **which)[0]}  # type: ignore[arg-type]


def test_what_fails_again_is_one_entry_that_counts(ledger: Ledger) -> None:
    aside(ledger, LINE, ANSWER)
    aside(ledger, replace(LINE, reason="transcript is a list"))
    found, total = problems.listed(ledger)
    assert total == 2
    (line,) = [one for one in found if one["step"] == "ingest"]
    assert (line["times"], line["reason"]) == (2, "transcript is a list")
    assert line["first_seen"] < line["last_seen"]


def test_filters_by_task_type_annotator_and_sample(ledger: Ledger) -> None:
    office = Office(ledger)
    office.crawl("clip-7", transcript="một")
    sample_id = office.value("SELECT sample_id FROM samples")
    aside(
        ledger,
        LINE,
        ANSWER,
        Problem("push", "sample", str(sample_id), "x", task_type="u", sample_id=sample_id),
    )
    assert keys(ledger, task_type="t") == {"clip-7", "12"}  # what concerns every task type, too
    assert keys(ledger, annotator="minh") == {"12"}
    assert keys(ledger, sample="clip-7") == {str(sample_id)}
    assert keys(ledger, step="ingest") == {"clip-7"}
    assert len(problems.listed(ledger, limit=1)[0]) == 1


def test_what_was_taken_leaves_the_list(ledger: Ledger) -> None:
    aside(ledger, LINE, replace(LINE, key="clip-8"), ANSWER)
    with ledger.transaction() as transaction:
        assert problems.clear(transaction, "ingest", "line", ["clip-7"]) == 1
        assert problems.keep_only(transaction, "pull", "annotation", ["13"], task_type="t") == 1
    assert keys(ledger) == {"clip-8"}


@pytest.mark.parametrize("text", ["\0", "\ud800", "a" * 10_000, "‮", "\x1b[2J"], ids=repr)
def test_any_text_can_be_a_reason(ledger: Ledger, text: str) -> None:
    aside(ledger, replace(LINE, key=f"k{text[:5]}", reason=text, annotator=text[:100]))
    assert problems.listed(ledger)[1] == 1


def test_answers_without_a_value_and_events_given_up_are_listed_without_being_written_twice(
    ledger: Ledger,
) -> None:
    office = Office(ledger)
    office.crawl("clip", transcript="một")
    office.send()
    office.answer("clip", "x")
    with ledger.transaction() as transaction:
        transaction.run("UPDATE annotations SET value = NULL, problem = 'It has no words.'")
    events.store(ledger, "/webhook", b"{}", {"action": "X"})
    with ledger.transaction() as transaction:
        transaction.run("UPDATE events SET state = 'failed', error = 'no such task'")
    told = {one["step"]: one for one in problems.listed(ledger)[0]}
    assert (told["pull"]["annotator"], told["pull"]["external_id"]) == ("an", "clip")
    assert told["events"]["reason"] == "no such task"


def test_the_command_tells_reason_and_what_to_do(
    ledger: Ledger,
    database_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("LABEL_STUDIO_URL", "http://studio.example/ls/")
    args = ["-C", str(tmp_path), "problems"]
    assert commands.main(args) == 0
    assert capsys.readouterr().out == "Nothing was left out.\n"
    aside(ledger, LINE, replace(ANSWER, ls_project_id=4))
    assert commands.main(args) == 0
    shown = capsys.readouterr().out
    for words in ("line clip-7", "transcript is a number", "Make it text.", "annotation 12", "minh"):
        assert words in shown
    assert "http://studio.example/ls/projects/4/data?task=3" in shown
    assert commands.main([*args, "--annotator", "minh", "--json"]) == 0
    (one,) = json.loads(capsys.readouterr().out)["problems"]
    assert (one["key"], one["url"]) == ("12", "http://studio.example/ls/projects/4/data?task=3")
