"""Trainings in the background: whoever asks how often, one runs; milestones ask by themselves, once each."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

import learning
from exporting import TRANSCRIPT
from learning import Learner
from lsloop import config
from lsloop.loop.pull import milestone
from lsloop.running import jobs
from world import wait_until


@pytest.fixture
def learner(learner: Learner) -> Learner:
    learner.write_params(milestones=(40, 90, 200), training=learning.TRAINING | {"max_steps": 4})
    return learner


@contextmanager
def working(learner: Learner) -> Iterator[None]:
    """A worker of trainings, in threads of this process."""
    stop, said = threading.Event(), list[str]()
    arguments = (config.load(learner.config.project_dir), ["train"], stop.wait, said.append)
    thread = threading.Thread(target=jobs.work, args=arguments)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(20)
        assert not thread.is_alive()
    assert said == []


def test_two_requests_make_one_run(learner: Learner, capsys: pytest.CaptureFixture[str]) -> None:
    asked = set()
    for _ in range(2):
        assert learner.retrain("--background", "--no-promote", "--json") == 0
        asked.add(json.loads(capsys.readouterr().out)["training"])
    assert len(asked) == 1
    assert [one["state"] for one in learner.trainings()] == ["queued"]
    with working(learner):
        wait_until(lambda: learner.trainings()[0]["state"] == "done", 90)
    (training,) = learner.trainings()
    (version,) = learner.versions()
    assert (training["requested_by"], training["model_version"], version.in_use) == (
        "linh",
        version.version,
        False,
    )
    assert training["outcome"].startswith("Not promoted, as asked")


def test_a_training_that_has_nothing_to_begin_from_is_not_queued(
    learner: Learner, capsys: pytest.CaptureFixture[str]
) -> None:
    params = learner.config.project_dir / "params.yaml"
    params.write_text(f"task_types: {{{TRANSCRIPT}: {{}}}}\n", encoding="utf-8")
    assert learner.retrain("--background") == 2
    assert f"No base model is configured for {TRANSCRIPT}." in capsys.readouterr().err
    assert learner.trainings() == []


def test_a_milestone_asks_for_a_training_that_a_worker_takes_up(learner: Learner) -> None:
    settings = config.load(learner.config.project_dir)
    assert milestone(learner.ledger, settings, TRANSCRIPT)
    assert milestone(learner.ledger, settings, TRANSCRIPT) is None
    (
        learner.target / TRANSCRIPT / "index.jsonl"
    ).unlink()  # what lies there now, no export made: the job fails at once
    with working(learner):
        wait_until(lambda: learner.trainings()[0]["state"] == "failed", 30)
    reached, passed = learner.trainings()
    assert (reached["milestone"], passed["milestone"], passed["state"]) == (90, 40, "superseded")
    assert "no export made" in reached["error"]

    learner.write_params(base=None, milestones=(50,))
    assert milestone(learner.ledger, config.load(learner.config.project_dir), TRANSCRIPT) is None
