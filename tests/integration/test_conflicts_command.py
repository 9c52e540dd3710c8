"""lsloop conflicts: listed, shown from all sides, decided one by one and many at once, and undone."""

import json
from pathlib import Path
from typing import Any

import pytest

from lsloop.commands import main
from lsloop.ledger import Ledger
from office import Office

OVERLAP = "Conflict 2 cannot be merged: both sides changed the same part of transcript."


@pytest.fixture
def office(ledger: Ledger) -> Office:
    """Three conflicts: one that merges, one whose edits overlap, one about a recording."""
    made = Office(ledger)
    for name in ("merges", "overlaps", "media"):
        made.crawl(name, transcript="một hai ba bốn năm")
    made.send()
    made.crawl("merges", transcript="một hai ba bốn NĂM")
    made.crawl("overlaps", transcript="một hai BA bốn năm")
    made.crawl("media", media="2", transcript="một hai ba bốn năm")
    made.answer("merges", "MỘT hai ba bốn năm")
    made.answer("overlaps", "một hai 3 bốn năm")
    made.answer("media", "MỘT hai ba bốn năm")
    return made


@pytest.fixture
def project(tmp_path: Path, database_url: str) -> Path:
    (tmp_path / ".env").write_text(f"DATABASE_URL={database_url}\n")
    return tmp_path


class Shell:
    def __init__(self, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.project, self.capsys = project, capsys

    def text(self, *args: str) -> str:
        assert main(["-C", str(self.project), "conflicts", *args, "--quiet"]) == 0
        return self.capsys.readouterr().out

    def json(self, *args: str, code: int = 0) -> Any:
        assert main(["-C", str(self.project), "conflicts", *args, "--json", "--quiet"]) == code
        return json.loads(self.capsys.readouterr().out)


@pytest.fixture
def shell(office: Office, project: Path, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(project, capsys)


def test_the_list_can_be_narrowed(shell: Shell) -> None:
    def ids(*args: str) -> list[int]:
        return [c["conflict_id"] for c in shell.json("list", *args)["conflicts"]]

    assert ids() == [1, 2, 3]
    assert ids("--field", "media") == [3]
    assert ids("--task-type", "translation_review") == []
    assert ids("--limit", "2") == [1, 2]
    assert ids("--status", "resolved") == []
    shell.json("resolve", "1", "--strategy", "merged")
    assert "nobody checked NĂM" in " ".join(shell.text("show", "1").split())
    assert ids("--status", "resolved") == [1]
    assert ids("--status", "all") == [3, 2, 1]
    assert "… and 1 more" in shell.text("list", "--limit", "1")


def test_all_sides_are_shown_with_what_each_took_out_and_put_in(shell: Shell) -> None:
    shown = " ".join(shell.text("show", "1").split())
    assert "as sent một hai ba bốn năm" in shown
    assert "an [-một-] {+MỘT+} hai ba bốn năm" in shown
    assert "upstream now một hai ba bốn [-năm-] {+NĂM+}" in shown
    assert "merged [-một-] {+MỘT+} hai ba bốn [-năm-] {+NĂM+} nobody checked NĂM" in shown
    assert "resolve 1 --strategy human_wins|crawler_wins|merged|pending_reflow" in shown
    assert "not possible: both sides changed the same part of transcript" in shell.text("show", "2")
    media = " ".join(shell.text("show", "3").replace("─", "").split())
    assert (
        "media in dispute as sent media.wav content md5 1 upstream now media.wav content md5 [-1-] {+2+}"
        in media
    )
    document = shell.json("show", "1")
    assert (document["merged"], document["status"]) == (
        {**document["merged"], "transcript": "MỘT hai ba bốn NĂM"},
        "open",
    )


def test_a_decision_says_who_and_why_and_can_be_undone(shell: Shell, office: Office) -> None:
    shell.json("resolve", "2", "--strategy", "human_wins", "--by", "linh", "--reason", "I listened")
    assert office.current("overlaps") == "một hai 3 bốn năm"
    story = shell.json("show", "2")["story"]
    assert [(line["actor"], line["action"], line["reason"]) for line in story] == [
        ("linh", "human_wins", "I listened")
    ]
    assert shell.json("undo", "2", "--by", "lead")["undone"] == "human_wins"
    assert office.current("overlaps") == "một hai BA bốn năm"
    assert "undone" in shell.text("list")


def test_many_are_decided_at_once_and_those_that_cannot_be_are_named(shell: Shell, office: Office) -> None:
    plan = shell.json("resolve", "--all", "--strategy", "merged", "--dry-run")
    assert (plan["decided"], plan["of"]) == ([1], 3)
    assert office.value("SELECT count(*) FROM conflicts WHERE status = 'open'") == 3
    done = shell.json("resolve", "--all", "--strategy", "merged", code=1)
    assert (done["decided"], sorted(done["left"])) == ([1], ["2", "3"])
    assert office.current("merges") == "MỘT hai ba bốn NĂM"
    done = shell.json("resolve", "--all", "--strategy", "pending_reflow", "--field", "media")
    assert (done["decided"], list(done["reflowed"])) == ([3], ["3"])
    done = shell.json(
        "resolve", "--all", "--strategy", "crawler_wins", "--task-type", "transcript_correction"
    )
    assert done["decided"] == [2]
    assert shell.text("list") == "There are no open conflicts.\n"
    shell.text("undo", "2")
    assert shell.text("list").startswith("1 open conflict ")


@pytest.mark.parametrize(
    ("args", "code", "problem"),
    [
        (("resolve", "--strategy", "merged"), 2, "It is not clear which conflicts to decide."),
        (("resolve", "1", "--all", "--strategy", "merged"), 2, "It is not clear which conflicts to decide."),
        (("resolve", "99", "--strategy", "merged"), 1, "There is no conflict 99."),
        (("show", "99"), 1, "There is no conflict 99."),
        (("undo", "99"), 1, "There is no conflict 99."),
        (("undo", "1"), 1, "Conflict 1 is open: there is no decision to undo."),
        (("resolve", "2", "--strategy", "merged"), 1, OVERLAP),
        (("list", "--task-type", "nonsense"), 2, "There is no task type 'nonsense'."),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_told_in_two_lines(
    shell: Shell, args: tuple[str, ...], code: int, problem: str
) -> None:
    error = shell.json(*args, code=code)["error"]
    assert error["problem"] == problem
    assert error["fix"]
