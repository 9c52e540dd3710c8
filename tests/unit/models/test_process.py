"""What became of a training in several processes is told in the words of the one that failed."""

import json
from pathlib import Path

import pytest

from lsloop.errors import LsloopError
from lsloop.models.training import process


def test_a_process_that_knows_why_is_quoted(out: Path) -> None:
    out.mkdir()
    (out / "error.json").write_text(
        json.dumps({"problem": "The loss is no longer a number.", "fix": "Lower it."})
    )
    told = process._failure(out)
    assert (told.problem, told.fix) == ("The loss is no longer a number.", "Lower it.")


def test_of_one_that_does_not_the_last_error_is_told(out: Path) -> None:
    out.mkdir()
    (out / "torchrun.log").write_text("step 1\nRuntimeError: gloo: Connection closed\nsome more\n")
    assert "gloo: Connection closed" in process._failure(out).problem


def test_data_that_changed_since_the_order_is_not_trained_on(out: Path, tmp_path: Path) -> None:
    (tmp_path / "index.jsonl").write_text("")
    order = process.Order("transcript_correction", "base", str(tmp_path), "another", str(out), {}, 0)
    with pytest.raises(LsloopError, match="changed while"):
        process.train(order, lambda metrics: None)
