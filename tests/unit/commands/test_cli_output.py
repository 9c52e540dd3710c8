"""Results on stdout, everything else on stderr, and only what was asked for."""

import io
import json
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest
from command_line import run, run_on_terminal
from rich.console import Console
from sample_commands import ROWS

from lsloop.commands import main
from lsloop.commands._output import Marked, Output, Table, _Lines, drawn
from lsloop.records import Sample


@pytest.mark.parametrize(
    "args",
    [("--json", "report", "-n", "5"), ("report", "-n", "5", "--json"), ("report", "--json", "-n", "5")],
)
def test_json_is_one_document_wherever_the_option_stands(args: tuple[str, ...]) -> None:
    done = run(*args, samples=True)
    document = json.loads(done.stdout)
    assert document == {"limit": 5, "order": None, "task_type": None, "directory": ".", "text": "giữa và 😀"}
    assert done.stderr == "looking\nWarning: one thing is odd\n"


def test_json_reaches_subcommands(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["group", "one", "--json"], ROWS) == 0
    assert json.loads(capsys.readouterr().out) == {"did": "one"}


@pytest.mark.parametrize("args", [("-q", "report"), ("report", "--quiet")])
def test_quiet_keeps_the_result_and_the_warnings(args: tuple[str, ...]) -> None:
    done = run(*args, samples=True)
    assert "giữa" in done.stdout
    assert done.stderr == "Warning: one thing is odd\n"


@pytest.mark.parametrize("before", [True, False])
def test_the_folder_may_be_named_before_and_after(
    before: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = ["-C", str(tmp_path)]
    main([*folder, "report", "--json"] if before else ["report", "--json", *folder], ROWS)
    assert json.loads(capsys.readouterr().out)["directory"] == str(tmp_path)


@pytest.mark.parametrize("coding", ["ascii", "latin-1", "utf-8"])
def test_text_that_the_terminal_cannot_write_is_escaped(coding: str) -> None:
    assert (
        json.loads(run("report", "--json", samples=True, PYTHONIOENCODING=coding).stdout)["text"]
        == "giữa và 😀"
    )
    assert run("report", samples=True, PYTHONIOENCODING=coding).returncode == 0


def test_data_reaches_the_terminal_as_text_and_not_as_commands() -> None:
    shown = run("report", samples=True).stdout
    assert "[red]a\\x1b[2J" in shown
    assert "\x1b" not in shown


def test_numbers_are_marked_and_none_is_empty() -> None:
    lines = [line.rstrip() for line in run("report", samples=True).stdout.splitlines()]
    assert any(line.endswith("1,234") for line in lines)
    assert any(line.strip() == "b" for line in lines)


def test_a_table_is_never_cut_where_no_terminal_reads_it(capsys: pytest.CaptureFixture[str]) -> None:
    long = "x" * 500
    Output().result({}, Table(("name",), [(long,)]))
    assert long in capsys.readouterr().out


SIDES = Table(("side",), [(Marked([("", "a"), ("-", "b"), ("+", "c\x1b[2J")]),)])


def test_marked_words_are_in_brackets_where_there_are_no_colours(capsys: pytest.CaptureFixture[str]) -> None:
    Output().result({}, SIDES)
    assert "a [-b-] {+c\\x1b[2J+}" in capsys.readouterr().out


def test_marked_words_are_red_and_green_on_a_terminal() -> None:
    screen = io.StringIO()
    Console(file=screen, force_terminal=True, color_system="standard", width=80).print(
        drawn(SIDES, coloured=True)
    )
    assert "a \x1b[9;31mb\x1b[0m \x1b[1;32mc\\x1b[2J\x1b[0m" in screen.getvalue()


def test_progress_off_a_terminal_is_plain_lines_on_stderr() -> None:
    done = run("work", samples=True)
    assert (done.stdout, done.stderr) == ("", "Sending: 3 of 3\n")


def test_progress_is_nothing_with_quiet() -> None:
    assert run("work", "-q", samples=True).stderr == ""


def test_progress_on_a_terminal_is_a_bar() -> None:
    assert "━" in run_on_terminal("work")
    assert run_on_terminal("work", "--quiet") == ""


def test_long_work_off_a_terminal_says_so_on_the_way(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_Lines, "every", 0.0)
    with Output().progress("Reading") as progress:
        progress.advance(2)
        progress.expect(1000)
        progress.advance(998)
    assert capsys.readouterr().err.splitlines() == [
        "Reading: 2",
        "Reading: 1,000 of 1,000",
        "Reading: 1,000 of 1,000",
    ]


def test_records_times_ids_and_paths_are_written_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    made = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
    Output(json=True).result(
        {"sample": Sample(UUID(int=7), "a"), "made": made, "path": Path("x"), "ids": {2, 1}}
    )
    document = json.loads(capsys.readouterr().out)
    assert document["sample"]["sample_id"] == "00000000-0000-0000-0000-000000000007"
    assert (document["made"], document["path"], document["ids"]) == ("2026-01-02T03:04:00+00:00", "x", [1, 2])


def test_a_command_answers_once() -> None:
    out = Output(quiet=True, json=True)
    out.result({})
    with pytest.raises(RuntimeError):
        out.result({})


def test_a_missing_command_module_does_not_break_the_others() -> None:
    assert run("group", "one", samples=True).stdout == "one\n"
    assert run("missing", samples=True).returncode == 1
