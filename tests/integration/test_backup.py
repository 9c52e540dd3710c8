"""`lsloop backup` and `lsloop restore`: what people did is there again, and nothing is sent twice."""

import json
import os
import sqlite3
import subprocess
import sys
import threading
import wave
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

import projects
from lsloop import config, ledger
from lsloop.errors import LsloopError, UsageError
from lsloop.labelstudio import client, tasks
from lsloop.ledger import saving
from lsloop.running import backup, restore
from lsloop.stack import files, state, store, studio_env
from office import Office
from projects import Project, gone, wait_for
from world import transcript

SAMPLES = 12


def silent(text: str) -> None:
    """What a step says on the way is for people."""


def said(done: subprocess.CompletedProcess[str]) -> Any:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def folder(tmp_path: Path, ledger: ledger.Ledger, database_url: str) -> Path:
    """A project folder whose ledger is a database of the test's own, with a few samples in it."""
    made = tmp_path / "speech"
    (made / ".lsloop").mkdir(parents=True)
    (made / ".lsloop" / "stack.json").write_text(
        json.dumps({"database_url": database_url, "secret": "s3cret"})
    )
    (made / ".lsloop" / "secret").write_text("s3cret")
    (made / "params.yaml").write_text("task_types:\n  transcript_correction: {}\n")
    (made / "models").mkdir()
    (made / "models" / "weights.bin").write_text("w")
    office = Office(ledger)
    for number in range(5):
        office.crawl(f"clip {number}", media=str(number), transcript=f"xin chào {number}")
    return made


def test_a_backup_is_put_back_elsewhere_row_for_row(folder: Path, tmp_path: Path) -> None:
    done = backup.make(config.load(folder), tmp_path / "kept", None, silent)
    assert done.rows["lsloop.samples"] == 5
    assert (done.path.stat().st_mode & 0o777, list((tmp_path / "kept").iterdir())) == (0o600, [done.path])
    assert done.beside == [
        "Label Studio: it is not the embedded one; back it up where it runs",
        "models: 1 file (nothing else has it: `dvc add` it)",
    ]
    other = tmp_path / "other"
    before = restore.restore(done.path, other, dry_run=True, say=silent)
    assert (before.rows, before.has_studio, other.exists()) == (done.rows, False, False)
    other.mkdir()
    (other / "params.yaml").write_text("task_types: {}\n")
    found = restore.restore(done.path, other, dry_run=False, say=silent)
    assert (found.rows, found.kept) == (done.rows, ["params.yaml"])
    assert (other / "params.yaml").read_text() == "task_types: {}\n", "what was there stays"
    assert "transcript_correction" in (other / "params.yaml.from-backup").read_text()
    assert (other / ".lsloop" / "secret").read_text() == "s3cret"
    with pytest.raises(UsageError, match="has a ledger or a Label Studio already"):
        restore.restore(done.path, other, dry_run=False, say=silent)


def test_a_backup_goes_into_an_empty_database_of_ones_own_and_no_other(
    folder: Path, tmp_path: Path, postgres: Any, database_url: str
) -> None:
    done = backup.make(config.load(folder), tmp_path / "kept", None, silent)
    other = tmp_path / "other"
    other.mkdir()
    (other / ".env").write_text(f"DATABASE_URL={database_url}\n")
    with pytest.raises(UsageError, match="is not empty"):
        restore.restore(done.path, other, dry_run=False, say=silent)
    postgres.execute("CREATE DATABASE put_back")
    (other / ".env").write_text(f"DATABASE_URL={postgres.url('put_back')}\n")
    restore.restore(done.path, other, dry_run=False, say=silent)
    assert saving.digests(postgres.url("put_back")) == saving.digests(database_url)
    with psycopg.connect(postgres.url("put_back")) as anybody:  # a dump holds neither
        rights = "SELECT has_schema_privilege('public', 'lsloop', 'USAGE'), current_setting('search_path')"
        assert anybody.execute(rights).fetchone() == (True, "public, lsloop")
    postgres.execute("DROP DATABASE put_back")


