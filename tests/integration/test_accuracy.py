"""`lsloop accuracy`: each model version held against what people accepted, against gold, and a file
against both."""

import json
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from lsloop import resources, task_types
from lsloop.commands import main
from lsloop.ledger import Ledger, gold
from lsloop.ledger.accuracy import Reference
from lsloop.steps import accuracy
from lsloop.values import agreement
from office import Office

TRANSCRIPT = "transcript_correction"
HEARD = {"a": "xin chào bạn", "b": "tôi đi meeting", "c": "hẹn gặp lại"}


@pytest.fixture
def office(ledger: Ledger) -> Office:
    """Three recordings that people corrected, and one that nobody did."""
    found = Office(ledger)
    for number, name in enumerate([*HEARD, "d"]):
        found.crawl(name, media=str(number), transcript="…")
    found.send()
    for name, text in HEARD.items():
        found.answer(name, text)
    found.receive(*HEARD)
    found.rows(
        "UPDATE projects SET label_config = :xml RETURNING 1", xml=resources.template(TRANSCRIPT, Path())
    )
    return found


def predict(office: Office, version: str, **said: str) -> None:
    for name, text in said.items():
        office.rows(
            """INSERT INTO predictions (sample_id, task_type, model_version, value, sync_version)
               SELECT sample_id, :task_type, :version, jsonb_build_object('transcript',
               CAST(:text AS text)), sync_version
                 FROM samples WHERE external_id = :name RETURNING 1""",
            task_type=TRANSCRIPT, version=version, text=text, name=name,
        )  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, database_url: str, office: Office) -> Path:
    (tmp_path / ".lsloop").mkdir()
    (tmp_path / ".lsloop" / "stack.json").write_text(json.dumps({"database_url": database_url}))
    (tmp_path / "params.yaml").write_text("task_types:\n  transcript_correction: {}\n")
    return tmp_path


def told(folder: Path, capsys: pytest.CaptureFixture[str], *args: str, code: int = 0) -> Any:
    assert main(["-C", str(folder), "accuracy", "-t", TRANSCRIPT, "--json", *args]) == code
    return json.loads(capsys.readouterr().out)


def test_versions_are_ranked_and_what_is_missing_is_wrong(
    folder: Path, office: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["-C", str(folder), "accuracy", "-t", TRANSCRIPT]) == 0
    assert "No model answered for any of 3 samples" in capsys.readouterr().out
    predict(office, "v1", a="xin chào bạn", b="tôi đi miting", c="hẹn gặp", d="whatever")
    predict(office, "v2", **HEARD)
    predict(office, "v3", a="xin chào bạn")
    found = told(folder, capsys)
    assert [one["version"] for one in found["versions"]] == ["v2", "v1", "v3"]
    best, first, missing = found["versions"]
    assert (best["overall"]["value"], best["exact"]["value"], best["errors"]) == (1.0, 1.0, [0, 9])
    assert (first["samples"], first["missing"], first["errors"]) == (3, 0, [2, 9])
    assert first["exact"]["value"] == pytest.approx(1 / 3, abs=1e-6)
    assert first["exact"]["low"] < first["exact"]["value"] < first["exact"]["high"]
    assert first["measures"]["wer"] == pytest.approx(2 / 9, abs=1e-6)
    assert (missing["missing"], missing["errors"]) == (2, [6, 9])
    assert [one["version"] for one in told(folder, capsys, "--version", "v2")["versions"]] == ["v2"]
    assert main(["-C", str(folder), "accuracy", "-t", TRANSCRIPT]) == 0
    shown = capsys.readouterr().out
    assert "words wrong" in shown
    assert "2 of 9 (22.2%)" in shown


