"""`lsloop init --task-type` adds a job: a template and an entry, beside whatever a project has already."""

import json
from pathlib import Path
from typing import Any

import pytest

from lsloop import config, dvc, resources
from lsloop.commands import main
from lsloop.loop.job import resolved

TEMPLATE = """
<View>
  <Header value="$question"/>
  <Image name="photo" value="$image"/>
  <RectangleLabels name="box" toName="photo"><Label value="car"/></RectangleLabels>
  <Choices name="weather" toName="photo"><Choice value="rain"/></Choices>
</View>
"""


@pytest.fixture
def template(tmp_path: Path) -> Path:
    path = tmp_path / "mine.xml"
    path.write_text(TEMPLATE, encoding="utf-8")
    return path


def added(
    folder: Path, name: str, template: Path | str, capsys: pytest.CaptureFixture[str]
) -> dict[str, Any]:
    assert main(["init", str(folder), "--task-type", name, "--template", str(template), "--json"]) == 0
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    return told


def refused(folder: Path, *words: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["init", str(folder), *words]) == 2
    return capsys.readouterr().err


def test_a_new_project_has_the_job_at_once(
    tmp_path: Path, template: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = tmp_path / "project"
    assert added(project, "vehicles", template, capsys)["entry"] == "added"
    name, settings, kind = resolved(config.load(project), "vehicles")
    assert (name, settings.reads) == ("vehicles", {"image": "media"})
    assert (kind.READS, kind.WRITES) == (("media", "question"), ("weather", "regions"))
    assert resources.template("vehicles", project) == TEMPLATE
    assert "data/reviewed/vehicles" in (project / "dvc.yaml").read_text()


def test_what_a_project_has_is_kept_when_a_job_is_added(
    tmp_path: Path, template: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = tmp_path / "project"
    project.mkdir()
    mine = "# mine\npush: {limit: 7}\ntask_types:\n  translation_review: {overlap: 2}  # two of us\n"
    (project / "params.yaml").write_text(mine)
    (project / "dvc.yaml").write_text(dvc.stages(["translation_review"]))
    added(project, "vehicles", template, capsys)
    text = (project / "params.yaml").read_text()
    assert text.startswith(mine)
    assert (project / "dvc.yaml").read_text() == dvc.stages(["translation_review", "vehicles"])
    assert added(project, "vehicles", template, capsys)["entry"] == "kept"
    assert (project / "params.yaml").read_text() == text
    template.write_text("<View><Text name='t' value='$t'/><TextArea name='a' toName='t'/></View>")
    words = ("--task-type", "vehicles", "--template", str(template))
    assert "holds another label config" in refused(project, *words, capsys=capsys)
    assert resources.template("vehicles", project) == TEMPLATE


def test_two_jobs_that_write_fields_of_one_name_get_fields_of_their_own(
    tmp_path: Path, template: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("vehicles", "people"):
        added(tmp_path / "project", name, template, capsys)
    loaded = config.load(tmp_path / "project")
    assert resolved(loaded, "vehicles")[2].WRITES == ("weather", "regions")
    assert resolved(loaded, "people")[2].WRITES == ("people_weather", "people_regions")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--task-type", "vehicles"), "belong together"),
        (("--task-type", "../x", "--template", "mine.xml"), "cannot be called"),
        (
            ("--task-type", "translation_review", "--template", "mine.xml"),
            "is a kind of task that lsloop brings",
        ),
        (("--task-type", "x", "--template", "nowhere.xml"), "There is no file nowhere.xml"),
    ],
)
def test_what_cannot_be_added_is_refused_and_nothing_is_written(
    tmp_path: Path, words: tuple[str, ...], says: str, template: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert template.is_file()
    told = refused(
        tmp_path / "project", *[w.replace("mine", str(template)[:-4]) for w in words], capsys=capsys
    )
    assert says in told
    assert not (tmp_path / "project").exists()


def test_without_a_label_studio_the_gallery_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LSLOOP_STUDIO_ENV", str(tmp_path / "none"))
    told = refused(tmp_path / "project", "--task-type", "x", "--template", "taxonomy", capsys=capsys)
    assert "The gallery comes with Label Studio, which is not installed in" in told
    assert "Run `lsloop up` once" in told


def test_a_template_of_the_gallery_is_listed_shown_and_taken(
    tmp_path: Path,
    studio_environment: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("LSLOOP_STUDIO_ENV", str(studio_environment))
    assert main(["-C", str(tmp_path), "templates", "--json"]) == 0
    listed = {one["name"]: one for one in json.loads(capsys.readouterr().out)["templates"]}
    assert len(listed) >= 69
    one = listed["object-detection-with-bounding-boxes"]
    assert (one["reads"], one["writes"], one["predictions"]) == (["media"], ["regions"], True)
    assert one["measure"] == "agreement, errors in regions"
    assert main(["-C", str(tmp_path), "templates", one["name"]]) == 0
    assert capsys.readouterr().out.strip() == one["config"].strip()
    added(tmp_path / "project", "cars", one["name"], capsys)
    assert (
        resolved(config.load(tmp_path / "project"), "cars")[1].title == "Object Detection with Bounding Boxes"
    )
    told = refused(
        tmp_path / "project", "--task-type", "x", "--template", "image-clasification", capsys=capsys
    )
    assert "Did you mean image-classification" in told


def test_the_page_of_templates_is_up_to_date(
    tmp_path: Path,
    studio_environment: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """`make templates` writes it anew."""
    monkeypatch.setenv("LSLOOP_STUDIO_ENV", str(studio_environment))
    assert main(["-C", str(tmp_path), "templates", "--markdown"]) == 0
    page = Path(__file__).parents[2] / "docs" / "templates.md"
    assert capsys.readouterr().out == page.read_text(encoding="utf-8")
