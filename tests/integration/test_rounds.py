"""`lsloop loop`: rounds that are killed, stopped and gone on with, on a real Label Studio; nothing is done
twice."""

import json
import os
import signal
import uuid
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from faults import processes
from faults.processes import Point
from lsloop import loop
from lsloop.commands import main
from lsloop.config import Config, Conflicts, Export, TaskType
from lsloop.demo import shift
from lsloop.labelstudio import client, tasks
from lsloop.labelstudio.client import LabelStudio
from lsloop.labelstudio.people import add_annotator
from lsloop.ledger import Ledger, conflicts, projects
from lsloop.ledger.rounds import People
from lsloop.running import rounds
from lsloop.running.rounds import corrections
from lsloop.steps import conflict
from lsloop.task_types import load
from predicting import Speech, ingest, project, rows
from services import Studio
from world import TRANSCRIPT, transcript, wait_until

pytestmark = pytest.mark.studio

SENT = 10
TRAINING = {"max_steps": 2, "batch_size": 4, "save_steps": 0, "plots": False}
LOOP = ("loop", "--task-type", TRANSCRIPT, "--wait-for-annotations", str(SENT), "--by", "linh")


@pytest.fixture
def config(tmp_path: Path, ledger: Ledger, database_url: str, speech: Speech, studio: Studio) -> Config:
    """Thirty recordings in the ledger, and a model that has not learnt anything."""
    stack = {
        "database_url": database_url,
        "label_studio_url": studio.url,
        "label_studio_api_key": studio.token,
    }
    settings = project(
        tmp_path, speech, 30, stack=stack,
        models={TRANSCRIPT: {"base": "models/base", "minimum_test": 2, "training": TRAINING}},
        push={"settle_seconds": 1, "batch": 4, "random_share": 0.0}, gold={"ratio": 0.0},
        export={"validation": 0.0, "test": 0.4},
    )  # fmt: skip
    ingest(ledger, settings)
    return settings


@pytest.fixture
def people(config: Config) -> Iterator[LabelStudio]:
    with closing(client.connect(config.label_studio_url, config.label_studio_api_key)) as found:
        yield found


def answer(people: LabelStudio, config: Config, ledger: Ledger, said: dict[str, str]) -> int:
    """Answer every open task as it was said, but for the first, where the proposal is taken as it is; how
    many."""
    waiting = [one for one in sent(people, config, ledger) if not one["total_annotations"]]
    for number, task in enumerate(waiting):
        (proposed,) = task["predictions"]
        result = [
            {**region, "value": {"text": [said[shift.clip(task)]]}} for region in proposed["result"][:1]
        ]
        tasks.annotate(
            people, task["id"], result if number else proposed["result"], lead_time=1.0, was_cancelled=False,
            parent_prediction=proposed["id"],
        )  # fmt: skip
    return len(waiting)


def sent(people: LabelStudio, config: Config, ledger: Ledger) -> list[Any]:
    """Every task in Label Studio."""
    there = projects.find(ledger, TRANSCRIPT, config.label_studio_server)
    assert there is not None
    assert there.ls_project_id is not None
    return shift.seen(people, there.ls_project_id)


def the_rounds(ledger: Ledger) -> list[Any]:
    return rows(ledger, "SELECT number, of_rounds, resumed, parts, ended_at FROM rounds ORDER BY round_id")


