"""What the ledger itself takes when it is large: to claim the next samples, and to say how things stand."""

import os
import subprocess
import sys
from collections.abc import Iterator

from benchmarks.place import Place, fresh_ledger, write_metadata
from benchmarks.rows import Row, at_most, told
from benchmarks.timing import seconds
from lsloop import ledger
from lsloop.ledger import Ledger, projects, refreshing
from lsloop.ledger import tasks as ledger_tasks
from lsloop.ledger.tasks import Plan
from lsloop.records import Project
from lsloop.steps import sample

PLAN = Plan("translation_review", reads=("transcript",), writes=("translation",))


def speed(place: Place) -> Iterator[Row]:
    """Seconds, with nothing claimed yet and with half of the samples claimed."""
    count = place.sizes.rows // 2
    path = place.project_dir / "half.jsonl"
    write_metadata(path, count)
    with fresh_ledger(place) as url:
        opened = ledger.connect(url)
        sample.ingest(opened, path, raw_dir=path.parent)
        project = projects.reserve(opened, PLAN.task_type, place.config.label_studio_server)
        first = seconds(lambda: _claim(opened, project, 500))
        yield told(f"claim of 500 out of {count:,} samples", first, "s")
        _claim(opened, project, count // 2 - 500)
        anew = seconds(lambda: _claim(opened, project, 500))
        yield told("the first claim of another push when half of them are claimed", anew, "s")
        yield at_most("that, against the first of all", anew / first, 1.5)
        yield from _nothing_moved(opened, project)
        opened.close()
        yield told(f"`lsloop status` of {count:,} samples", seconds(lambda: _status(place, url)), "s")


def _nothing_moved(opened: Ledger, project: Project) -> Iterator[Row]:
    """What a push and a pull ask first: which open tasks show what is old."""
    with opened.transaction() as transaction:
        claimed = transaction.rows("SELECT task_key FROM tasks WHERE state = 'claimed'")
    ledger_tasks.content(opened, [row.task_key for row in claimed])
    ledger_tasks.opened(opened, project, {row.task_key: number for number, row in enumerate(claimed, 1)})
    looked = seconds(lambda: refreshing.stale(opened, project, 100))
    yield told(f"looking which of {len(claimed):,} open tasks show what is old", looked, "s")
    again = seconds(lambda: refreshing.stale(opened, project, 100))
    yield at_most("the same when nothing moved since, against that", again / looked, 0.1)


def _claim(opened: Ledger, project: Project, count: int) -> None:
    claimed = ledger_tasks.claim(opened, project, PLAN, count, claimed_by="benchmark")
    if len(claimed.keys) != count:
        raise RuntimeError(f"{len(claimed.keys)} samples claimed, not {count}")


def _status(place: Place, url: str) -> None:
    command = [sys.executable, "-m", "lsloop", "-C", str(place.project_dir), "status"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=dict(os.environ, DATABASE_URL=url))
