"""Lines short enough to be read: docstrings begin with a short sentence, SQL wraps like Python."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
FIRST, LINE = 88, 110  # columns


def first_lines(path: Path) -> Iterator[tuple[int, str]]:
    """The first line of every docstring, but for the help of a command, which ends with an example."""
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            said = ast.get_docstring(node)
            if said is not None and "Example:" not in said:
                number = node.body[0].lineno
                yield number, lines[number - 1]


def test_a_docstring_begins_with_a_line_of_88_columns() -> None:
    long = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in (ROOT / "src").rglob("*.py")
        for number, line in first_lines(path)
        if len(line) > FIRST
    ]
    assert long == []


def test_sql_wraps_at_110_columns() -> None:
    # Migrations are never edited once they were released; many are older than the rule.
    files = [path for path in (ROOT / "sql").rglob("*.sql") if path.parent.name != "migrations"]
    assert len(files) > 20
    long = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in files
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if len(line) > LINE
    ]
    assert long == []
