"""Predict: what waits gets a prediction, once, whoever is at it; and what cannot be predicted holds up
nothing else."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from faults import processes
from faults.processes import Point
from lsloop import commands, loop
from lsloop.asking import Loaded
from lsloop.config import Config
from lsloop.errors import UsageError
from lsloop.ledger import Ledger, predictions, problems, versions
from lsloop.ledger.predictions import Backlog
from lsloop.models import Guess, Row, _audio
from lsloop.running import jobs
from lsloop.steps import prediction
from mischief import MISCHIEF, Mischief
from office import Office
from predicting import Speech, ingest, project, rows
from world import TRANSCRIPT

CHECKED = "lsloop.labelstudio.interface:check_predictions"  # called once per claim, before it is written down


@pytest.fixture
def config(tmp_path: Path, ledger: Ledger, database_url: str, speech: Speech) -> Config:
    """Thirty-six recordings in the ledger, and a model in params.yaml."""
    settings = project(tmp_path, speech, 36, stack={"database_url": database_url})
    ingest(ledger, settings)
    return settings


def model_versions(ledger: Ledger) -> dict[str, list[str]]:
    """The model versions that answered for each sample, oldest first."""
    found = rows(
        ledger,
        """SELECT external_id, array_agg(model_version ORDER BY prediction_id) AS versions
             FROM predictions JOIN samples USING (sample_id) GROUP BY 1""",
    )
    return {row.external_id: row.versions for row in found}


def test_every_sample_gets_one_prediction_that_names_its_model(config: Config, ledger: Ledger) -> None:
    told: list[int] = []
    done = loop.predict(ledger, config, TRANSCRIPT, progress=loop.Progress(told.append, told.append))
    assert (done.predicted, done.failed) == (36, 0)
    assert set(map(tuple, model_versions(ledger).values())) == {(done.model_version,)}
    assert done.model_version.startswith("base-")
    assert told[0] == 36 == sum(told[1:])
    (first, *_) = rows(ledger, "SELECT value, score, uncertainty, sync_version FROM predictions")
    assert set(first.value) == {"transcript", "quality_flags", "confidence", "notes"}
    assert 0 <= first.uncertainty <= 1
    again = loop.predict(ledger, config, TRANSCRIPT)
    assert (again.predicted, len(model_versions(ledger))) == (0, 36)


def test_all_predicts_again_and_changes_nothing_that_is_the_same(config: Config, ledger: Ledger) -> None:
    loop.predict(ledger, config, TRANSCRIPT, limit=20)
    before = rows(ledger, "SELECT prediction_id, value FROM predictions ORDER BY 1")
    assert loop.predict(ledger, config, TRANSCRIPT, since=predictions.now(ledger)).predicted == 36
    assert rows(ledger, "SELECT prediction_id, value FROM predictions ORDER BY 1")[:20] == before


def test_new_content_and_another_model_are_predicted_and_what_was_shown_stays(
    config: Config, ledger: Ledger, speech: Speech
) -> None:
    loop.predict(ledger, config, TRANSCRIPT)
    shutil.copy(speech.clips[39], config.raw_dir / "audio" / "clip-001.wav")
    ingest(ledger, config)
    assert loop.predict(ledger, config, TRANSCRIPT).predicted == 1
    assert [
        len(found) for found in (model_versions(ledger)["clip-000"], model_versions(ledger)["clip-001"])
    ] == [1, 2]
    other = loop.predict(ledger, config, TRANSCRIPT, model=str(speech.other))
    assert other.predicted == 36
    assert (
        model_versions(ledger)["clip-000"][1] == other.model_version != model_versions(ledger)["clip-000"][0]
    )
    # Back to the first model: its answers are the newest again.
    assert loop.predict(ledger, config, TRANSCRIPT).predicted == 36
    (newest,) = rows(
        ledger,
        """SELECT DISTINCT (current_prediction(s, 'transcript_correction',
           '{media}')).model_version AS v FROM samples s""",
    )
    assert newest.v == model_versions(ledger)["clip-000"][0]


def test_the_promoted_version_answers_and_not_the_base(
    config: Config, ledger: Ledger, speech: Speech
) -> None:
    shutil.copytree(speech.other, config.project_dir / "models" / "v2")
    made = versions.Version(
        "v2-abc", TRANSCRIPT, "models/v2", "0" * 64, "models/base", None, "1" * 64, {}, 0, "0", {}
    )
    versions.register(ledger, made)
    versions.promote(ledger, "v2-abc", "test")
    assert loop.predict(ledger, config, TRANSCRIPT, limit=2).model_version == "v2-abc"
    assert model_versions(ledger) == {"clip-000": ["v2-abc"], "clip-001": ["v2-abc"]}


def test_without_a_model_it_says_what_to_do(config: Config, ledger: Ledger) -> None:
    bare = Config(
        config.project_dir, config.params.model_copy(update={"models": {}}), config.environment, config.stack
    )
    with pytest.raises(UsageError, match=f"no model for {TRANSCRIPT}"):
        loop.predict(ledger, bare, TRANSCRIPT)
    with pytest.raises(UsageError, match="no model at"):
        loop.predict(ledger, config, TRANSCRIPT, model="./nowhere")


def test_a_bad_recording_is_named_and_the_others_are_predicted(
    config: Config, ledger: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    (config.raw_dir / "audio" / "clip-003.wav").write_bytes(b"not a sound")
    (config.raw_dir / "audio" / "clip-007.wav").unlink()
    assert (
        commands.main(["-C", str(config.project_dir), "predict", "--task-type", TRANSCRIPT, "--json", "-q"])
        == 1
    )
    said = json.loads(capsys.readouterr().out)
    assert (said["predicted"], said["failed"]) == (34, 2)
    reasons = {one["external_id"]: one["problem"] for one in said["problems"]}
    assert sorted(reasons) == ["clip-003", "clip-007"]
    assert "cannot be read" in reasons["clip-003"]
    assert "clip-007.wav" in reasons["clip-007"]
    assert len(model_versions(ledger)) == 34
    assert predictions.count(ledger, Backlog(TRANSCRIPT, ("media",), said["model_version"])) == 2


def test_whatever_a_model_does_with_one_sample_is_a_problem_of_that_sample_only(
    config: Config, ledger: Ledger
) -> None:
    names = [f"clip-{number:03d}" for number in range(36)]
    bad = dict(zip(names, MISCHIEF, strict=False))
    asking = loop.asking(ledger, config, TRANSCRIPT)
    backlog = Backlog(TRANSCRIPT, ("media",), "mischief")
    done = prediction.predict(ledger, backlog, asking, lambda: Loaded("mischief", Mischief(bad)))
    failed = {one["external_id"]: one["problem"] for one in done.problems}
    assert set(model_versions(ledger)) == set(names) - set(failed)
    assert set(failed) == set(bad), {name: bad[name] for name in set(bad) - set(failed)}
    assert failed["clip-000"] == "no"
    listed, total = problems.listed(ledger, step="predict")
    assert total == len(bad)
    assert {one["external_id"] for one in listed} == set(bad)
    again = prediction.predict(ledger, backlog, asking, lambda: Loaded("mischief", Mischief({})))
    assert (again.predicted, again.failed) == (len(bad), 0)
    assert problems.listed(ledger, step="predict") == ([], 0)


def test_a_killed_worker_keeps_what_it_wrote_and_lets_go_at_once(config: Config, ledger: Ledger) -> None:
    killed = processes.run(config.project_dir, "predict", "-t", TRANSCRIPT, at=Point(CHECKED, "before", 2))
    assert killed.wait() == -9
    written = len(model_versions(ledger))
    assert written in (0, 32)  # the first piece may have been on its way
    assert rows(ledger, "SELECT count(*) AS n FROM prediction_claims")[0].n == 36 - written
    done = loop.predict(ledger, config, TRANSCRIPT)
    assert done.predicted == 36 - written
    assert {len(found) for found in model_versions(ledger).values()} == {1}
    assert rows(ledger, "SELECT count(*) AS n FROM prediction_claims")[0].n == 0


def test_two_workers_share_the_work_and_do_nothing_twice(config: Config, ledger: Ledger) -> None:
    folder = config.project_dir
    with (
        processes.start(folder, "predict", "-t", TRANSCRIPT, "--json", "--quiet") as one,
        processes.start(folder, "predict", "-t", TRANSCRIPT, "--json", "--quiet") as two,
    ):
        assert (one.wait(), two.wait()) == (0, 0)
    assert sum(json.loads(command.said)["predicted"] for command in (one, two)) == 36
    assert len(model_versions(ledger)) == 36


class Timekeeper:
    """Answers anything, and keeps how long the recordings were that it was asked about, and how many were
    claimed then."""

    concurrency = 1

    def __init__(self, ledger: Ledger) -> None:
        self.ledger, self.pieces, self.claimed = ledger, list[list[float]](), list[int]()

    def predict(self, asked: Sequence[Row]) -> list[Guess]:
        self.pieces.append([_audio.seconds(row) for row in asked])
        self.claimed.append(rows(self.ledger, "SELECT count(*) AS n FROM prediction_claims")[0].n)
        return [Guess({"transcript": "a"}, 0.5, 0.5) for _ in asked]


@pytest.mark.parametrize(
    ("short", "long", "sizes", "most"), [(60.0, 60.0, [4, 8, 16, 8], 32), (0.0, 0.0, [4, 2, 1, 1], 12)]
)
def test_recordings_of_like_length_are_answered_together_and_a_slow_model_claims_few(
    config: Config, ledger: Ledger, monkeypatch: pytest.MonkeyPatch,
    short: float, long: float, sizes: list[int], most: int,
) -> None:  # fmt: skip
    for name, value in {"FIRST": 12, "PIECE": 4, "SHORT": short, "LONG": long}.items():
        monkeypatch.setattr(prediction, name, value)
    asked, model = loop.asking(ledger, config, TRANSCRIPT), Timekeeper(ledger)
    backlog = Backlog(TRANSCRIPT, asked.kind.READS, "v1")
    assert prediction.predict(ledger, backlog, asked, lambda: Loaded("v1", model)).predicted == 36
    assert [len(piece) for piece in model.pieces][: len(sizes)] == sizes
    assert max(model.claimed[1:]) <= most
    later = [seconds for piece in model.pieces[1:4] for seconds in piece]
    assert later == sorted(later)


def test_jobs_share_a_backlog_and_are_queued_once(
    config: Config, ledger: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [
        "-C",
        str(config.project_dir),
        "predict",
        "-t",
        TRANSCRIPT,
        "--background",
        "--workers",
        "2",
        "--json",
        "-q",
    ]
    assert commands.main([*command, "--all", "--limit", "9"]) == 0
    assert len(json.loads(capsys.readouterr().out)["jobs"]) == 2
    assert commands.main(command) == 0
    assert json.loads(capsys.readouterr().out) == {"jobs": []}
    queued = rows(
        ledger, "SELECT task_name, queue_name, args FROM lsloop_jobs.procrastinate_jobs ORDER BY id"
    )
    assert {(job.task_name, job.queue_name) for job in queued} == {("predict", "predict")}
    for job in queued:
        jobs.JOBS[job.task_name].run(config, **job.args)
    assert len(model_versions(ledger)) == 10


def test_a_job_that_no_model_can_do_is_not_queued(
    config: Config, ledger: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    params = config.project_dir / "params.yaml"
    params.write_text(f"task_types: {{{TRANSCRIPT}: {{}}}}\n")
    command = ["-C", str(config.project_dir), "predict", "-t", TRANSCRIPT, "--background"]
    assert commands.main(command) == 2
    said = capsys.readouterr().err
    assert f"There is no model for {TRANSCRIPT}." in said
    assert f"models.{TRANSCRIPT}.base in params.yaml" in said
    assert rows(ledger, "SELECT 1 FROM lsloop_jobs.procrastinate_jobs") == []


def test_claims_of_the_living_are_passed_over_and_nobody_waits(office_ledger: Office) -> None:
    ledger, backlog = office_ledger.ledger, Backlog(TRANSCRIPT, ("media",), "m")
    with predictions.worker(ledger, backlog) as one:
        mine = one.claim(2)
        with predictions.worker(ledger, backlog) as two:
            theirs = two.claim(5)
            assert [s.external_id for s in mine] == ["a", "b"]
            assert [s.external_id for s in theirs] == ["c"]
        office_ledger.crawl("a", media="2")  # upstream does not wait for a model
        one.record(mine, [None, None])
        assert [s.external_id for s in one.claim(5)] == ["c"]  # two is gone and wrote nothing


@pytest.fixture
def office_ledger(ledger: Ledger) -> Office:
    office = Office(ledger)
    for name in "abc":
        office.crawl(name, transcript=f"said in {name}")
    return office


def waiting(office: Office) -> list[str]:
    with predictions.worker(office.ledger, Backlog(TRANSCRIPT, ("media",), "m")) as worker:
        return [sample.external_id for sample in worker.claim(100)]


def test_gold_waits_although_no_push_takes_it_and_what_people_are_at_does_not(office_ledger: Office) -> None:
    office = office_ledger
    office.send(limit=2)
    assert waiting(office) == ["c"]
    office.answer("a", "said in a")
    assert waiting(office) == ["c"]
    rows(office.ledger, "SELECT set_gold_standard(sample_id, 1, 'lead') FROM samples WHERE external_id = 'a'")
    assert waiting(office) == ["a", "c"]
    office.crawl("b", media="2", transcript="said in b")  # what the annotator hears is another recording now
    assert waiting(office) == ["a", "b", "c"]


def test_what_an_annotator_left_to_begin_from_is_not_replaced(office_ledger: Office) -> None:
    office = office_ledger
    office.send(limit=1)
    office.answer("a", "said in a, corrected")
    rows(
        office.ledger,
        "SELECT create_conflict_sample(sample_id, 'look again') FROM samples WHERE external_id = 'a'",
    )
    assert waiting(office) == ["b", "c"]
