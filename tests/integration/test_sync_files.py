"""What a cycle does with files: real git, real DVC, no Label Studio."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from annotating import Office
from exporting import TRANSCRIPT, Project, rows
from lsloop import config, dvc
from lsloop.commands import main
from lsloop.errors import LsloopError
from lsloop.ledger import Ledger


def run(folder: Path, *words: str) -> str:
    env = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(words, cwd=folder, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


@pytest.fixture
def project(tmp_path: Path, ledger: Ledger, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project as `lsloop init` makes it, that sends nothing by itself; DVC tracks five recordings."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    folder = tmp_path / "speech"
    assert main(["init", str(folder), "--quiet"]) == 0
    (folder / "params.yaml").write_text(
        yaml.safe_dump({"task_types": {TRANSCRIPT: {"sync_push": False}}, "models": {}})
    )
    (folder / "dvc.yaml").write_text(dvc.stages([TRANSCRIPT]))
    settings = config.load(folder)
    made = Project(settings, ledger, Office(ledger, settings))
    made.ingest(rows(5))
    run(folder, "dvc", "add", "-q", "data/raw")
    return made


def sync(project: Project, capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, dict[str, Any], str]:
    """Exit code, the steps by name, and what was said on stderr."""
    capsys.readouterr()
    code = main(["-C", str(project.config.project_dir), *(args or ("sync",)), "--json"])
    said = capsys.readouterr()
    return code, {step["name"]: step for step in json.loads(said.out)["run"]["steps"]}, said.err


def test_upstreams_files_come_in_from_the_remote_and_reviewed_ones_go_out(
    project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    folder, raw = project.config.project_dir, project.config.raw_dir
    run(folder, "dvc", "remote", "add", "-q", "--default", "store", str(tmp_path / "remote"))
    run(folder, "dvc", "push", "-q")
    run(folder, "rm", "-rf", ".dvc/cache", "data/raw")  # another machine, which has git's part only
    project.accept({"c1": "xin chào"})
    code, steps, _ = sync(project, capsys, "sync-daemon", "--once", "--push", "-v")
    for told in ("dvc pull begins", "dvc pull data/raw.dvc", "dvc push ended with 0"):  # by -v
        assert told in caplog.text
    assert (code, steps["dvc pull"]["state"]) == (0, "done")
    assert steps["dvc pull"]["counts"]["fetched"] >= 6
    assert (raw / "audio" / "1.wav").is_file()
    assert (steps["ingest"]["counts"]["added"], steps["export"]["state"], project.exported()) == (
        0,
        "done",
        {"c1"},
    )
    assert steps["dvc push"]["counts"]["pushed"] >= 4


def test_a_remote_that_is_gone_fails_its_step_and_no_other_and_without_one_there_is_nothing_to_do(
    project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = project.config.project_dir
    code, steps, _ = sync(project, capsys)
    assert (code, steps["dvc pull"]["state"]) == (0, "skipped")
    assert "no remote" in steps["dvc pull"]["reason"]

    run(folder, "dvc", "remote", "add", "-q", "--default", "store", str(tmp_path / "nowhere"))
    run(folder, "rm", "-rf", ".dvc/cache", "data/raw/audio/2.wav")
    project.config.raw_dir.joinpath("metadata.jsonl").write_text(
        '{"external_id": "new", "transcript": "mới"}\n'
    )
    code, steps, said = sync(project, capsys)
    assert (code, steps["dvc pull"]["state"], steps["ingest"]["counts"]["added"]) == (1, "failed", 1)
    assert "dvc pull failed: dvc pull data/raw.dvc failed" in said
    assert project.office.value("SELECT outcome FROM sync_runs ORDER BY run_id DESC") == "failed"

    (folder / "data" / "raw.dvc").unlink()
    assert sync(project, capsys)[1]["dvc pull"]["reason"] == "DVC tracks nothing under data/raw"


def test_the_cron_line_of_the_guide_runs_where_cron_runs_it_and_says_nothing_when_all_is_well(
    project: Project, tmp_path: Path, database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Cron has next to no environment, and sends a mail of every word."""
    folder = project.config.project_dir
    run(folder, "dvc", "remote", "add", "-q", "--default", "store", str(tmp_path / "remote"))
    run(folder, "dvc", "push", "-q")
    (folder / ".env").write_text(f"DATABASE_URL={database_url}\n")
    (folder / ".env").chmod(0o600)
    guide = (Path(__file__).parents[2] / "docs" / "guides" / "sync.md").read_text()
    (line,) = [text.split(maxsplit=5)[5] for text in guide.splitlines() if text.strip().startswith("*/5 ")]
    line = line.replace("/srv/speech/.venv/bin", str(Path(sys.executable).parent)).replace(
        "/srv/speech", str(folder)
    )
    assert "--interval 5 --quiet" in line

    def cron() -> tuple[int, str, str]:
        done = subprocess.run(
            ["env", "-i", "PATH=/usr/bin:/bin", "sh", "-c", line], cwd="/", capture_output=True, text=True
        )
        return done.returncode, done.stdout, done.stderr

    assert cron() == (0, "", "")
    assert project.office.value("SELECT count(*) FROM sync_runs WHERE outcome = 'succeeded'") == 1
    assert cron() == (0, "", ""), "not due"
    assert project.office.value("SELECT count(*) FROM sync_runs") == 1
    (folder / ".env").write_text("DATABASE_URL=postgresql://127.0.0.1:1/gone\n")
    code, shown, said = cron()
    assert (code, shown) == (3, "")
    assert "PostgreSQL" in said


