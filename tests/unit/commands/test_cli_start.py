"""`lsloop --help` starts as fast as a shell command should: it imports next to nothing."""

import subprocess
import sys

import pytest
from command_line import run
from typer.core import TyperGroup
from typer.main import get_command

from lsloop.commands import COMMANDS, app, main
from lsloop.commands._lazy import Lazy

ALLOWED = {"lsloop", "typer", "shellingham", "annotated_doc"}

LIST_IMPORTS = """
import sys
before = set(sys.modules)
from lsloop.commands import main
main([{args}])
names = {{name.partition(".")[0] for name in set(sys.modules) - before}}
print(*sorted(names - set(sys.stdlib_module_names)), file=sys.stderr)
"""


def imported(*args: str) -> set[str]:
    code = LIST_IMPORTS.format(args=", ".join(map(repr, args)))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stderr.split())


@pytest.mark.parametrize("args", [("--help",), (), ("--version",)])
def test_help_and_version_import_only_what_draws_them(args: tuple[str, ...]) -> None:
    assert imported(*args) <= ALLOWED


def test_help_imports_no_command() -> None:
    code = (
        "import sys; from lsloop.commands import main; main(['--help']); print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"lsloop.config", *(row.target.partition(":")[0] for row in COMMANDS)} & set(
        done.stderr.split()
    )


def test_names_are_completed_without_importing_the_commands() -> None:
    words = {"_LSLOOP_COMPLETE": "complete_bash", "COMP_WORDS": "lsloop pu", "COMP_CWORD": "1"}
    done = run(**words, PYTHONPROFILEIMPORTTIME="1")
    assert done.stdout.split() == ["push", "pull"]
    assert "lsloop.commands._lazy" in done.stderr
    assert "sqlalchemy" not in done.stderr
    assert "lsloop.commands.push" not in done.stderr


def test_options_of_a_command_are_completed() -> None:
    words = {"_LSLOOP_COMPLETE": "complete_bash", "COMP_WORDS": "lsloop push --or", "COMP_CWORD": "2"}
    assert run(**words).stdout.split() == ["--order"]


def every_command() -> list[tuple[str, object]]:
    found: list[tuple[str, object]] = []
    for row in COMMANDS:
        loaded = Lazy(row).load()
        found.append((row.name, loaded))
        if isinstance(loaded, TyperGroup):
            found += [(f"{row.name} {name}", inner) for name, inner in loaded.commands.items()]
    return found


@pytest.mark.parametrize(("name", "loaded"), every_command(), ids=[name for name, _ in every_command()])
def test_every_command_shows_an_example_of_itself(name: str, loaded: object) -> None:
    text = getattr(loaded, "help", None) or ""
    _, example, lines = text.partition("\n\b\nExample:\n")
    assert example
    assert f"lsloop {name}" in lines or f"lsloop -C speech {name}" in lines


@pytest.mark.parametrize(("name", "loaded"), every_command(), ids=[name for name, _ in every_command()])
def test_every_command_takes_the_shared_options(name: str, loaded: object) -> None:
    options = {option for parameter in getattr(loaded, "params", []) for option in parameter.opts}
    assert {"-C", "--directory", "-v", "--verbose", "-q", "--quiet", "--json"} <= options


@pytest.mark.parametrize(("name", "loaded"), every_command(), ids=[name for name, _ in every_command()])
def test_every_option_is_explained(name: str, loaded: object) -> None:
    assert [p.name for p in getattr(loaded, "params", []) if not getattr(p, "help", "")] == []


def test_the_example_in_help_keeps_its_lines() -> None:
    shown = run("push", "--help").stdout
    assert "  Example:\n    lsloop push --task-type transcript_correction" in shown


def test_the_command_line_is_a_group_of_all_rows() -> None:
    assert isinstance(get_command(app), TyperGroup)
    shown = run("--help").stdout
    assert [row.name for row in COMMANDS if f"\n  {row.name} " not in shown] == []


def test_a_letter_means_the_same_in_every_command() -> None:
    meanings: dict[str, set[str]] = {}
    for _, loaded in every_command():
        for parameter in getattr(loaded, "params", []):
            words = [word for word in parameter.opts if word.startswith("--")]
            for letter in (word for word in parameter.opts if len(word) == 2 and word.startswith("-")):
                meanings.setdefault(letter, set()).update(words)
    assert {letter: words for letter, words in meanings.items() if len(words) != 1} == {}
    assert meanings["-n"] == {"--limit"}


def test_every_help_fits_80_columns(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    for name, _ in every_command():
        assert main([*name.split(), "--help"]) == 0
        wide = [line for line in capsys.readouterr().out.splitlines() if len(line) > 80]
        assert wide == [], name
