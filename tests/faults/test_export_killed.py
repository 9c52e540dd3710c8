"""An export that is killed leaves the tree as it was or as it is to be, and nothing in between."""

import random
import shutil
import signal
import time
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from annotating import Office
from exporting import TRANSCRIPT, Project, contents, rows
from faults import processes
from lsloop import ledger as ledgers
from lsloop import loop
from lsloop.config import Config
from lsloop.ledger import Ledger
from world import config

KILLS, SAMPLES, CHANGED, REMOVED = 50, 12, 6, 2


@pytest.fixture
def project(tmp_path: Path, ledger: Ledger, database_url: str) -> Project:
    """Recordings, all reviewed."""
    settings = config(tmp_path / "project", database_url, "http://ls.invalid", "token")
    made = Project(settings, ledger, Office(ledger, settings))
    made.ingest(rows(SAMPLES))
    made.accept({f"c{number}": f"heard {number}" for number in range(1, SAMPLES + 1)})
    return made


def test_killed_at_fifty_random_points_the_tree_is_always_the_one_before_or_the_one_after(
    project: Project, tmp_path: Path
) -> None:
    old, new, target = tmp_path / "old", tmp_path / "new", tmp_path / "exports" / "reviewed"
    project.export(target=old, task_type=TRANSCRIPT)
    for number in range(1, CHANGED + 1):
        project.change_mind(f"c{number}", f"heard better {number}")
    for number in range(CHANGED + 1, CHANGED + REMOVED + 1):
        project.withdraw(f"c{number}")
    project.export(target=new, task_type=TRANSCRIPT)
    before, after = contents(old), contents(new)
    assert before != after

    shutil.copytree(old, target)
    took = _export(project.config, target, None)
    assert contents(target) == after
    found = {"before": 0, "after": 0}
    for _ in range(KILLS):
        shutil.rmtree(target)
        shutil.copytree(old, target)
        _export(project.config, target, random.uniform(0, took))
        there = contents(target)
        assert there in (before, after)
        found["before" if there == before else "after"] += 1
    assert found["before"] >= 5, "killed too late to tell anything"
    _export(project.config, target, None)
    assert (contents(target), [path.name for path in target.parent.iterdir()]) == (after, ["reviewed"])


def _export(settings: Config, target: Path, kill_after: float | None) -> float:
    """Export in a process of its own, killed so many seconds after it began; how long it took to its end."""
    context = processes._server()
    ours, theirs = context.Pipe()
    child = context.Process(target=_work, args=(settings, target, theirs))
    child.start()
    theirs.close()
    try:
        ours.recv()
        began = time.monotonic()
        if kill_after is not None:
            ours.poll(kill_after)  # until then, or until it has ended by itself
            child.kill()
        child.join(processes.LONGEST)
        assert child.exitcode in (0, -signal.SIGKILL)
        return time.monotonic() - began
    finally:
        ours.close()


def _work(settings: Config, target: Path, told: Connection) -> None:
    opened = ledgers.connect(settings.database_url, check_schema=False)
    opened.ping()
    told.send("begun")
    loop.export(opened, settings, target=target, task_type=TRANSCRIPT)
    opened.close()
