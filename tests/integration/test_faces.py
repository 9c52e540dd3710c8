"""What commands print for programs and people, on the real services: snake_case keys, the way to the page,
totals."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from lsloop.commands import main
from lsloop.labelstudio import projects, tasks
from services import Studio
from world import TRANSCRIPT, World, clips

KEY = re.compile(r"^[a-z0-9]+(_[a-z0-9]+)*$")
PARAMS = f"task_types: {{{TRANSCRIPT}: {{}}, audio_segmentation: {{}}}}\npush: {{settle_seconds: 1}}\n"


@pytest.fixture
def folder(world: World, studio: Studio, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The world as a project folder that commands work in."""
    project = world.config.project_dir
    (project / "params.yaml").write_text(PARAMS)
    (project / ".lsloop").mkdir(exist_ok=True)
    given = {
        "DATABASE_URL": database_url, "LABEL_STUDIO_URL": studio.url, "LABEL_STUDIO_API_KEY": studio.token,
        "AUDIO_SERVER_URL": "http://127.0.0.1:1",
        "LSLOOP_SECRET": "a secret of the tests",
    }  # fmt: skip
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    return project


COUNTED_BY_NAME = "/lineage/annotators"  # of manifest.json, whose form is not the command line's


def wrong_keys(document: Any, at: str = "") -> list[str]:
    """Every key that a program could not write as a name. External ids and paths are values, never keys."""
    if isinstance(document, dict):
        here = [f"{at}/{key}" for key in document if not KEY.match(key) and not at.endswith(COUNTED_BY_NAME)]
        return here + [wrong for key, value in document.items() for wrong in wrong_keys(value, f"{at}/{key}")]
    if isinstance(document, list):
        return [wrong for item in document for wrong in wrong_keys(item, f"{at}[]")]
    return []


COMMANDS = (
    "status", "ingest", f"push -t {TRANSCRIPT} --dry-run", f"push -t {TRANSCRIPT}", "pull --dry-run", "pull",
    "setup",
    "locks", "gold set clip-003 --value {\"transcript\":\"x\"}", "gold set clip-003 none --from-revision",
    "gold list",
    "gold report", "annotators", "conflicts list --status all", "conflicts show 1",
    "conflicts resolve --all --strategy merged",
    "events", "events --retry", "models list", "problems", "export", "export --format jsonl --dry-run",
    "manifest",
    "watermark", "sync --interval 5", "sync", "sync-daemon --once", "sync-daemon --status", "db status",
    "db upgrade",
    "status", f"predict -t {TRANSCRIPT}", f"retrain -t {TRANSCRIPT}", "doctor", "nonsense",
)  # fmt: skip


@pytest.mark.studio
def test_every_document_has_keys_in_snake_case_and_push_names_the_page(
    world: World, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world.write(clips(4))
    found, codes = {}, {}
    for command in COMMANDS:
        codes[command] = main(["-C", str(folder), *command.split(), "--json"])
        said = capsys.readouterr().out
        document = json.loads(said)
        found[command] = wrong_keys(document)
        if command == f"push -t {TRANSCRIPT}":
            page = f"{world.config.label_studio_url}/projects/{world.ls_project_id}/data"
            assert (document["sent"], document["url"]) == (4, page)
            world.annotate(world.tasks()["clip-001"], "xin chào Meeting 1")
            world.write([*clips(1, transcript="XIN chào meeting 1"), *clips(4)[1:]])
            assert main(["-C", str(folder), "ingest", "-q"]) == 0
            capsys.readouterr()
    assert {command: wrong for command, wrong in found.items() if wrong} == {}
    assert [codes[c] for c in ("status", "ingest", "pull", "export", "sync", "setup")] == [0] * 6, codes


@pytest.mark.studio
def test_progress_has_a_total_and_the_page_is_told(
    world: World, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world.write(clips(5))
    told = {}
    for command in ("ingest", f"push -t {TRANSCRIPT} -n 3", "pull", "export"):
        assert main(["-C", str(folder), *command.split()]) == 0
        told[command.split()[0]] = capsys.readouterr()
    page = f"{world.config.label_studio_url}/projects/{world.ls_project_id}/data"
    assert f"Sent 3 tasks.\nPeople answer here: {page}\n" in told["push"].out
    assert re.search(r"Reading lines and media: (\d+) of \1", told["ingest"].err)
    assert "Sending tasks: 3 of 3" in told["push"].err
    for command in ("ingest", f"push -t {TRANSCRIPT} -n 1", "pull", "export"):
        assert main(["-C", str(folder), *command.split(), "--quiet"]) == 0
        assert capsys.readouterr().err == ""


@pytest.mark.studio
def test_a_new_project_begins_with_instructions_and_a_tidy_list_that_are_peoples_from_then_on(
    world: World, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["-C", str(folder), "setup", "-t", TRANSCRIPT]) == 0
    there = projects.get(world.studio, world.ls_project_id)
    assert there is not None
    assert (there["show_instruction"], "Ctrl+P" in there["expert_instruction"]) == (True, True)
    (tab,) = world.studio.get("api/dm/views/", params={"project": world.ls_project_id})
    hidden = tab["data"]["hiddenColumns"]
    assert {"tasks:data.task_key", "tasks:data.sample_id", "tasks:data.candidates"} <= set(hidden["explore"])
    assert not {"tasks:data.text", "tasks:annotators"} & set(hidden["explore"])
    projects.update(
        world.studio, world.ls_project_id, expert_instruction="<p>ours</p>", show_instruction=False
    )
    world.studio.patch(f"api/dm/views/{tab['id']}/", json={"data": {**tab["data"], "title": "Mine"}})
    assert main(["-C", str(folder), "setup", "-t", TRANSCRIPT]) == 0
    again = projects.get(world.studio, world.ls_project_id)
    assert again is not None
    assert (again["expert_instruction"], again["show_instruction"]) == ("<p>ours</p>", False)
    (tab,) = world.studio.get("api/dm/views/", params={"project": world.ls_project_id})
    assert tab["data"]["title"] == "Mine"


@pytest.mark.studio
def test_a_template_that_is_wrong_keeps_no_other_project_from_being_made(
    world: World, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "params.yaml").write_text(f"task_types: {{silent: {{}}, {TRANSCRIPT}: {{}}}}\n")
    (folder / "label_studio_templates").mkdir(exist_ok=True)
    template = folder / "label_studio_templates" / "silent.xml"
    template.write_text('<View><Text name="t" value="$transcript"/></View>')
    assert main(["-C", str(folder), "setup", "--json"]) == 2
    told = capsys.readouterr()
    assert list(json.loads(told.out)) == [TRANSCRIPT]
    assert "silent: the template has no control" in told.err


@pytest.mark.studio
def test_the_page_of_segments_shows_the_transcript_that_people_corrected(world: World, folder: Path) -> None:
    world.ingest(clips(1))
    world.push()
    world.annotate(world.tasks()["clip-001"], "xin chào Meeting một")
    world.pull()
    assert world.push("audio_segmentation").sent == 1
    project = int(world.value("SELECT ls_project_id FROM projects WHERE task_type = 'audio_segmentation'"))
    ((task,),) = [found.tasks for found in tasks.changed(world.studio, project)]
    assert task["data"]["text"] == "xin chào Meeting một"
