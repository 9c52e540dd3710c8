"""`lsloop gold` and `lsloop annotators` as they are typed."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from annotating import Office, said, samples
from lsloop.config import Gold, TaskType
from lsloop.ledger import Ledger, gold
from world import TRANSCRIPT, config

PARAMS = """
task_types:
  transcript_correction: {gold_floor: 0.6}
  translation_review: {}
gold: {ratio: 0.5, window: 2}
"""


class Folder:
    """A project folder with a ledger, and an office whose people annotate in it."""

    def __init__(self, path: Path, ledger: Ledger, database_url: str) -> None:
        self.path, self.url = path, database_url
        (path / "params.yaml").write_text(PARAMS)
        kinds = {TRANSCRIPT: TaskType(gold_floor=0.6)}
        self.office = Office(
            ledger,
            config(
                path, database_url, "http://ls.invalid", "t", gold=Gold(ratio=0.5, window=2), task_types=kinds
            ),
        )

    def run(self, *args: str) -> subprocess.CompletedProcess[str]:
        env = {
            **os.environ,
            "DATABASE_URL": self.url,
            "COLUMNS": "160",
            "LABEL_STUDIO_URL": "http://ls.invalid",
        }
        command = [sys.executable, "-m", "lsloop", "-C", str(self.path), *args]
        return subprocess.run(command, capture_output=True, text=True, env=env, timeout=60)

    def document(self, *args: str) -> Any:
        return json.loads(self.run(*args, "--json").stdout)


@pytest.fixture
def folder(tmp_path: Path, ledger: Ledger, database_url: str) -> Folder:
    return Folder(tmp_path, ledger, database_url)


def test_gold_is_set_from_a_value_a_file_and_an_accepted_revision(folder: Folder) -> None:
    office = folder.office
    samples(office.ledger, {"a": "x", "b": "x", "c": "x"})
    numbers = office.push(3)
    office.answer(numbers[2], "an", said("accepted"))
    office.pull()
    (folder.path / "right.json").write_text('{"transcript": "from a file"}', encoding="utf-8")
    assert folder.run("gold", "set", "a", "--value", '{"transcript": "from a value"}').returncode == 0
    assert (
        folder.run("gold", "set", "b", "--file", "right.json", "--score", "0.9", "--by", "lead").returncode
        == 0
    )
    assert folder.run("gold", "set", "c", "--from-revision").stdout == "1 sample is gold.\n"
    found = {one["external_id"]: one for one in folder.document("gold", "list")["gold"]}
    assert {name: one["reference"]["transcript"] for name, one in found.items()} == {
        "a": "from a value", "b": "from a file", "c": "accepted",
    }  # fmt: skip
    assert (found["b"]["gold_score"], found["b"]["set_by"]) == (0.9, "lead")
    assert folder.run("gold", "unset", "a", "b").stdout == "2 samples are gold no longer.\n"
    assert [one["external_id"] for one in folder.document("gold", "list")["gold"]] == ["c"]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("nobody",), "There is no sample 'nobody'."),
        (("a",), "Sample a has no accepted value that could be its reference."),
        (("a", "--value", "{"), "The reference is not JSON"),
        (("a", "--value", "[]"), "The reference is not an object."),
        (("a", "--value", '{"transcrpt": "x"}'), "No task type writes transcrpt."),
        (("a", "--value", '{"transcript": 7}'), "The reference cannot be understood"),
        (("a", "--value", "{}"), "The reference is empty."),
        (("a", "--file", "none.json"), "No such file"),
        (("a", "--value", "{}", "--from-revision"), "exclude each other"),
        (("a", "b", "--value", '{"transcript": "x"}'), "One reference cannot be right for 2 samples."),
        (("twice",), "Several samples are called 'twice'."),
    ],
)
def test_a_wrong_reference_is_refused_in_two_lines(folder: Folder, args: tuple[str, ...], words: str) -> None:
    samples(folder.office.ledger, {"a": "x", "b": "x", "twice": "x"})
    with folder.office.ledger.transaction() as transaction:
        transaction.run("INSERT INTO samples (external_id, source) VALUES ('twice', 'another')")
    done = folder.run("gold", "set", *args)
    assert done.returncode in (1, 2)
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 2
    assert folder.office.value("SELECT count(*) FROM gold_standards") == 0


def test_of_several_samples_those_that_can_become_gold_do_and_the_others_are_named(folder: Folder) -> None:
    samples(folder.office.ledger, {"a": "x", "b": "x"})
    folder.office.answer(folder.office.push(1)[0], "an", said("accepted"))
    folder.office.pull()
    done = folder.run("gold", "set", "a", "b", "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["gold"] == ["a"]
    assert [one["external_id"] for one in json.loads(done.stdout)["failed"]] == ["b"]


def test_the_screens_say_what_is_known_and_what_to_do(folder: Folder) -> None:
    office = folder.office
    assert folder.run("annotators").stdout == "Nobody has answered a task yet.\n"
    assert "No sample is gold." in folder.run("gold", "list").stdout
    assert "No answer to a probe was scored yet." in folder.run("gold", "report").stdout
    names = [f"s{i:02}" for i in range(20)]
    samples(office.ledger, dict.fromkeys(names, "a b c d"))
    for name in names[:10]:
        folder.office.value(
            "SELECT set_gold_standard(sample_id, 1, 'lead', CAST(:r AS jsonb)) FROM samples WHERE "
            "external_id = :n",
            r='{"transcript": "a b c d"}', n=name,
        )  # fmt: skip
    for place, number in enumerate(office.push(20)):
        who = ("an@example.com", "chi@example.com")[place % 2]
        office.answer(number, who, said("a b c d" if who.startswith("an") else "x y z d"))
    office.pull()
    office.value("UPDATE projects SET ls_project_id = 7 RETURNING 1")
    shown = folder.run("annotators").stdout
    assert "held: 25.0 %, floor 60.0 %" in shown
    assert "`lsloop annotators held chi@example.com`" in shown
    document = folder.document("annotators")
    assert [one["annotator"] for one in document["annotators"]] == ["an@example.com", "chi@example.com"]
    assert document["annotators"][1]["word_error_rate"] == 0.75
    assert folder.run("annotators", "release", "nobody").returncode == 2
    held = folder.document("annotators", "held", "chi")["held"]
    task = str(held[0]["ls_task_id"])
    assert held[0]["url"].endswith(f"/data?task={task}")
    assert f"/data?task={task}" in folder.run("annotators", "held", "chi").stdout
    done = folder.run("annotators", "reject", "chi", "--task", task, "--by", "lead")
    assert (
        done.stdout
        == "Rejected answers of chi@example.com in transcript_correction. 1 task to be sent anew.\n"
    )
    assert len(folder.document("annotators", "held", "chi")["held"]) == len(held) - 1
    done = folder.run("annotators", "release", "chi", "--reason", "looked", "--by", "lead")
    assert done.stdout.startswith("Released chi@example.com in transcript_correction.")
    assert office.value("SELECT count(*) FROM tasks WHERE waits_for IS NOT NULL") == 0
    assert folder.run("annotators", "release", "chi").stdout == "chi@example.com is not held for review.\n"
    report = folder.document("gold", "report", "-t", "transcript_correction")
    assert [(one["annotator"], one["n"]) for one in report["drift"]] == [
        (one["annotator"], one["n"]) for one in document["annotators"]
    ]


def test_who_met_too_few_probes_is_not_called_ok_and_more_errors_than_words_lie_within_their_bounds(
    folder: Folder,
) -> None:
    """As many words again that nobody said make more errors than there are words."""
    office = folder.office
    samples(office.ledger, dict.fromkeys("abcdef", "one two"))
    for name in "abc":
        gold.set_standard(office.ledger, office.sample(name), 1, "lead", {"transcript": "one two"})
    numbers = [number for number in office.push(6) if number in office.probes()]
    measured = []
    for number, heard in zip(numbers, ["x y z", "x y z u v", "one two"], strict=True):
        office.answer(number, "an@example.com", said(heard))
        office.pull()
        (one,) = folder.document("annotators")["annotators"]
        assert one["word_error_low"] <= one["word_error_rate"] <= one["word_error_high"], one
        measured.append(one["word_error_rate"])
        if one["n"] == 1:
            assert "too few to judge: 1 of 2" in folder.run("annotators").stdout
    assert measured == [1.5, 2.0, pytest.approx(8 / 6)]
