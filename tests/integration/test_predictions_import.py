"""`lsloop predictions import`: what a model elsewhere said, checked as a model's own answers are."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from lsloop.commands import main
from lsloop.ledger import Ledger, predictions
from office import Office
from world import transcript

TRANSCRIPT = "transcript_correction"


@pytest.fixture
def folder(tmp_path: Path, ledger: Ledger, database_url: str) -> Path:
    (tmp_path / ".lsloop").mkdir()
    (tmp_path / ".lsloop" / "stack.json").write_text(
        json.dumps({"database_url": database_url, "server_url": "http://x"})
    )
    (tmp_path / "params.yaml").write_text("task_types:\n  transcript_correction: {}\n")
    office = Office(ledger)
    for number in range(6):
        office.crawl(f"clip {number}", media=str(number), transcript="…")
    return tmp_path


def brought(folder: Path, capsys: pytest.CaptureFixture[str], *lines: Any, code: int = 0, **how: str) -> Any:
    text = "\n".join(
        line if isinstance(line, str) else json.dumps(line, ensure_ascii=False) for line in lines
    )
    path = folder / "said.jsonl"
    path.write_bytes(
        gzip.compress(text.encode()) if how.get("packed") else text.encode("utf-8", "surrogatepass")
    )
    args = ["--version", how["version"]] if "version" in how else []
    assert (
        main(["-C", str(folder), "predictions", "import", "said.jsonl", "-t", TRANSCRIPT, "--json", *args])
        == code
    )
    (found,) = json.loads(capsys.readouterr().out)["files"].values()
    return found


def said(ledger: Ledger) -> list[tuple[str, str, str]]:
    with ledger.transaction() as transaction:
        rows = transaction.rows(
            """SELECT external_id, model_version, value ->> 'transcript' AS text
                 FROM predictions JOIN samples USING (sample_id) ORDER BY 1, 2"""
        )
    return [tuple(row) for row in rows]


def line(name: str, text: str, **more: Any) -> dict[str, Any]:
    return {"external_id": name, "model_version": "asr", "value": {"transcript": text}, **more}


def test_values_and_results_come_in_once_and_the_same_again_changes_nothing(
    folder: Path, ledger: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [
        line("clip 0", "xin chào", score=0.9, uncertainty=0.1), line("clip 1", "tôi đi"),
        {"external_id": "clip 2", "model_version": "other", "result": transcript("hẹn gặp")}, "",
        {"external_id": "clip 3", "value": {"transcript": "một"}}, line("clip 4", "đầu"),
        line("clip 4", "cuối"),
    ]  # fmt: skip
    first = brought(folder, capsys, *lines, version="v9")
    assert (first["new"], first["failed"]) == (5, 0)
    expected = [
        ("clip 0", "asr", "xin chào"), ("clip 1", "asr", "tôi đi"), ("clip 2", "other", "hẹn gặp"),
        ("clip 3", "v9", "một"),
        ("clip 4", "asr", "cuối"),
    ]  # fmt: skip
    assert said(ledger) == expected
    again = brought(folder, capsys, *lines, version="v9", packed="yes")
    assert (again["new"], again["changed"], said(ledger)) == (0, 0, expected)
    third = brought(folder, capsys, line("clip 0", "xin chào bạn"), line("clip 1", "tôi đi"))
    assert (third["new"], third["changed"], third["same"]) == (0, 1, 1)


POISON: dict[str, Any] = {
    "no JSON": "{",
    "a list": "[1]",
    "a number": "7",
    "half a character": '{"external_id": "clip 1", "value": "\ud83d"}',
    "no sample": line("nobody", "x"),
    "no name": {"model_version": "v", "value": {}},
    "a name of 1": line("x", "y") | {"external_id": 1},
    "NUL in the name": line("clip\x001", "x"),
    "NUL in the version": line("clip 1", "x") | {"model_version": "v\x00"},
    "NUL in the source": line("clip 1", "x", source="\x00"),
    "NUL in the text": line("clip 1", "a\x00b"),
    "no version": {"external_id": "clip 1", "value": {"transcript": "x"}},
    "a version of 2": line("clip 1", "x") | {"model_version": 2},
    "neither value nor result": {"external_id": "clip 1", "model_version": "v"},
    "both": line("clip 1", "x", result=[]),
    "a text": line("clip 1", "x") | {"value": "x"},
    "another field": line("clip 1", "x") | {"value": {"words": 3}},
    "a list for a text": line("clip 1", "x") | {"value": {"transcript": ["x"]}},
    "a score in words": line("clip 1", "x", score="high"),
    "a score of true": line("clip 1", "x", score=True),
    "an endless score": (
        '{"external_id": "clip 1", "model_version": "v", "value": {"transcript": "x"}, "score": 1e999}'
    ),
    "no such control": {
        "external_id": "clip 1",
        "model_version": "v",
        "result": [{"from_name": "no", "to_name": "such", "type": "x", "value": {}}],
    },
}


def test_what_cannot_be_taken_is_named_by_its_line_and_the_others_come_in(
    folder: Path, ledger: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [line("clip 0", "first"), *POISON.values(), line("clip 5", "last")]
    found = brought(folder, capsys, *lines, code=1)
    assert said(ledger) == [("clip 0", "asr", "first"), ("clip 5", "asr", "last")]
    assert (found["new"], found["failed"]) == (2, len(POISON)), found["problems"]
    numbers = sorted(int(one.split(":")[0].removeprefix("line ")) for one in found["problems"])
    assert numbers == list(range(2, len(POISON) + 2))


def test_two_samples_of_one_name_are_told_apart_by_their_source(
    folder: Path, ledger: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    with ledger.transaction() as transaction:
        transaction.run(
            "UPDATE samples SET external_id = 'clip 0', source = 'other' WHERE external_id = 'clip 1'"
        )
    found = brought(folder, capsys, line("clip 0", "x"), line("clip 0", "y", source="other"), code=1)
    assert (found["new"], len(found["problems"])) == (1, 1)
    assert "several samples" in found["problems"][0]


def test_a_packed_file_that_is_cut_off_brings_in_what_is_there(
    folder: Path, ledger: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = "".join(json.dumps(line(f"clip {number}", f"text {number}")) + "\n" for number in range(6))
    packed = gzip.compress(lines.encode())
    (folder / "cut.jsonl.gz").write_bytes(packed[:-9])
    args = ["-C", str(folder), "predictions", "import", "cut.jsonl.gz", "-t", TRANSCRIPT, "--json"]
    assert main(args) == 1
    (found,) = json.loads(capsys.readouterr().out)["files"].values()
    assert "cut off or damaged from here on" in found["problems"][-1]
    assert len(said(ledger)) == found["new"] > 0


def test_a_sample_is_found_by_the_index_however_many_there_are(folder: Path, ledger: Ledger) -> None:
    """A piece of lines must not read all samples: the whole file would take the square of their number."""
    with ledger.transaction() as transaction:
        transaction.run(
            """INSERT INTO samples (source, external_id, fields)
               SELECT 'many', 'many ' || n, '{}' FROM generate_series(1, 20000) n"""
        )
        transaction.run("ANALYZE samples")
        read = "SELECT sum(seq_tup_read) FROM pg_stat_xact_user_tables WHERE relname = 'samples'"
        before = transaction.value(read)
        found = transaction.rows(predictions.NAMED_SQL, names=["many 7", "clip 1"], sources=[None, None])
        assert (len(found), transaction.value(read) - before) == (2, 0)
