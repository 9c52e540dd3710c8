"""`sql/queries`: each statement stands under a name of its own, and is one command."""

import re
from pathlib import Path

import pytest

from lsloop.ledger import queries

FILES = sorted((Path(__file__).parents[2] / "sql" / "queries").glob("*.sql"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_each_statement_has_a_name_and_is_one_command(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    statements = queries.named(path.stem)
    assert len(statements) == text.count("name: "), "a name that ran into a comment is none"
    for name, statement in statements.items():
        alone = re.sub(r"--[^\n]*|'[^']*'", "", statement).strip().rstrip(";")
        assert alone, f"{name} is empty"
        assert ";" not in alone, f"{name} is more than one command"
