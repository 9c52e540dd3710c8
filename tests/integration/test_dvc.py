"""DVC runs the export exactly when people accepted something, and carries what it wrote: real git, real
DVC."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from annotating import Office
from exporting import TRANSCRIPT, Project, contents, identity, rows
from lsloop import config, dvc, resources
from lsloop.commands import main
from lsloop.errors import LsloopError
from lsloop.ledger import Ledger

BIN = Path(sys.executable).parent


def run(folder: Path, *words: str) -> str:
    env = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "DVC_NO_ANALYTICS": "1"}
    done = subprocess.run(words, cwd=folder, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def commit(folder: Path) -> str:
    run(folder, "git", "add", "--all")
    run(folder, "git", "-c", "user.name=me", "-c", "user.email=me@example.com", "commit", "-qm", "data")
    return run(folder, "git", "rev-parse", "HEAD")


@pytest.fixture(scope="module")
def initialised(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project folder as `lsloop init` makes it: to be copied."""
    folder = tmp_path_factory.mktemp("init") / "speech"
    assert main(["init", str(folder), "--quiet"]) == 0
    return folder


@pytest.fixture
def project(
    tmp_path: Path, initialised: Path, ledger: Ledger, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> Project:
    """A new project, with three of five recordings reviewed."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    shutil.copytree(initialised, tmp_path / "speech", symlinks=True)
    settings = config.load(tmp_path / "speech")
    made = Project(settings, ledger, Office(ledger, settings))
    made.ingest(rows(5))
    made.accept({"c1": "xin chào", "c2": "được rồi", "c3": "a meeting"})
    return made


def test_the_dvc_yaml_of_the_checkout_is_what_init_writes_for_its_task_types() -> None:
    names = list(config.load(resources.path()).params.task_types)
    assert resources.path("dvc.yaml").read_text() == dvc.stages(names)


def test_repro_writes_then_does_nothing_then_writes_the_one_sample_that_was_accepted(
    project: Project,
) -> None:
    folder = project.config.project_dir
    assert "Running stage 'export_reviewed'" in dvc.repro(folder, "export_reviewed")
    assert project.exported() == {"c1", "c2", "c3"}
    before = identity(project.target / TRANSCRIPT)

    assert "Stage 'export_reviewed' didn't change, skipping" in dvc.repro(folder, "export_reviewed")
    assert identity(project.target / TRANSCRIPT) == before

    project.accept({"c4": "mới"})
    assert "Running stage 'export_reviewed'" in dvc.repro(folder, "export_reviewed")
    assert project.exported() == {"c1", "c2", "c3", "c4"}
    now = identity(project.target / TRANSCRIPT)
    assert {path for path in before if now[path] != before[path]} == {"index.jsonl"}
    assert {path.partition("/")[0] for path in now.keys() - before.keys()} == {project.folder("c4").name}


def test_the_manifest_says_the_watermark_and_all_travels_by_push_and_pull_and_the_export_goes_on_from_there(
    project: Project, tmp_path: Path
) -> None:
    folder, clone = project.config.project_dir, tmp_path / "clone"
    project.export()  # by hand, and then somebody adds all there is to git
    commit(folder)
    assert run(folder, "git", "ls-files", "data/reviewed") == "data/reviewed/manifest.json"
    run(folder, "dvc", "remote", "add", "--default", "store", str(tmp_path / "remote"))
    dvc.repro(folder, "generate_manifest")
    manifest = project.target / "manifest.json"
    first = manifest.read_bytes()
    assert b'"samples": 3' in first
    dvc.repro(folder, "generate_manifest")
    assert manifest.read_bytes() == first
    assert main(["-C", str(folder), "export", "--quiet"]) == 0
    assert manifest.read_bytes() == first
    commit(folder)
    run(folder, "dvc", "push")

    run(tmp_path, "git", "clone", "-q", str(folder), str(clone))
    run(clone, "dvc", "pull")
    pulled = contents(clone / "data" / "reviewed")
    assert pulled == contents(folder / "data" / "reviewed")
    before = identity(clone / "data" / "reviewed" / TRANSCRIPT)
    project.accept({"c4": "mới"})
    done = project.export(target=clone / "data" / "reviewed")
    assert done.task_types[TRANSCRIPT].written == 1
    now = identity(clone / "data" / "reviewed" / TRANSCRIPT)
    assert {path for path in before if now[path] != before[path]} == {"index.jsonl"}


def test_a_stage_that_fails_is_told_with_what_dvc_said(project: Project) -> None:
    (project.config.raw_dir / "audio" / "1.wav").unlink()
    with pytest.raises(LsloopError, match="export_reviewed"):
        dvc.repro(project.config.project_dir, "export_reviewed")


def test_params_without_models_are_enough_for_dvc_and_an_older_dvc_yaml_says_what_to_add(
    project: Project,
) -> None:
    folder = project.config.project_dir
    (folder / "params.yaml").write_text(f"task_types:\n  {TRANSCRIPT}: {{}}\n")
    assert "data/reviewed/manifest.json" in dvc.status(folder)
    stages = (folder / "dvc.yaml").read_text()
    (folder / "dvc.yaml").write_text(stages[: stages.index("vars:")] + stages[stages.index("stages:") :])
    with pytest.raises(LsloopError) as refused:
        dvc.status(folder)
    assert "models: {}" in refused.value.fix


def test_dvc_with_hard_links_keeps_the_export_incremental(project: Project) -> None:
    folder = project.config.project_dir
    run(folder, "dvc", "config", "cache.type", "hardlink")
    dvc.repro(folder, "export_reviewed")
    project.change_mind("c1", "changed")
    dvc.repro(folder, "export_reviewed")
    assert project.metadata("c1")["training_row"]["transcript"] == "changed"
    assert run(folder, "dvc", "status", "export_reviewed").count("deleted") == 0


def test_new_content_remembers_the_commit_that_the_data_was_at(project: Project) -> None:
    folder = project.config.project_dir

    def remembered() -> dict[str, str | None]:
        found = project.office.rows("SELECT external_id, dvc_commit_hash FROM samples ORDER BY arrival")
        return {row.external_id: row.dvc_commit_hash for row in found}

    assert dvc.data_commit(folder) is None
    assert set(remembered().values()) == {None}
    project.ingest(rows(6))
    first = commit(folder)
    assert dvc.data_commit(folder) == first
    (folder / "data" / "raw" / "new.wav").write_bytes(b"new")
    assert dvc.data_commit(folder) is None

    project.ingest(rows(7))
    second = commit(folder)
    project.ingest([*rows(7, language="vi"), *rows(8)[7:]], commit=second)
    assert set(remembered().values()) == {second}
    project.ingest([*rows(7, language="vi"), *rows(8)[7:]], commit="another")
    assert set(remembered().values()) == {second}
    project.ingest([*rows(7, language="vi"), *rows(8, language="en")[7:]])
    assert remembered()["c8"] is None


def test_data_that_dvc_tracks_is_at_a_commit_while_dvc_finds_it_unchanged(project: Project) -> None:
    folder = project.config.project_dir
    run(folder, "dvc", "add", "-q", "data/raw")
    assert dvc.data_commit(folder) is None
    head = commit(folder)
    assert dvc.data_commit(folder) == head
    (project.config.raw_dir / "audio" / "9.wav").write_bytes(b"new")
    assert dvc.data_commit(folder) is None


def test_git_writes_a_vietnamese_name_in_another_way_and_dvc_is_asked_about_it_all_the_same(
    tmp_path: Path, initialised: Path
) -> None:
    folder = Path(shutil.copytree(initialised, tmp_path / "speech", symlinks=True))
    voices = folder / "data" / "raw" / "giọng"
    voices.mkdir(parents=True)
    (voices / "a.wav").write_bytes(b"one")
    run(folder, "dvc", "add", "-q", "data/raw/giọng")
    head = commit(folder)
    assert dvc.data_commit(folder) == head
    (voices / "a.wav").write_bytes(b"another")
    assert dvc.data_commit(folder) is None, "this is not what that commit holds"
