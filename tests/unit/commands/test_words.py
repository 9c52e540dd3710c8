"""The words that people read: plain ones, and one thing is never told as several."""

import ast
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from lsloop.values.text import counted

ROOT = Path(__file__).parents[3]
SOURCES = sorted((ROOT / "src" / "lsloop").rglob("*.py"))
PAGES = [
    ROOT / "README.md",
    ROOT / ".env.example",
    ROOT / "params.yaml",
    *sorted((ROOT / "docs" / "guides").glob("*.md")),
]

RIDDLES = (
    "events: told", "none speaks for it yet", "Beside them", "the token of its API", "Mend ", "or mend",
    "; mend",
    "for ever",
    "so lately", "the sweep finds", "samples: samples", "At most so many", "had started show what",
    "goes round again",
    "go round again", "told nothing yet", "All of it holds", "Of what chance decides",
)  # fmt: skip
"""What readers stumbled over, each written in other words since."""

RIDDLE = re.compile("|".join(rf"(?<!\w){re.escape(words)}(?!\w)" for words in RIDDLES))

THINGS = (
    "answer|annotation|change|clip|conflict|cycle|error|event|file|job|line|lock|probe|project|row|sample|"
    "step|task|"
    "time|version|word"
)
PLURAL = re.compile(rf"^ (?:(?:more|gold|hidden|held|open|test|second) )?(?:{THINGS})s\b")


def strings(path: Path) -> Iterator[tuple[int, str]]:
    """What a module can say: its texts, but no docstrings other than those that `--help` shows."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    silent = set()
    if path.parent.name != "commands" or path.name.startswith("_"):
        homes = (ast.Module, ast.ClassDef, ast.FunctionDef)
        bodies = [node.body for node in ast.walk(tree) if isinstance(node, homes)]
        silent = {id(line.value) for body in bodies for line in body if isinstance(line, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in silent:
            yield node.lineno, node.value


def test_no_text_of_a_module_is_a_riddle() -> None:
    assert [
        (path, line, text) for path in SOURCES for line, text in strings(path) if RIDDLE.search(text)
    ] == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_no_page_is_a_riddle(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert RIDDLE.findall(text) == []


def test_what_is_counted_has_a_singular() -> None:
    """`counted` knows both; a number that is written before a plural does not."""
    assert [(path, line, text) for path in SOURCES for line, text in _uncounted(path)] == []


def _uncounted(path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        parts = node.values if isinstance(node, ast.JoinedStr) else []
        for number, after in pairwise(parts):
            if not isinstance(number, ast.FormattedValue) or not isinstance(after, ast.Constant):
                continue
            if PLURAL.match(str(after.value)):
                yield node.lineno, ast.unparse(node)


@pytest.mark.parametrize(
    ("count", "told"), [(0, "0 samples"), (1, "1 sample"), (2, "2 samples"), (1_000_000, "1,000,000 samples")]
)
def test_one_is_no_plural(count: int, told: str) -> None:
    assert counted(count, "sample") == told
    assert counted(1, "gold probe answered", "gold probes answered") == "1 gold probe answered"
    assert counted(3, "gold probe answered", "gold probes answered") == "3 gold probes answered"