def test_a_line_that_stays_refused_is_told_once_to_cron_and_each_time_to_people(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    with (project.config.raw_dir / "metadata.jsonl").open("a") as file:
        file.write("{\n")

    def said(*how: str) -> str:
        capsys.readouterr()
        assert main(["-C", str(project.config.project_dir), "sync", *how]) == 1
        return capsys.readouterr().err

    assert "JSON" in said("--quiet")
    assert said("--quiet") == ""
    assert "JSON" in said()
    with (project.config.raw_dir / "metadata.jsonl").open("a") as file:
        file.write("[\n")
    again = said("--quiet")
    assert again.count("Warning: ingest") == 1, "only what is new"


def test_what_a_killed_dvc_locked_is_taken_from_it_and_one_that_is_at_work_is_named(tmp_path: Path) -> None:
    folder, out = tmp_path, str(tmp_path / "out")
    run(folder, "git", "init", "-q")
    run(folder, "dvc", "init", "-q")
    (folder / "in").write_text("1")
    (folder / "dvc.yaml").write_text(
        "stages:\n  copy:\n    cmd: cp in out\n    deps: [in]\n    outs: [out]\n"
    )
    locks = folder / ".dvc" / "tmp" / "rwlock"
    sleeper = subprocess.Popen(["sleep", "600"])
    at_work = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(600)", "dvc", "repro"], cwd=folder
    )
    try:
        locks.write_text(json.dumps({"read": {}, "write": {out: {"pid": at_work.pid, "cmd": "dvc repro"}}}))
        with pytest.raises(LsloopError) as told:
            dvc.repro(folder, "copy")
        assert f"Another DVC is at work here: process {at_work.pid}" in told.value.fix
        at_work.kill()
        at_work.wait()

        # its number is somebody else's by now
        locks.write_text(json.dumps({"read": {out: [{"pid": sleeper.pid, "cmd": "dvc pull"}]}, "write": {}}))
        assert "cp in out" in dvc.repro(folder, "copy")

        (folder / "in").write_text("2")
        locks.write_text('{"read": {"' + out)  # killed while it wrote
        assert "cp in out" in dvc.repro(folder, "copy")
        assert (folder / "out").read_text() == "2"
    finally:
        for process in (sleeper, at_work):
            process.kill()
            process.wait()
