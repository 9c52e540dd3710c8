"""Pushes and pulls that meet each other, and people who work while a pull reads: nothing twice, nothing
lost."""

import json
import random
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from faults import processes, promises, proxy
from faults.conftest import BATCH, SAMPLES, abandoned, for_two, patient, through
from faults.proxy import Proxy, nth
from lsloop.errors import Uncertain
from lsloop.labelstudio import tasks
from lsloop.ledger import Ledger, annotations, projects
from lsloop.ledger import tasks as ledger_tasks
from lsloop.records import Annotation, Project, Task
from lsloop.steps import sample
from world import TRANSCRIPT, World, clips, transcript, wait_until

IMPORT = ("POST", r"/import\b")
READ = ("GET", r"^/api/tasks/")
PULL = ("pull", "--task-type", TRANSCRIPT)


def test_two_pulls_at_once_bring_everything_once(scene: World, between: Proxy) -> None:
    scene.push()
    answers = promises.answer_all(scene)
    gate = threading.Event()
    held = between.on(*READ, proxy.then_hold(gate), nth(2))
    with processes.start(scene.config.project_dir, *PULL) as one:
        held.wait(fired=1)
        with processes.start(scene.config.project_dir, *PULL) as other:
            wait_until(lambda: "Another pull is at work" in other.said)
            gate.set()
            assert (one.wait(), other.wait()) == (0, 0), one.said + other.said
    promises.check_received_once(scene, answers)
    promises.check_accepted(scene, answers)
    assert scene.value("SELECT count(*) FROM annotation_history") == SAMPLES