def test_gold_is_another_measure_and_a_prediction_of_older_content_does_not_count(
    folder: Path, office: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    predict(office, "v1", a="xin chào bạn", d="một hai")
    assert told(folder, capsys, "--against", "gold")["references"] == 0
    gold.set_standard(
        office.ledger, gold.find_sample(office.ledger, "d", None), 1.0, "me", {"transcript": "một hai"}
    )
    (one,) = told(folder, capsys, "--against", "gold")["versions"]
    assert (one["samples"], one["exact"]["value"]) == (1, 1.0)
    office.crawl("a", media="another recording", transcript="…")
    assert told(folder, capsys)["versions"] == [] or told(folder, capsys)["versions"][0]["missing"] == 3


def test_a_file_is_measured_and_its_bad_lines_are_named(
    folder: Path, office: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [
        json.dumps({"external_id": "a", "value": {"transcript": "xin chào bạn"}}),
        json.dumps({"external_id": "b", "prediction": {"transcript": "tôi"}, "model_version": "other"}),
        json.dumps({"external_id": "nobody", "value": {"transcript": "?"}}), "", "{", "[]",
        '{"external_id": 1}',
        json.dumps({"external_id": "c", "value": "text"}),
        json.dumps({"external_id": "c", "value": {"transcript": 7}}),
    ]  # fmt: skip
    (folder / "said.jsonl").write_text("\n".join(lines), encoding="utf-8")
    found = told(folder, capsys, "--predictions", "said.jsonl", code=1)
    assert sorted(line.split(":")[0] for line in found["problems"]) == [
        f"line {number}" for number in (3, 5, 6, 7, 8, 9)
    ]
    by_version = {one["version"]: one for one in found["versions"]}
    assert (by_version["given"]["missing"], by_version["other"]["missing"]) == (2, 2)
    assert by_version["given"]["exact"]["value"] == pytest.approx(1 / 3, abs=1e-6)
    assert main(["-C", str(folder), "accuracy", "-t", TRANSCRIPT, "--predictions", "none.jsonl"]) == 2


def test_a_choice_among_a_few_has_a_confusion_and_kappa() -> None:
    config = """<View><Text name="text" value="$text"/>
      <Choices name="verdict" toName="text" choice="single"><Choice value="yes"/><Choice value="no"/>
      </Choices>
      <Rating name="stars" toName="text"/></View>"""
    kind = task_types.from_template("reviews", config)
    right = [
        Reference(UUID(int=n), str(n), None, {"verdict": ["yes" if n < 6 else "no"], "stars": 3})
        for n in range(10)
    ]
    said = {UUID(int=n): {"verdict": ["yes" if n < 5 else "no"], "stars": 3 if n else 4} for n in range(9)}
    found = accuracy.measured("v", kind, right, said)
    assert (found.samples, found.missing) == (10, 1)
    assert found.confusion["verdict"] == {"yes": {"yes": 5, "no": 1}, "no": {"no": 3, "(missing)": 1}}
    assert found.fields == {"verdict": 0.8, "stars": 0.8}
    by_chance = (6 * 5 + 4 * 4) / 100
    assert found.kappa["verdict"] == pytest.approx((0.8 - by_chance) / (1 - by_chance), abs=1e-6)
    assert agreement.cohen_kappa([("a", "a"), ("a", "a")]) is None


def test_an_answer_that_cannot_be_held_against_anything_stops_no_other(
    folder: Path, office: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    predict(office, "v1", a="xin chào bạn")
    for name, value in (("b", '{"transcript": ["a list"]}'), ("c", '{"transcript": {"text": 1}}')):
        office.rows(
            """INSERT INTO predictions (sample_id, task_type, model_version, value, sync_version)
               SELECT sample_id, :task_type, 'v1', CAST(:value AS jsonb), sync_version
                 FROM samples WHERE external_id = :name RETURNING 1""",
            task_type=TRANSCRIPT, value=value, name=name,
        )  # fmt: skip
    (one,) = told(folder, capsys)["versions"]
    assert (one["missing"], one["errors"]) == (2, [6, 9])
    assert one["exact"]["value"] == pytest.approx(1 / 3, abs=1e-6)
