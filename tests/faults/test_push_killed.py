"""A push that is killed anywhere is finished by the next one: every sample in Label Studio exactly once."""

import signal

import pytest

from faults import processes, promises
from faults.conftest import SAMPLES
from faults.processes import Point
from world import TRANSCRIPT, World

PUSH = ("push", "--task-type", TRANSCRIPT)

POINTS = [
    Point("lsloop.ledger.tasks:claim", "after"),
    Point("lsloop.ledger.tasks:claim", "after", 3),
    Point("lsloop.ledger.tasks:content", "after", 2),
    Point("lsloop.ledger.tasks:about_to_send", "after", 2),
    Point("lsloop.labelstudio.tasks:import_batch", "after", 2),
    Point("lsloop.ledger.tasks:opened", "before", 2),
    Point("lsloop.ledger.tasks:opened", "after", 2),
    Point("lsloop.labelstudio.projects:update", "before"),
    Point("lsloop.labelstudio.projects:update", "after"),
]


@pytest.mark.parametrize("point", POINTS, ids=str)
def test_a_killed_push_is_finished_by_the_next(scene: World, point: Point) -> None:
    predict(scene)
    killed = processes.run(scene.config.project_dir, *PUSH, at=point)
    assert killed.wait() == -signal.SIGKILL, killed.said

    scene.push()
    promises.check_sent_once(scene)
    assert scene.studio.get(f"api/projects/{scene.ls_project_id}/")["model_version"] == "m-1"

    answers = promises.answer_all(scene)
    scene.pull()
    assert len(answers) == SAMPLES
    promises.check_received_once(scene, answers)
    promises.check_accepted(scene, answers)


def test_a_push_killed_again_and_again_is_finished_in_the_end(scene: World) -> None:
    for name in ("claim", "content", "about_to_send", "opened"):
        killed = processes.run(scene.config.project_dir, *PUSH, at=Point(f"lsloop.ledger.tasks:{name}"))
        assert killed.wait() == -signal.SIGKILL, killed.said
    scene.push()
    promises.check_sent_once(scene)


def predict(scene: World) -> None:
    """A model's predictions for all but the first batch, so that the version to show changes during a
    push."""
    with scene.ledger.transaction() as transaction:
        transaction.run(
            """INSERT INTO predictions (sample_id, task_type, model_version, value, score, sync_version)
               SELECT sample_id, :task_type, 'm-1', '{"transcript": "a guess"}', 0.5, 1
                 FROM samples ORDER BY arrival OFFSET 5""",
            task_type=TRANSCRIPT,
        )
