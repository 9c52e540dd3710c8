"""An error is two lines and an exit code: what happened to which thing, and what to do next."""

import json
import signal
import subprocess

import pytest
from command_line import command, environment, run, run_on_terminal
from sample_commands import ROWS

from lsloop.commands import main


@pytest.mark.parametrize(
    ("how", "code", "problem", "fix"),
    [
        ("refused", 1, "Label Studio refused the tasks.", "Look at its log."),
        ("wrong", 2, "params.yaml is wrong.", "Correct it."),
        ("unreachable", 3, "PostgreSQL does not answer.", "Run `lsloop up`."),
        ("denied", 1, "Permission denied: /data/raw.", "Check the path, its permissions and the space left."),
        ("bug", 1, "lsloop itself failed: KeyError: 'sample_id'.", "Run it again with -v for the traceback,"),
    ],
)
def test_an_error_is_two_lines_on_stderr_and_an_exit_code(
    how: str, code: int, problem: str, fix: str
) -> None:
    done = run("fail", how, samples=True)
    first, second = done.stderr.splitlines()
    assert (done.returncode, done.stdout, first) == (code, "", f"Error: {problem}")
    assert second.startswith(f"→ {fix}")


def test_with_json_an_error_is_the_one_document() -> None:
    done = run("--json", "fail", "unreachable", samples=True)
    assert json.loads(done.stdout) == {
        "error": {"problem": "PostgreSQL does not answer.", "fix": "Run `lsloop up`.", "exit_code": 3}
    }
    assert len(done.stderr.splitlines()) == 2


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--nope"], "--nope"),
        (["fail"], "HOW"),
        (["fail", "a", "b"], "(b)"),
        (["repot"], "Did you mean 'report'?"),
        (["report", "--limit", "many"], "--limit"),
        (["report", "--limit", "0"], "--limit"),
        (["report", "--order", "backwards"], "oldest"),
        (["report", "-C", "/nowhere"], "/nowhere"),
    ],
)
@pytest.mark.parametrize("json_too", [False, True])
def test_wrong_usage_names_the_word_and_where_help_is(
    args: list[str], said: str, json_too: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    code, told = main([*args, *(["--json"] if json_too else [])], ROWS), capsys.readouterr()
    first, second = told.err.splitlines()
    assert code == 2
    assert said.lower() in first.lower()
    assert "--help`" in second
    assert json_too == bool(told.out)
    if json_too:
        assert json.loads(told.out)["error"]["exit_code"] == 2


def test_a_group_alone_shows_its_help_and_a_script_is_told_what_is_missing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["group"], ROWS) == 0
    assert "Two of them." in capsys.readouterr().out
    assert main(["group", "--json"], ROWS) == 2
    assert "Missing command" in json.loads(capsys.readouterr().out)["error"]["problem"]
    for name in ("gold", "models", "conflicts", "db"):
        assert main([name]) == 0
        assert f"Usage: lsloop {name}" in capsys.readouterr().out


@pytest.mark.parametrize("args", [("-v", "fail", "bug"), ("fail", "bug", "--verbose")])
def test_a_traceback_is_shown_only_with_v(args: tuple[str, ...]) -> None:
    assert "Traceback" in run(*args, samples=True).stderr
    assert "Traceback" not in run("fail", "bug", samples=True).stderr


@pytest.mark.parametrize("args", [("fail", "leaky"), ("-v", "fail", "leaky"), ("--json", "fail", "leaky")])
def test_secrets_are_blanked_in_errors_and_tracebacks(args: tuple[str, ...]) -> None:
    done = run(*args, samples=True)
    told = done.stdout + done.stderr
    assert "hunter2" not in told
    assert "abcdef0123456789" not in told
    assert "postgresql://me:***@db/x" in told


def test_ctrl_c_ends_with_130_and_no_traceback() -> None:
    child = subprocess.Popen(
        command(["wait"], samples=True),
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stdout
    assert child.stdout.readline() == "waiting\n"
    child.send_signal(signal.SIGINT)
    _, told = child.communicate(timeout=30)
    assert child.returncode == 130
    assert "Traceback" not in told


def test_a_reader_that_goes_away_is_no_error() -> None:
    child = subprocess.Popen(
        command(["flood"], samples=True),
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stdout
    assert child.stderr
    child.stdout.readline()
    child.stdout.close()
    assert child.stderr.read() == ""
    assert child.wait(timeout=30) in (0, 1)


def test_a_full_disk_is_told_once() -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            command(["flood"], samples=True),
            env=environment(),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert done.returncode == 1
    assert done.stderr.startswith("Error: No space left on device.\n")
    assert len(done.stderr.splitlines()) == 2


def test_a_question_answered_with_no_ends_with_1() -> None:
    asked = command(["ask"], samples=True)
    done = subprocess.run(asked, env=environment(), input="n\n", capture_output=True, text=True)
    assert done.returncode == 1
    assert "was not answered with yes" in done.stderr
    assert run("ask", "--yes", samples=True).returncode == 0


def test_a_command_may_answer_and_still_say_that_a_part_failed() -> None:
    done = run("part", "--json", samples=True)
    assert (done.returncode, json.loads(done.stdout)) == (1, {"failed": ["b"]})


def test_errors_are_red_on_a_terminal_and_plain_with_no_color() -> None:
    assert "\x1b[31mError:" in run_on_terminal("fail", "wrong")
    assert "\x1b" not in run_on_terminal("fail", "wrong", NO_COLOR="1")
