"""`lsloop init` makes a project folder that works, and never changes what is there."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from lsloop import config, dvc, resources
from lsloop.commands import main
from lsloop.commands.init import EXAMPLE


def git(folder: Path, *words: str) -> str:
    done = subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def init(*args: str, capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    assert main(["init", *args, "--json"]) == 0
    document: dict[str, object] = json.loads(capsys.readouterr().out)
    return document


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_new_folder_has_all_that_a_project_needs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = tmp_path / "deep" / "speech"
    told = init(str(project), capsys=capsys)
    assert told["project"] == str(project)
    assert (told["git"], told["dvc"], told["kept"], told["unignored"]) == (True, True, [], [])
    assert (project / "data" / "raw").is_dir()
    templates = {p.name for p in resources.path("label_studio_templates").iterdir()}
    assert {p.name for p in (project / "label_studio_templates").iterdir()} == templates
    assert config.load(project).params == config.load(tmp_path).params
    assert git(project, "rev-parse", "--show-toplevel") == str(project)
    stages = subprocess.run(
        [sys.executable, "-m", "dvc", "stage", "list", "--name-only"],
        cwd=project, check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert stages.stdout.split() == ["ledger_watermark", "export_reviewed", "generate_manifest"]


def test_the_projects_own_settings_and_templates_win(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    init(str(tmp_path), capsys=capsys)
    (tmp_path / "params.yaml").write_text("push: {limit: 7}\n")
    template = next((tmp_path / "label_studio_templates").iterdir())
    template.write_text("<View/>")
    assert config.load(tmp_path).params.push.limit == 7
    assert resources.template(template.stem, tmp_path) == "<View/>"


def test_a_second_run_changes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = init(str(tmp_path), capsys=capsys)
    before = contents(tmp_path)
    second = init(str(tmp_path), capsys=capsys)
    assert contents(tmp_path) == before
    assert (second["written"], second["kept"]) == ([], first["written"])
    assert (second["git"], second["dvc"]) == (False, False)


def test_files_that_are_there_are_kept_and_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "params.yaml").write_text("push: {limit: 7}\n")
    (tmp_path / ".gitignore").symlink_to("nowhere")
    told = init(str(tmp_path), capsys=capsys)
    assert (tmp_path / "params.yaml").read_text() == "push: {limit: 7}\n"
    assert not (tmp_path / "nowhere").exists()
    assert told["kept"] == ["params.yaml", ".gitignore"]
    assert told["unignored"] == [".env", ".lsloop/"]


def test_a_kept_gitignore_that_lets_secrets_through_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / ".gitignore").write_text("*.pyc\n.lsloop/\n")
    assert main(["init", str(tmp_path)]) == 0
    assert "Add to .gitignore, lest secrets are committed: .env\n" in capsys.readouterr().out


def test_inside_a_git_repository_that_one_is_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    git(tmp_path, "init", "-q")
    project = tmp_path / "parts" / "speech"
    told = init(str(project), capsys=capsys)
    assert (told["git"], told["dvc"]) == (False, True)
    assert not (project / ".git").exists()
    assert dvc.cache(project) == project / ".dvc" / "cache"


def test_inside_a_dvc_repository_that_one_is_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    init(str(tmp_path), capsys=capsys)
    told = init(str(tmp_path / "part"), capsys=capsys)
    assert (told["git"], told["dvc"]) == (False, False)
    assert dvc.cache(tmp_path / "part") == tmp_path / ".dvc" / "cache"


def test_raw_data_can_be_given_to_dvc_afterwards(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    init(str(tmp_path), capsys=capsys)
    (tmp_path / "data" / "raw" / "a.wav").write_bytes(b"sound")
    git(tmp_path, "add", "--all")
    assert ".env" not in git(tmp_path, "diff", "--cached", "--name-only").splitlines()
    git(tmp_path, "rm", "-q", "--cached", "data/raw/a.wav")
    subprocess.run([sys.executable, "-m", "dvc", "add", "-q", "data/raw"], cwd=tmp_path, check=True)


def test_the_folder_is_relative_to_the_one_named_with_c(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert init("-C", str(tmp_path), "speech", capsys=capsys)["project"] == str(tmp_path / "speech")


def test_a_file_in_the_way_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert main(["init", str(tmp_path / "file")]) == 2
    assert f"{tmp_path / 'file'} is a file." in capsys.readouterr().err
    assert main(["init", str(tmp_path / "file" / "below")]) == 1
    assert str(tmp_path / "file") in capsys.readouterr().err


def test_without_git_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["init", str(tmp_path / "speech")]) == 1
    assert capsys.readouterr().err == "Error: git is not installed.\n→ Install git and run again.\n"


def test_every_setting_of_the_environment_is_explained(tmp_path: Path) -> None:
    text = resources.path(".env.example").read_text()
    explained = {
        line[2:].partition("=")[0] for line in text.splitlines() if line[2:].partition("=")[0].isupper()
    }
    known = {name.upper() for name in config.Environment.model_fields} - {"MEDIA_URL"} | {"AUDIO_SERVER_URL"}
    assert explained == known
    assert "MEDIA_URL" in text


def test_the_example_environment_changes_nothing_and_is_valid_when_uncommented(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in config.Environment.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    text = resources.path(".env.example").read_text()
    (tmp_path / ".env").write_text(text)
    assert config.load(tmp_path).environment == config.Environment()
    lines = [line.removeprefix("# ") for line in text.splitlines() if "=" in line.partition(" ")[2]]
    (tmp_path / ".env").write_text("\n".join(line for line in lines if line.partition("=")[0].isupper()))
    assert config.load(tmp_path).label_studio_url == "http://localhost:8080"


def test_the_example_rows_name_their_samples() -> None:
    assert [row["external_id"] for row in EXAMPLE] == ["interview-001", "chat-002"]


HALF_MADE: dict[str, dict[str, str]] = {
    "a file that was being written": {".params.yaml.7.half-made": "task_types:\n  transcr"},
    "an empty .dvc": {".dvc/tmp/x": ""},
    ".dvc without what git is to ignore": {".dvc/config": ""},
    ".dvc with half of what git is to ignore": {".dvc/config": "", ".dvc/.gitignore": "/config.local\n/tm"},
    "a .git that is none yet": {".git/config.lock.x": "", ".git/objects/x": ""},
}


@pytest.mark.parametrize("left", HALF_MADE)
def test_an_init_after_one_that_was_killed_makes_the_rest(tmp_path: Path, left: str) -> None:
    for name, text in HALF_MADE[left].items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert main(["init", str(tmp_path), "--quiet"]) == 0
    assert not list(tmp_path.rglob("*.half-made"))
    assert (tmp_path / "params.yaml").read_bytes() == resources.path("params.yaml").read_bytes()
    assert (tmp_path / ".dvc" / ".gitignore").read_text().split() == ["/config.local", "/tmp", "/cache"]
    assert dvc.is_in_use(tmp_path)
    assert git(tmp_path, "status", "--short", ".dvc/config") == "A  .dvc/config"


def test_a_dvc_that_holds_anything_is_never_made_anew(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    for name, text in ((".dvc/cache/files/md5/ab/cd", "data"), (".dvc/config", "")):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert main(["init", str(tmp_path), "--quiet"]) == 0
    assert (tmp_path / ".dvc/cache/files/md5/ab/cd").read_text() == "data"


def test_a_full_disk_leaves_no_half_file_and_the_next_init_goes_on(tmp_path: Path) -> None:
    """What is written goes up to a limit, as on a disk that has so much room."""
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000));"
    run = "import sys; from lsloop.commands import main; sys.exit(main(['init', sys.argv[1], '--quiet']))"
    full = subprocess.run(
        [sys.executable, "-c", f"{limit} {run}", str(tmp_path)], capture_output=True, text=True
    )
    assert full.returncode == 1
    assert "params.yaml" in full.stderr
    assert [one.name for one in tmp_path.iterdir() if one.is_file()] == []
    assert subprocess.run([sys.executable, "-c", run, str(tmp_path)]).returncode == 0
    assert (tmp_path / "params.yaml").read_bytes() == resources.path("params.yaml").read_bytes()