def test_a_round_that_is_killed_again_and_again_does_everything_once(
    config: Config, ledger: Ledger, people: LabelStudio, speech: Speech, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = config.project_dir
    said = {f"clip-{number:03d}": speech.said[clip.stem] for number, clip in enumerate(speech.clips)}
    for point in (Point("lsloop.ledger.tasks:opened"), Point("lsloop.loop:push")):
        assert processes.run(folder, *LOOP, at=point).wait() == -signal.SIGKILL
    assert rows(ledger, "SELECT count(*) AS n FROM tasks")[0].n == SENT
    stopped_while_it_waits(folder)
    assert answer(people, config, ledger, said) == SENT
    assert processes.run(folder, *LOOP, at=Point("lsloop.loop:retrain")).wait() == -signal.SIGKILL
    assert main(["-C", str(folder), *LOOP, "--json", "--quiet"]) == 0
    done = json.loads(capsys.readouterr().out)
    (ended,) = the_rounds(ledger)
    assert set(ended.parts) == {"predict", "push", "wait", "pull", "export", "retrain"}
    assert (ended.number, ended.of_rounds, ended.resumed) == (1, 1, 4)
    assert ended.ended_at
    assert {row.n for row in rows(ledger, "SELECT count(*) AS n FROM predictions GROUP BY sample_id")} == {1}
    assert rows(ledger, "SELECT count(*) AS n FROM tasks")[0].n == SENT == len(sent(people, config, ledger))
    assert rows(ledger, "SELECT count(*) AS n FROM model_versions")[0].n == 1
    before, line = done["table"]
    assert (line["accepted"], line["answers"], before["number"]) == (SENT, SENT, 0)
    assert line["acceptance"] == pytest.approx(1 / SENT)
    assert line["words_changed"] > 0
    assert line["promoted"] == bool(rows(ledger, "SELECT FROM model_versions WHERE promoted_at IS NOT NULL"))


def test_answers_that_do_not_agree_are_decided_while_the_round_waits(
    config: Config, ledger: Ledger, people: LabelStudio
) -> None:
    """By one person more; upstream changes its mind meanwhile, too. No other sample is sent for it."""
    open_conflicts = Conflicts(text="open", media="open")
    config = replace(config, params=config.params.model_copy(update={
        "task_types": {TRANSCRIPT: TaskType(overlap=2, conflicts=open_conflicts)},
        "export": Export(validation=0, test=0.99),
    }))  # fmt: skip
    waited, seen = iter(range(60)), list[int]()

    def pause(at: People) -> None:
        assert next(waited) < 50
        there = sent(people, config, ledger)
        assert len(there) <= 2, "another sample was sent"
        new = [task for task in there if not task["total_annotations"]]
        if new and len(there) == 1:
            for who, text in (("an", "một hai ba"), ("binh", "bốn năm sáu")):
                email = f"{who}-{uuid.uuid4().hex[:8]}@example.com"
                with closing(
                    client.connect(people.url, add_annotator(people, email, uuid.uuid4().hex))
                ) as person:
                    tasks.annotate(person, new[0]["id"], transcript(text), lead_time=1.0)
        elif new:
            crawled(config, ledger, "clip-000", "bảy tám chín")
            tasks.annotate(people, new[0]["id"], transcript("một hai ba bốn"), lead_time=1.0)
        elif found := conflicts.find(ledger, conflicts.Filter()):
            seen.append(at.disputed)
            if len(seen) == 3:
                assert seen[-1] == 0, "an adjudication that was answered was asked for again"
                assert loop.push(ledger, people, config, TRANSCRIPT, limit=5, fresh=False).sent == 0
                conflict.resolve(ledger, load(TRANSCRIPT), found[0], "human_wins", actor="lead")

    (ended,) = rounds.run(
        ledger, people, config,
        rounds.Wanted(TRANSCRIPT, 1, accepted=1, limit=1, order="oldest", actor="linh", sweep=0, pause=pause),
    )  # fmt: skip
    assert (ended.parts["wait"]["accepted"], ended.parts["wait"]["open"]) == (1, 0)
    states = rows(ledger, "SELECT state, adjudicates IS NOT NULL FROM tasks ORDER BY claimed_at")
    assert states == [("resolved", False), ("resolved", True)]
    (current,) = rows(ledger, "SELECT fields ->> 'transcript' FROM samples WHERE external_id = 'clip-000'")
    assert current == ("một hai ba bốn",)


def crawled(config: Config, ledger: Ledger, external_id: str, text: str) -> None:
    """Upstream says something else of a sample."""
    path = config.raw_dir / "metadata.jsonl"
    told = [json.loads(line) for line in path.read_text().splitlines()]
    for row in told:
        row["transcript"] = text if row["external_id"] == external_id else row["transcript"]
    path.write_text("".join(json.dumps(row) + "\n" for row in told))
    ingest(ledger, config)


def wait_until_it_waits(command: processes.Command) -> None:
    wait_until(lambda: "open in Label Studio" in command.said, processes.LONGEST)


def stopped_while_it_waits(folder: Path) -> None:
    """Ctrl-C ends it at once, and safely."""
    with processes.start(folder, *LOOP) as waiting:
        wait_until_it_waits(waiting)
        assert waiting.process.pid is not None
        os.kill(waiting.process.pid, signal.SIGINT)
        assert waiting.wait() == 130


def test_one_at_a_time_until_nothing_is_left_to_annotate(
    config: Config, ledger: Ledger, people: LabelStudio, capsys: pytest.CaptureFixture[str]
) -> None:
    rows(ledger, "UPDATE samples SET deleted_at = now() WHERE external_id <> 'clip-000' RETURNING 1")
    command = ("-C", str(config.project_dir), *LOOP, "--rounds", "3")
    with processes.start(config.project_dir, *LOOP, "--rounds", "3") as at_work:
        wait_until_it_waits(at_work)
        assert main([*command, "--quiet"]) == 1
        assert "Somebody else runs rounds" in capsys.readouterr().err
        at_work.kill()
    assert answer(people, config, ledger, {"clip-000": "tôi"}) == 1
    assert main([*command]) == 0
    told = capsys.readouterr()
    assert "There is nothing left to annotate." in told.out
    first, second = the_rounds(ledger)
    assert (first.number, first.resumed, second.number, second.of_rounds) == (1, 1, 2, 2)
    assert second.parts["push"]["sent"] == 0


def test_what_people_changed_is_counted() -> None:
    made = [
        ({"transcript": "tôi mua cá"}, {"transcript": "tôi mua cá"}),
        ({"transcript": "tôi mua cá"}, {"transcript": "tôi bán cá mới"}),
    ]
    counted = corrections(load(TRANSCRIPT), made)
    changed = {"words_changed": 2, "words": 7, "changed": 2, "total": 7, "unit": "words"}
    assert counted == {"answers": 2, "unchanged": 1, **changed}
