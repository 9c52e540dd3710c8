"""What `make bench` writes down: well-formed rows, fair turns, and a verdict that follows from value and
bar."""

import json
from pathlib import Path

import pytest
from benchmarks import rows
from benchmarks.__main__ import main
from benchmarks.timing import alternately


def test_rows_are_written_as_a_list_of_objects_with_five_keys(tmp_path: Path) -> None:
    found = [
        rows.at_least("a", 0.91234, 0.85),
        rows.at_most("b", 251.0, 250, "MB"),
        rows.told("c", 12345.6, "tasks/s"),
    ]
    rows.write(found, tmp_path / "build" / "bench.json")
    assert json.loads((tmp_path / "build" / "bench.json").read_text()) == [
        {"name": "a", "value": 0.912, "unit": "x", "bar": ">= 0.85", "held": True},
        {"name": "b", "value": 251.0, "unit": "MB", "bar": "<= 250", "held": False},
        {"name": "c", "value": 12346.0, "unit": "tasks/s", "bar": None, "held": None},
    ]


@pytest.mark.parametrize(("value", "held"), [(0.8499, False), (0.85, True), (2, True)])
def test_the_verdict_is_that_of_the_whole_value_not_of_the_rounded_one(value: float, held: bool) -> None:
    assert rows.at_least("a", value, 0.85).held is held
    assert rows.at_most("a", -value, -0.85).held is held


def test_the_table_names_every_measure(capsys: pytest.CaptureFixture[str]) -> None:
    rows.show([rows.at_least("one", 1, 2), rows.told("two", 3, "s")])
    shown = capsys.readouterr().out
    assert "one" in shown
    assert "NO" in shown
    assert "two" in shown


def test_every_other_round_runs_backwards_so_that_none_is_always_the_first() -> None:
    done: list[tuple[str, int]] = []
    works = {"a": lambda turn: done.append(("a", turn)), "b": lambda turn: done.append(("b", turn))}
    taken = alternately(works, 3)
    assert done == [("a", 0), ("b", 0), ("b", 1), ("a", 1), ("a", 2), ("b", 2)]
    assert {name: len(all_taken) for name, all_taken in taken.items()} == {"a": 3, "b": 3}


def test_a_measure_that_does_not_exist_is_refused_before_anything_starts(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["--only", "everything"])
    assert "invalid choice" in capsys.readouterr().err
