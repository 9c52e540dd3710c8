"""What people accepted leaves the ledger whole, once, and as it stands."""

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from annotating import Office, said
from exporting import TRANSCRIPT, Project, age, contents, identity, rows
from lsloop import loop
from lsloop.errors import UsageError
from lsloop.ledger import Ledger, exports, gold
from lsloop.steps.export import writing
from media_files import content
from world import config


@pytest.fixture
def project(tmp_path: Path, ledger: Ledger, database_url: str) -> Project:
    """Five recordings, of which three are reviewed."""
    settings = config(tmp_path / "project", database_url, "http://ls.invalid", "token")
    made = Project(settings, ledger, Office(ledger, settings))
    made.ingest(rows(5))
    made.accept({"c1": "xin chào", "c2": "được rồi", "c3": "a meeting"}, confidence=4)
    return made


def test_the_tree_holds_what_was_accepted_with_its_media_and_who_said_it(project: Project) -> None:
    done = project.export()
    assert done.task_types[TRANSCRIPT].written == 3
    assert project.exported() == {"c1", "c2", "c3"}
    folder = project.folder("c1")
    assert {path.name for path in folder.iterdir()} == {"audio.wav", "transcript.json", "metadata.json"}
    assert (folder / "audio.wav").read_bytes() == content("audio/1.wav")
    answer = json.loads((folder / "transcript.json").read_text())
    accepted_at = answer.pop("accepted_at")
    assert accepted_at.endswith("Z")
    assert answer == {
        "field": "transcript", "value": "xin chào", "revision": 2, "origin": "human",
        "annotator": "ann@example.com",
        "remarks": {"quality_flags": [], "confidence": 4, "notes": ""}, "model_version": None,
        "sync_version": 1,
    }  # fmt: skip
    told = project.metadata("c1")
    assert (told["external_id"], told["task_type"], told["answers"]) == ("c1", TRANSCRIPT, {"transcript": 2})
    assert told["media"]["file"] == "audio.wav"
    assert told["media"]["md5"] == project.office.value(
        "SELECT media_md5 FROM samples WHERE external_id = 'c1'"
    )
    assert told["training_row"]["transcript"] == "xin chào"


def test_every_task_type_has_its_folder_also_without_samples(project: Project) -> None:
    project.export()
    for name in project.config.params.task_types:
        assert (project.target / name / "index.jsonl").is_file()


def test_an_export_of_the_same_is_byte_identical_and_writes_nothing(project: Project) -> None:
    project.export()
    before, files = contents(project.target), identity(project.target)
    done = project.export()
    assert (done.replaced, done.task_types[TRANSCRIPT].written) == (False, 0)
    assert (contents(project.target), identity(project.target)) == (before, files)


def test_another_folder_gets_the_same_bytes(project: Project, tmp_path: Path) -> None:
    project.export()
    project.export(target=tmp_path / "elsewhere")
    assert contents(tmp_path / "elsewhere") == contents(project.target)


def test_a_folder_filled_in_one_go_and_one_filled_step_by_step_are_the_same(
    project: Project, tmp_path: Path
) -> None:
    gold.set_standard(project.ledger, project.office.sample("c2"), 1.0, "boss")
    for layout in ("tree", "jsonl", "shards"):
        at_once, in_steps = tmp_path / layout / "at-once", tmp_path / layout / "in-steps"
        whole = project.export(target=at_once, layout=layout).task_types[TRANSCRIPT]
        project.export(target=in_steps, layout=layout, limit=1)
        project.export(target=in_steps, layout=layout)
        assert contents(at_once) == contents(in_steps)
        assert (whole.samples, whole.added, whole.written) == (3, 3, 3 if layout == "tree" else 2)