def test_a_pull_in_the_middle_of_a_push_takes_nothing_from_it(scene: World, between: Proxy) -> None:
    """Label Studio has the tasks and the push does not know it yet: the pull writes their ids down first."""
    pulled: list[Any] = []
    between.on(*IMPORT, proxy.after(lambda: pulled.append(scene.pull())))
    pushed = through(scene, between).push()
    assert (pushed.sent, pushed.adopted, pushed.put_away) == (SAMPLES, 0, 0)
    assert [each.read > 0 for each in pulled] == [True] * (SAMPLES // BATCH)
    promises.check_sent_once(scene)
    answers = promises.answer_all(scene)
    scene.pull()
    promises.check_received_once(scene, answers)
    promises.check_accepted(scene, answers)


@pytest.mark.parametrize("moment", ["doubtful", "content"])
def test_what_a_pull_finds_after_the_push_has_looked_is_not_sent_again(
    scene: World, between: Proxy, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    gate, world = threading.Event(), patient(scene, settle=0)
    late = between.on(*IMPORT, abandoned(gate), nth(2))
    with pytest.raises(Uncertain):
        through(world, between).push()

    def arrive() -> None:
        gate.set()
        late.wait(forwarded=1)
        world.pull()

    if moment == "doubtful":
        between.on(*READ, proxy.after(arrive), nth(1))
    else:
        monkeypatch.setattr(ledger_tasks, "content", and_then_once(ledger_tasks.content, arrive))
    pushed = through(world, between).push()
    assert (pushed.sent, pushed.put_away) == (SAMPLES - 2 * BATCH, 0)
    promises.check_sent_once(world)


def and_then_once(function: Callable[..., Any], action: Callable[[], None]) -> Callable[..., Any]:
    """The function, and after its first call the action."""
    left = [action]

    def acting(*args: Any) -> Any:
        answer = function(*args)
        if left:
            left.pop()()
        return answer

    return acting


def test_what_people_do_while_a_pull_reads_comes_with_the_next(scene: World, between: Proxy) -> None:
    scene.push()
    there = promises.in_label_studio(scene)
    first, second, last = there[:BATCH], there[BATCH : 2 * BATCH], there[-BATCH:]
    deleted = second[4]
    answers = {
        task["id"]: promises.answer(scene, task)
        for task in there
        if task is not deleted and task is not first[3]
    }

    def work() -> None:
        """The first page is written down, the second one is read and under way, the last one will be read."""
        for task in (first[0], second[0], last[0]):
            one = answers[task["id"]]
            answers[task["id"]] = promises.Answer(
                one.ls_annotation_id, one.external_id, f"edited {one.external_id}"
            )
            tasks.update_annotation(
                scene.studio, one.ls_annotation_id, result=transcript(f"edited {one.external_id}")
            )
        for task in (first[1], second[1], last[1]):
            tasks.delete_annotation(scene.studio, answers.pop(task["id"]).ls_annotation_id)
        answers[first[3]["id"]] = promises.answer(scene, first[3])
        tasks.delete(scene.studio, scene.ls_project_id, [deleted["id"]])

    between.on(*READ, proxy.after(work), nth(2))
    through(scene, between).pull()
    scene.pull()
    promises.check_received_once(scene, answers.values())
    assert scene.current() == {row["external_id"]: row["transcript"] for row in clips(SAMPLES)} | {
        one.external_id: one.text for one in answers.values()
    }
    assert scene.states() == {"accepted": SAMPLES - 4, "open": 3, "cancelled": 1}
    promises.check_locks(scene)


def test_an_adjudication_answered_in_the_moment_it_is_put_away_is_for_people(
    scene: World, between: Proxy
) -> None:
    world = for_two(scene)
    world.push(limit=1)
    (task,) = promises.in_label_studio(world)
    with world.annotator("other") as other:
        world.annotate(task, "one thing")
        theirs = world.annotate(task, "something else", by=other)
        world.pull()
        world.push(limit=1)
        (decider,) = [each for each in promises.in_label_studio(world) if each["id"] != task["id"]]
        tasks.update_annotation(other, theirs["id"], result=transcript("one thing"))
    removal = proxy.before(lambda: world.annotate(decider, "neither"))
    rule = between.on("PATCH", r"/api/tasks/\d+", removal)
    through(world, between).pull()
    world.pull()
    assert rule.fired == 1
    assert world.value("SELECT count(*) FROM annotations WHERE ls_task_id = :id", id=decider["id"]) == 1
    assert world.value("SELECT count(*) FROM conflicts WHERE ours ->> 'transcript' = 'neither'") == 1


def test_an_older_look_at_a_task_changes_nothing(ledger: Ledger, project: Project) -> None:
    """A pull and a look meet: what was asked for first may be written last. Whatever the clock of Label
    Studio says."""
    (key,) = claim(ledger, project, 1)
    now = datetime.now(UTC)
    asked = annotations.begin_read(ledger)
    edited, added = annotation(1, "edited", now), annotation(2, "added", now)
    annotations.receive(
        ledger, project, [Task(7, key, now, (edited, added))], asked=annotations.begin_read(ledger)
    )
    later = now + timedelta(seconds=1)
    older, deleted = annotation(1, "as it was", later), annotation(3, "deleted since", later)
    late = annotations.receive(ledger, project, [Task(7, key, later, (older, deleted))], asked=asked)
    assert late.overtaken == [7]
    assert texts(ledger) == ["added", "edited"]
    before = now - timedelta(hours=1)
    again = annotation(1, "edited when the clock was put back", before), annotation(2, "added", now)
    received = annotations.receive(
        ledger, project, [Task(7, key, before, again)], asked=annotations.begin_read(ledger)
    )
    assert (received.edited, received.overtaken) == (1, [])
    assert texts(ledger) == ["added", "edited when the clock was put back"]


def texts(ledger: Ledger) -> list[str]:
    with ledger.transaction() as transaction:
        rows = transaction.rows(
            "SELECT value ->> 'transcript' FROM annotations WHERE deleted_at IS NULL ORDER BY 1"
        )
    return [text for (text,) in rows]


def annotation(ls_annotation_id: int, text: str, moment: datetime) -> Annotation:
    value = {"transcript": text}
    return Annotation(
        ls_annotation_id, "anna@example.com", transcript(text), value, None, False, False, 1, moment, moment
    )


KEYS, CLAIMED = 100, 1500


@pytest.fixture
def project(ledger: Ledger) -> Project:
    """Enough samples for a backlog of claimed tasks, in a project that only the ledger knows."""
    with ledger.transaction() as transaction:
        transaction.run(
            """INSERT INTO samples (external_id, fields)
               SELECT 'clip-' || n, '{"transcript": "xin chào"}' FROM generate_series(1, :count) n""",
            count=CLAIMED,
        )
    return projects.bind(ledger, projects.reserve(ledger, TRANSCRIPT, "http://studio"), 1, "<View/>")


def snapshot(ledger: Ledger, project: Project, ids: dict[UUID, int]) -> None:
    ledger_tasks.content(ledger, list(ids))


def send(ledger: Ledger, project: Project, ids: dict[UUID, int]) -> None:
    with ledger.in_turn("a push") as turn:
        ledger_tasks.about_to_send(turn, dict.fromkeys(ids))


def write_down(ledger: Ledger, project: Project, ids: dict[UUID, int]) -> None:
    ledger_tasks.opened(ledger, project, ids)


def end(ledger: Ledger, project: Project, ids: dict[UUID, int]) -> None:
    ledger_tasks.gone(ledger, list(ids))


def ingest(ledger: Ledger, project: Project, ids: dict[UUID, int]) -> None:
    """Upstream changes the transcript of some samples and the priority of the others."""
    rows = [
        {"external_id": f"clip-{number}", "transcript": "xin chào", "priority": 1} for number in ids.values()
    ]
    for row in rows[::2]:
        row["transcript"] = "xin chào bạn"
    random.Random(0).shuffle(rows)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "metadata.jsonl"
        path.write_text("\n".join(map(json.dumps, rows)))
        sample.ingest(ledger, path, raw_dir=Path(folder))


@pytest.mark.parametrize("step", [snapshot, send, write_down, end, ingest])
def test_a_pull_and_another_step_at_the_same_tasks_never_wait_for_each_other_in_a_circle(
    ledger: Ledger, project: Project, step: Callable[[Ledger, Project, dict[UUID, int]], None]
) -> None:
    held = (
        "samples WHERE sample_id = (SELECT sample_id FROM tasks WHERE task_key = :key)"
        if step is ingest
        else ("tasks WHERE task_key = :key")
    )
    keys = claim(ledger, project, CLAIMED)
    plan_as_for_millions(ledger)
    for start in range(0, 3 * KEYS, KEYS):
        ids = {key: start + place for place, key in enumerate(keys[start : start + KEYS], 1)}
        with ThreadPoolExecutor() as pool:
            with ledger.transaction() as transaction:  # both are halfway when they are let go
                transaction.value(f"SELECT 1 FROM {held} FOR UPDATE", key=keys[start + KEYS // 2])
                one = pool.submit(step, ledger, project, ids)
                wait_until(lambda: waiting(ledger) == 1)
                other = pool.submit(pull, ledger, project, ids)
                wait_until(lambda: waiting(ledger) == 2)
            one.result()
            other.result()


def plan_as_for_millions(ledger: Ledger) -> None:
    """Each statement comes to its rows in an order of its own; of few rows, all read the table from its
    beginning."""
    with ledger.transaction() as transaction:
        name = transaction.value("SELECT current_database()")
        for plan in ("hashjoin", "mergejoin"):
            transaction.run(f"ALTER DATABASE {name} SET enable_{plan} = off")
        transaction.run("ANALYZE tasks")
    ledger.close()  # what is opened from now on plans so


def waiting(ledger: Ledger) -> int:
    with ledger.transaction() as transaction:
        return int(transaction.value("SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted"))


def claim(ledger: Ledger, project: Project, count: int) -> list[UUID]:
    choice = ledger_tasks.Plan(TRANSCRIPT, (), ("transcript",))
    return ledger_tasks.claim(ledger, project, choice, count, claimed_by="a push").keys


def pull(ledger: Ledger, project: Project, ids: dict[UUID, int]) -> None:
    seen = [Task(ls_task_id, key, datetime.now(UTC), ()) for key, ls_task_id in ids.items()]
    random.Random(0).shuffle(seen)
    annotations.receive(ledger, project, seen)