@pytest.mark.parametrize("damage", ["cut off", "a byte", "not one", "missing"])
def test_a_damaged_backup_is_named_and_leaves_what_was(folder: Path, tmp_path: Path, damage: str) -> None:
    path = backup.make(config.load(folder), tmp_path / "kept", None, silent).path
    content = bytearray(path.read_bytes())
    if damage == "cut off":
        del content[len(content) // 2 :]
    elif damage == "a byte":
        content[len(content) // 2] ^= 0xFF
    elif damage == "not one":
        content = bytearray(b"something else")
    path.write_bytes(content)
    if damage == "missing":
        path.unlink()
    other = tmp_path / "other"
    with pytest.raises(
        LsloopError, match="There is no backup" if damage == "missing" else "cut off or damaged"
    ) as told:
        restore.restore(path, other, dry_run=False, say=silent)
    assert path.name in told.value.problem
    left = {one.name for one in (other / ".lsloop").iterdir()} if other.exists() else set()
    assert left <= {".gitignore", "up.lock"}, "nothing half restored is left"


def test_a_full_disk_is_named_and_the_older_backups_stay(folder: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    first = backup.make(config.load(folder), kept, None, silent).path
    command = [sys.executable, "-m", "lsloop", "-C", str(folder), "backup", "--to", str(kept), "--keep", "1"]
    for blocks in (8, 64):
        full = subprocess.run(
            ["bash", "-c", f'ulimit -f {blocks}; exec "$@"', "bash", *command], capture_output=True, text=True
        )
        assert full.returncode == 1, full.stderr
        assert "Error: " in full.stderr
        assert "lsloop itself failed" not in full.stderr
        assert list(kept.iterdir()) == [first]


def test_two_backups_at_once_and_what_a_killed_one_left(folder: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / f"{files.WORK}of a killed one").mkdir()
    with files.work_folder(kept) as at_work:
        (at_work / "part").write_text("half")
        done = backup.make(config.load(folder), kept, None, silent)
        assert (at_work / "part").read_text() == "half", "somebody else's work stays"
    assert list(kept.iterdir()) == [done.path]


def test_no_file_of_the_project_stops_a_backup_or_a_restore(folder: Path, tmp_path: Path) -> None:
    templates = folder / "label_studio_templates"
    templates.mkdir()
    odd = os.fsdecode(b"odd \xff.xml")
    (templates / odd).write_text("<View/>")
    (templates / "to nowhere.xml").symlink_to("nowhere")
    done = backup.make(config.load(folder), tmp_path / "kept", None, silent)
    (folder / "params.yaml").write_text("task_types: {}\n")
    other = tmp_path / "other"
    other.mkdir()
    (other / "params.yaml").write_text("a key: [that is cut off")
    found = restore.restore(done.path, other, dry_run=False, say=silent)
    assert (other / "label_studio_templates" / odd).read_text() == "<View/>"
    assert found.kept == ["params.yaml"]


def test_label_studios_store_is_copied_and_a_damaged_or_full_one_is_named(tmp_path: Path) -> None:
    data = tmp_path / "a ?#% folder"
    (data / "media" / "upload").mkdir(parents=True)
    (data / "media" / "upload" / "page.png").write_bytes(b"a page")
    with closing(sqlite3.connect(data / studio_env.STORE)) as made:
        made.execute("CREATE TABLE task (id int)")
        made.executemany("INSERT INTO task VALUES (?)", [(number,) for number in range(3)])
        made.commit()
    assert store.copy(data, tmp_path / "copy") == {"task": 3}
    assert (tmp_path / "copy" / "media" / "upload" / "page.png").read_bytes() == b"a page"
    (tmp_path / "taken" / studio_env.STORE).mkdir(parents=True)
    with pytest.raises(LsloopError, match="could not be copied to"):
        store.copy(data, tmp_path / "taken")
    (data / studio_env.STORE).write_bytes(b"SQLite format 3\0" + bytes(5000))
    with pytest.raises(LsloopError, match=r"could not be copied|is damaged"):
        store.copy(data, tmp_path / "again")


def test_the_oldest_go_when_so_many_are_kept(folder: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    old = [kept / f"speech-2026010{day}T000000Z{backup.ENDING}" for day in (1, 2, 3)]
    others = kept / f"another-20260101T000000Z{backup.ENDING}"
    for path in (*old, others):
        path.write_bytes(b"")
    done = backup.make(config.load(folder), kept, 2, silent)
    assert (done.removed, sorted(kept.iterdir())) == (old[:2], sorted([others, old[2], done.path]))
    known = state.last_backup(folder / ".lsloop")
    assert known is not None
    assert known["path"] == str(done.path.resolve())


# all of it, with the services


@pytest.fixture
def project(tmp_path: Path, studio_environment: Path) -> Iterator[Project]:
    with stack(tmp_path / "speech", studio_environment) as made:
        yield made


class stack:
    """A project folder; what still runs there in the end is stopped."""

    def __init__(self, folder: Path, environment: Path) -> None:
        self.made = projects.make(folder, LSLOOP_STUDIO_ENV=str(environment))

    def __enter__(self) -> Project:
        return self.made

    def __exit__(self, *error: object) -> None:
        left = self.made.family()
        self.made.lsloop("down")
        wait_for(lambda: gone(left))


def recorded(folder: Path) -> None:
    """Recordings and what upstream heard in them."""
    audio = folder / "data" / "raw" / "audio"
    audio.mkdir(parents=True)
    rows = []
    for number in range(SAMPLES):
        with wave.open(str(audio / f"{number}.wav"), "wb") as file:
            file.setparams((1, 2, 8000, 0, "NONE", ""))
            file.writeframes(bytes([number, 0]) * 4000)
        rows.append(
            {
                "external_id": f"clip-{number}",
                "media": f"audio/{number}.wav",
                "transcript": f"xin chào {number}",
            }
        )
    (folder / "data" / "raw" / "metadata.jsonl").write_text("\n".join(json.dumps(row) for row in rows))


def there(project: Project) -> dict[str, list[tuple[int, str]]]:
    """By the key of a task in Label Studio: its number, and each answer's text."""
    with client.connect(project.stack["label_studio_url"], project.stack["label_studio_api_key"]) as studio:
        (one,) = studio.get("api/projects/")["results"]
        found: dict[str, list[tuple[int, str]]] = {}
        for page in tasks.changed(studio, one["id"]):
            for task in page.tasks:
                said = [(task["id"], each["result"][0]["value"]["text"][0]) for each in task["annotations"]]
                assert task["data"][tasks.KEY] not in found
                found[task["data"][tasks.KEY]] = said
        return found


@pytest.mark.studio
def test_a_backup_made_under_load_is_restored_elsewhere_and_nothing_is_sent_or_counted_twice(
    project: Project, tmp_path: Path, studio_environment: Path
) -> None:
    recorded(project.folder)
    said(project.lsloop("up", "--detach", "--json"))
    said(project.lsloop("ingest", "--json"))
    said(project.lsloop("push", "-t", "transcript_correction", "--limit", str(SAMPLES - 4), "--json"))
    answering, stop = [], threading.Event()

    def people() -> None:
        with client.connect(
            project.stack["label_studio_url"], project.stack["label_studio_api_key"]
        ) as studio:
            (one,) = studio.get("api/projects/")["results"]
            for page in tasks.changed(studio, one["id"]):
                for task in page.tasks:
                    tasks.annotate(studio, task["id"], transcript(f"heard {task['id']}"))
                    answering.append(task["id"])
                    if stop.is_set():
                        return

    def machines() -> None:
        while not stop.is_set():
            said(project.lsloop("push", "-t", "transcript_correction", "--limit", "1", "--json"))
            said(project.lsloop("pull", "-t", "transcript_correction", "--json"))

    load = [threading.Thread(target=people), threading.Thread(target=machines)]
    for thread in load:
        thread.start()
    try:
        wait_for(lambda: len(answering) >= 2, 60)
        made = said(project.lsloop("backup", "--to", str(tmp_path / "kept"), "--json"))
    finally:
        stop.set()
        for thread in load:
            thread.join()
    assert made["proven"]
    assert made["label_studio"]["task"] >= SAMPLES - 4

    with stack(tmp_path / "elsewhere", studio_environment) as other:
        said(other.lsloop("restore", made["path"], "--json"))
        subprocess.run(["cp", "-a", project.folder / "data", other.folder], check=True)
        said(other.lsloop("up", "--detach", "--json"))
        assert other.stack["label_studio_url"] != project.stack["label_studio_url"]
        was, now = there(project), there(other)
        assert len(now) == made["label_studio"]["task"]
        assert all(set(answers) <= set(was[key]) for key, answers in now.items())
        assert sum(map(len, now.values())) == made["label_studio"]["task_completion"]
        said(other.lsloop("pull", "-t", "transcript_correction", "--full", "--json"))
        sent = said(other.lsloop("push", "-t", "transcript_correction", "--json"))["sent"]
        assert sent == SAMPLES - len(now), "each sample that was not there yet, and no other"
        assert len(there(other)) == SAMPLES
        with (
            closing(ledger.connect(other.stack["database_url"])) as opened,
            opened.transaction() as transaction,
        ):
            heard = transaction.value("SELECT count(*) FROM annotations WHERE value IS NOT NULL")
            assert heard == made["label_studio"]["task_completion"]
        again = said(other.lsloop("pull", "-t", "transcript_correction", "--json"))
        assert again["task_types"]["transcript_correction"]["received"]["added"] == 0
        assert other.lsloop("doctor").returncode == 0