def test_an_export_that_fails_among_the_samples_says_so_and_the_ledger_goes_on(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.ingest(rows(5, translation="as translated"))
    office = Office(project.ledger, project.config, "translation_review")
    for number in office.push(10):
        office.answer(
            number, "bob@example.com", {"translation": "hello", "issues": [], "rating": 5, "notes": ""}
        )
    office.pull()
    monkeypatch.setattr(exports, "_TOGETHER", 1)
    monkeypatch.setattr(writing, "_OFTEN", 1)
    with pytest.raises(UsageError, match="no recordings with transcripts"), _within(20):
        project.export(layout="asr", task_type="translation_review")
    assert not project.target.exists()
    assert project.export().task_types["translation_review"].written == 5


@contextmanager
def _within(seconds: int) -> Iterator[None]:
    """A stream that nobody closed would keep its connection, and who waits for that, for ever."""
    before = signal.signal(signal.SIGALRM, lambda *_: pytest.fail(f"still at work after {seconds} s"))
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def test_stale_statistics_make_no_loop_of_all_the_samples_over_all_the_samples(
    project: Project, database_url: str
) -> None:
    project.ingest(rows(_MANY))
    project.accept({f"c{number}": "heard" for number in range(6, _MANY + 1)})
    age(database_url)
    with project.ledger.transaction() as transaction:
        exports.assign_splits(transaction, 0.1, 0.1)  # the statistics still say that no sample has a split
        asked = "EXPLAIN (ANALYZE, FORMAT JSON) SELECT * FROM reviewed(:name, 'x') r WHERE r.is_assigned"
        (found,) = transaction.value(asked, name=TRANSCRIPT)
    assert found["Plan"]["Actual Rows"] == _MANY - 2
    assert max(_met(found["Plan"])) < 20 * _MANY


_MANY = 300


def _met(plan: dict[str, Any]) -> Iterator[float]:
    """The rows that each node of a plan met, over all its loops."""
    dropped = plan.get("Rows Removed by Join Filter", 0) + plan.get("Rows Removed by Filter", 0)
    yield (plan["Actual Rows"] + dropped) * plan["Actual Loops"]
    for part in plan.get("Plans", []):
        yield from _met(part)


def test_the_bar_is_full_at_the_end_though_its_length_was_a_guess(project: Project) -> None:
    project.ingest(rows(5)[1:], prune=True)
    totals, done = [], []
    project.export(progress=loop.Progress(totals.append, done.append))
    assert (totals[0], totals[-1], sum(done)) == (3, 2, 2)
    project.change_mind("c2", "heard better")
    totals.clear(), done.clear()
    project.export(progress=loop.Progress(totals.append, done.append))
    assert (totals[-1], sum(done)) == (1, 1)


def test_one_new_acceptance_writes_one_sample(project: Project) -> None:
    project.export()
    before = identity(project.target / TRANSCRIPT)
    project.accept({"c4": "mới"})
    done = project.export()
    assert (done.task_types[TRANSCRIPT].added, done.task_types[TRANSCRIPT].written) == (1, 1)
    now = identity(project.target / TRANSCRIPT)
    new = {path for path in now if now[path] != before.get(path)}
    assert new == {"index.jsonl", *(f"{project.folder('c4').name}/{name}" for name in _FILES)}


_FILES = ("audio.wav", "transcript.json", "metadata.json")


def test_an_edited_answer_is_written_anew_with_its_new_revision(project: Project) -> None:
    project.export()
    project.change_mind("c1", "xin chào ạ")
    done = project.export()
    assert (done.task_types[TRANSCRIPT].changed, done.task_types[TRANSCRIPT].written) == (1, 1)
    assert json.loads((project.folder("c1") / "transcript.json").read_text())["revision"] == 3
    assert project.metadata("c1")["training_row"]["transcript"] == "xin chào ạ"


def test_a_withdrawn_answer_disappears(project: Project) -> None:
    project.export()
    project.withdraw("c2")
    assert project.export().task_types[TRANSCRIPT].removed == 1
    assert project.exported() == {"c1", "c3"}
    assert '"c2"' not in (project.target / TRANSCRIPT / "index.jsonl").read_text()


def test_a_deleted_sample_disappears(project: Project) -> None:
    project.export()
    project.ingest(rows(5)[1:], prune=True)
    project.export()
    assert project.exported() == {"c2", "c3"}


def test_what_is_in_an_open_conflict_is_not_exported(project: Project) -> None:
    project.export()
    project.ingest(
        [{**row, "media": "audio/new.wav"} if row["external_id"] == "c1" else row for row in rows(5)]
    )
    project.change_mind("c1", "said of the old recording")
    assert project.office.value("SELECT count(*) FROM conflicts WHERE status = 'open'") == 1
    project.export()
    assert project.exported() == {"c2", "c3"}


def test_an_answer_to_a_recording_that_was_replaced_is_not_exported_with_the_new_one(
    project: Project,
) -> None:
    project.export()
    project.ingest(
        [{**row, "media": "audio/new.wav"} if row["external_id"] == "c1" else row for row in rows(5)]
    )
    project.export()
    assert project.exported() == {"c2", "c3"}
    project.ingest(rows(5))
    project.export()
    assert project.exported() == {"c1", "c2", "c3"}


def test_a_change_upstream_in_what_nobody_looked_at_writes_nothing(project: Project) -> None:
    project.export()
    project.ingest(rows(5, station="vtv", priority=3))
    assert not project.export().replaced


def test_the_language_of_a_sample_is_told_where_its_errors_are_counted_by_it(project: Project) -> None:
    project.export()
    assert "language" not in project.metadata("c1")
    project.ingest(rows(5, language="vi"))
    project.export()
    assert project.metadata("c1")["language"] == "vi"


def test_gold_is_marked_and_never_in_a_split_or_a_training_row(project: Project, tmp_path: Path) -> None:
    before = project.export()
    gold.set_standard(project.ledger, project.office.sample("c1"), 1.0, "boss")
    assert project.export().manifest_sha256 != before.manifest_sha256
    assert (project.metadata("c1")["gold"], project.metadata("c1")["split"]) == (True, None)
    for layout in ("jsonl", "hf", "shards", "asr"):
        project.export(target=tmp_path / layout, layout=layout)
        assert "xin chào".encode() not in b"".join(
            content
            for name, content in contents(tmp_path / layout).items()
            if not name.endswith("index.jsonl")
        )


def test_what_upstream_or_a_model_said_is_not_exported(project: Project) -> None:
    project.export()
    assert not {"c4", "c5"} & project.exported()


def test_a_translation_is_exported_beside_the_transcript(project: Project) -> None:
    project.ingest([{**row, "translation": "as translated"} for row in rows(5)])
    office = Office(project.ledger, project.config, "translation_review")
    numbers = {office.claims[n].sample.external_id: n for n in office.push(10)}
    value = {"translation": "hello", "issues": [], "rating": 5, "notes": ""}
    office.answer(numbers["c1"], "bob@example.com", value)
    office.pull()
    project.export()
    assert project.exported("translation_review") == {"c1"}
    row = project.metadata("c1", "translation_review")["training_row"]
    assert (row["transcript"], row["translation"]) == ("xin chào", "hello")
    assert (project.folder("c1", "translation_review") / "translation.json").is_file()


def test_only_the_named_task_type_is_touched(project: Project) -> None:
    project.export()
    project.accept({"c4": "mới"})
    done = project.export(task_type="translation_review")
    assert list(done.task_types) == ["translation_review"]
    assert "c4" not in project.exported()
    assert list(project.export(task_type="transcript_verification").task_types) == [TRANSCRIPT]
    assert "c4" in project.exported()


def test_the_limit_bounds_what_comes_in_new_and_the_rest_follows(project: Project) -> None:
    assert (project.export(limit=2).task_types[TRANSCRIPT].waiting, project.exported()) == (1, {"c1", "c2"})
    project.change_mind("c1", "changed")
    project.export(limit=1)
    assert project.exported() == {"c1", "c2", "c3"}
    assert project.metadata("c1")["training_row"]["transcript"] == "changed"


def test_a_dry_run_tells_what_would_be_done_and_does_nothing(project: Project) -> None:
    done = project.export(dry_run=True)
    assert (done.task_types[TRANSCRIPT].added, done.replaced) == (3, False)
    assert not project.target.exists()
    assert project.office.value("SELECT count(*) FROM samples WHERE split IS NOT NULL") == 0
    assert project.office.value("SELECT count(*) FROM splits") == 0


def test_include_exported_writes_everything_again_and_so_heals_the_folder(project: Project) -> None:
    project.export()
    before = contents(project.target)
    (project.folder("c1") / "transcript.json").write_text("{}")
    assert project.export().task_types[TRANSCRIPT].written == 0
    assert project.export(again=True).task_types[TRANSCRIPT].written == 3
    assert contents(project.target) == before


def test_while_nothing_happened_in_the_ledger_the_export_does_not_ask_what_people_accepted(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.export()
    asked: list[str] = []
    gather = exports.gather
    monkeypatch.setattr(
        exports, "gather", lambda of, name, layout: (asked.append(name), gather(of, name, layout))
    )
    project.export()
    assert asked == []
    index = project.target / TRANSCRIPT / "index.jsonl"
    index.write_text(index.read_text().partition("\n")[0] + "\n")  # as if something else had been checked out
    project.export()
    assert asked == [TRANSCRIPT]
    project.export(limit=1, target=project.config.project_dir / "part", task_type=TRANSCRIPT)
    project.export(target=project.config.project_dir / "part", task_type=TRANSCRIPT)
    assert len(list((project.config.project_dir / "part" / TRANSCRIPT).iterdir())) == 4
    asked.clear()
    gold.set_standard(project.ledger, project.office.sample("c1"), 1.0, "boss")
    project.export(task_type=TRANSCRIPT)
    assert (asked, project.metadata("c1")["gold"]) == ([TRANSCRIPT], True)


def test_a_sample_that_somebody_removed_from_the_folder_comes_back(project: Project) -> None:
    project.export()
    before = contents(project.target)
    folder = project.folder("c1")
    folder.rename(folder.parent.parent.parent / "away")
    assert project.export().task_types[TRANSCRIPT].written == 1
    assert contents(project.target) == before


def test_the_manifest_counts_and_says_where_everything_comes_from(project: Project) -> None:
    project.export()
    told = json.loads((project.target / "manifest.json").read_text())["task_types"][TRANSCRIPT]
    assert (told["samples"], told["gold"], sum(told["splits"].values())) == (3, 0, 3)
    assert told["lineage"]["annotators"] == {"ann@example.com": 3}
    assert told["lineage"]["newest_revision"] == project.office.value(
        "SELECT max(revision_id) FROM revisions"
    )
    assert told["watermark"] == loop.watermark(project.ledger, project.config)[TRANSCRIPT]


def test_without_manifest_it_is_left_as_it_is(project: Project) -> None:
    project.export(with_manifest=False)
    assert not (project.target / "manifest.json").exists()
    project.export()
    before = (project.target / "manifest.json").read_bytes()
    project.accept({"c4": "mới"})
    project.export(with_manifest=False)
    assert (project.target / "manifest.json").read_bytes() == before


def test_each_exported_sample_remembers_its_revision_and_manifest(project: Project) -> None:
    first = project.export()
    project.change_mind("c1", "changed")
    project.withdraw("c2")
    second = project.export()
    remembered = {
        row.external_id: (row.revisions, row.manifest_sha256, row.removed)
        for row in project.office.rows(
            """SELECT external_id, revisions, manifest_sha256, removed_by IS NOT NULL AS removed
                 FROM exported_samples JOIN samples USING (sample_id) JOIN exports USING (export_id)"""
        )
    }
    assert remembered == {
        "c1": ({"transcript": 3}, second.manifest_sha256, False),
        "c2": ({"transcript": 2}, first.manifest_sha256, True),
        "c3": ({"transcript": 2}, first.manifest_sha256, False),
    }


def test_an_export_that_changed_nothing_is_not_written_down_again(project: Project) -> None:
    project.export()
    project.export()
    assert project.office.value("SELECT count(*) FROM exports") == 1


def test_media_that_are_not_there_or_not_the_same_leave_the_sample_out_by_name(project: Project) -> None:
    (project.config.raw_dir / "audio" / "1.wav").unlink()
    (project.config.raw_dir / "audio" / "2.wav").write_bytes(content("another.wav"))
    problems = project.export().task_types[TRANSCRIPT].problems
    assert [problem.partition(":")[0] for problem in problems] == ["c1", "c2"]
    assert project.exported() == {"c3"}
    (project.config.raw_dir / "audio" / "1.wav").write_bytes(content("audio/1.wav"))
    (project.config.raw_dir / "audio" / "2.wav").write_bytes(content("audio/2.wav"))
    assert project.export().task_types[TRANSCRIPT].problems == []
    assert project.exported() == {"c1", "c2", "c3"}


def test_what_git_and_dvc_keep_in_the_folder_stays(project: Project) -> None:
    project.target.mkdir(parents=True)
    (project.target / ".gitignore").write_text("/transcript_correction\n")
    project.export()
    assert (project.target / ".gitignore").read_text() == "/transcript_correction\n"
    assert project.exported() == {"c1", "c2", "c3"}


@pytest.mark.parametrize("place", [".", "..", "data", "data/raw", "data/raw/audio", "work", "work/file"])
def test_a_folder_that_holds_something_else_is_refused(project: Project, place: str) -> None:
    work = project.config.project_dir / "work"
    (work / "thesis").mkdir(parents=True)
    (work / "file").write_text("")
    with pytest.raises(UsageError):
        project.export(target=project.config.project_dir / place)
    assert (work / "thesis").is_dir()


def test_a_folder_of_the_task_type_that_no_export_made_is_refused(project: Project) -> None:
    (project.target / TRANSCRIPT).mkdir(parents=True)
    (project.target / TRANSCRIPT / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="no export made"):
        project.export()
    assert (project.target / TRANSCRIPT / "notes.txt").read_text() == "mine"


def test_the_watermark_changes_exactly_when_an_export_would_write(project: Project) -> None:
    def marks() -> Any:
        return loop.watermark(project.ledger, project.config)

    first = marks()
    project.export()
    assert marks() == first
    project.ingest([*rows(5, station="vtv"), {"external_id": "c6", "transcript": "new"}])
    assert marks() == first
    project.change_mind("c1", "changed")
    second = marks()
    assert second != first
    gold.set_standard(project.ledger, project.office.sample("c2"), 1.0, "boss")
    assert marks() != second


def test_a_sample_that_went_round_again_is_exported_once_with_its_new_answer(project: Project) -> None:
    project.export()
    child = project.office.value(
        "SELECT create_conflict_sample(:id, 'listen again')", id=project.office.sample("c1")
    )
    project.export()
    assert project.exported() == {"c1", "c2", "c3"}
    numbers = project.office.push(10)
    number = next(n for n in numbers if project.office.claims[n].sample.sample_id == child)
    project.office.answer(number, "bob@example.com", said("heard better"))
    project.office.pull([number])
    project.export()
    assert project.exported() == {"c1#reflow-1", "c2", "c3"}
