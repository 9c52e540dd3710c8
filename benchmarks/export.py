"""Export: against `cp -r` of the same files, and once more when nothing has changed since."""

import shutil
import subprocess
import tempfile
import wave
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from benchmarks.place import KIND, Place, fresh_ledger, write_metadata
from benchmarks.rows import Row, at_least, at_most, told
from benchmarks.timing import alternately, seconds
from lsloop import config as settings
from lsloop import ledger, loop
from lsloop.config import Config
from lsloop.ledger import Ledger, projects
from lsloop.steps import sample

SOUND_SECONDS, RATE = 1, 16_000

ACCEPT = """
    INSERT INTO tasks (sample_id, task_type, project_id, ls_task_id, state, sync_version, reads, writes,
                       base, claimed_by,
                       opened_at, sent_at)
    SELECT s.sample_id, '{task_type}', {project_id}, s.arrival, 'accepted', 1, '{{media}}', '{{transcript}}',
           snapshot(s, '{{media,transcript}}'), 'fill', now(), now()
      FROM samples s;
    INSERT INTO annotations (server, ls_annotation_id, task_key, ls_task_id, annotator, result, value,
                             result_hash,
                             was_cancelled, ground_truth, lead_time, ls_created_at, ls_updated_at)
    SELECT 'bench', ls_task_id, task_key, ls_task_id, 'annotator-' || ls_task_id % 30, '[]',
           jsonb_build_object('transcript', 'xin chào cuộc họp ' || ls_task_id), ls_task_id::text, false,
           false, 5,
           now(), now()
      FROM tasks;
    SELECT write_revisions(array_agg(t.task_key), array_agg(a.annotation_id), array_agg(a.value), 'human'),
           end_tasks(array_agg(t.task_key), 'accepted', array_agg(a.annotation_id))
      FROM tasks t JOIN annotations a USING (task_key);
    ANALYZE;
"""


def speed(place: Place) -> Iterator[Row]:
    """Samples per second into an empty folder and into one that is up to date, with a recording for each
    sample."""
    reviewed, rounds = place.sizes.reviewed, place.sizes.rounds
    with fresh_ledger(place) as url, tempfile.TemporaryDirectory(dir=place.project_dir) as folder:
        opened, config, tree = ledger.connect(url), settings.load(Path(folder)), Path(folder) / "tree"
        fill(opened, config, reviewed)
        _export(opened, config, tree, reviewed)
        places = (Path(folder) / f"copy-{number}" for number in count())
        works = {
            "cp": lambda _: subprocess.run(["cp", "-r", tree, next(places)], check=True),
            "export": lambda _: _export(opened, config, next(places), reviewed),
        }
        taken = {name: min(all_taken) for name, all_taken in alternately(works, rounds).items()}
        again = min(seconds(lambda: _export(opened, config, tree, 0)) for _ in range(rounds))
        opened.close()
    what = f"export of {reviewed:,} reviewed samples"
    yield told(what, reviewed / taken["export"], "samples/s")
    yield at_least(f"{what} / cp -r of the same files", taken["cp"] / taken["export"], 0.7)
    yield at_most("the same export again / the first", again / taken["export"], 0.1)


def fill(opened: Ledger, config: Config, samples: int) -> None:
    """Samples with a recording each, all of them reviewed."""
    raw = config.raw_dir
    raw.mkdir(parents=True)
    with wave.open(str(raw / "clip.wav"), "wb") as sound:
        sound.setparams((1, 2, RATE, RATE * SOUND_SECONDS, "NONE", ""))
        sound.writeframes(bytes(2 * RATE * SOUND_SECONDS))
    for number in range(samples):
        shutil.copyfile(raw / "clip.wav", raw / f"{number:07}.wav")
    write_metadata(raw / "metadata.jsonl", samples, media="{number:07}.wav")
    sample.ingest(opened, raw / "metadata.jsonl", raw_dir=raw)
    project = projects.bind(opened, projects.reserve(opened, KIND, "bench"), 1, "<View/>")
    with opened.transaction() as transaction:
        transaction.driver.execute(ACCEPT.format(task_type=KIND, project_id=project.project_id).encode())


def _export(opened: Ledger, config: Config, target: Path, expected: int) -> None:
    part = loop.export(opened, config, task_type=KIND, target=target).task_types[KIND]
    if (part.written, part.problems) != (expected, []):
        raise RuntimeError(f"an export that should write {expected} samples did this: {part}")
