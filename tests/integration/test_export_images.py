"""Regions in images leave as COCO, Pascal VOC and YOLO, made by Label Studio's own converter from what
people accepted."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from annotating import Office
from exporting import TRANSCRIPT, contents, identity, rows
from exporting import Project as Speech
from lsloop.dataset import layouts
from lsloop.dataset.layouts import Layout
from lsloop.errors import LsloopError, UsageError
from lsloop.labelstudio import conversion
from lsloop.ledger import Ledger, problems
from lsloop.steps import export
from world import config

CONFIG = """<View><Image name="photo" value="$url"/>
  <RectangleLabels name="label" toName="photo"><Label value="cat"/><Label value="dog"/></RectangleLabels>
  <PolygonLabels name="outline" toName="photo"><Label value="cat"/></PolygonLabels></View>"""
BOX = {"x": 10, "y": 20, "width": 30, "height": 40, "rotation": 0, "rectanglelabels": ["dog"]}


def region(name: str, value: dict[str, Any], kind: str = "rectanglelabels") -> dict[str, Any]:
    size = {"original_width": 200, "original_height": 100}
    return {"id": name, "from_name": "label", "to_name": "photo", "type": kind, "value": value, **size}


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Any:
    return config(tmp_path / "project", database_url, "http://ls.invalid", "token")


def exported(
    folder: Path,
    ledger: Ledger,
    settings: Any,
    layout: Layout,
    *regions: dict[str, Any],
    label_config: str = CONFIG,
    other: tuple[dict[str, Any], ...] = (),
) -> Path:
    """Two accepted samples with pictures: the first has these regions, the second `other`. Played as
    transcripts."""
    project = Speech(settings, ledger, Office(ledger, settings))
    if not settings.raw_dir.exists():
        settings.raw_dir.joinpath("p").mkdir(parents=True)
        for number in (1, 2):
            Image.new("RGB", (200, 100)).save(settings.raw_dir / "p" / f"{number}.png")
        project.ingest(
            [{**row, "media": f"p/{row['external_id'][1:]}.png", "group": "one"} for row in rows(2)]
        )
        project.accept({"c1": "regions", "c2": "none"})
    kind = SimpleNamespace(
        to_result=lambda value, given, sample: [*regions] if value["transcript"] == "regions" else [*other],
        training_rows=lambda sample, value: [{}],
    )
    configs: Any = {TRANSCRIPT: label_config}
    wanted = export.Wanted(
        target=folder, raw_dir=settings.raw_dir, project_dir=settings.project_dir, layout=layout,
        kinds={TRANSCRIPT: kind}, validation=0.1, test=0.1, label_configs=configs,
    )  # fmt: skip
    export.export(ledger, wanted)
    (split,) = (path for path in (folder / TRANSCRIPT).iterdir() if path.is_dir())
    return split


def test_coco_holds_boxes_in_pixels_and_images_without_any(
    tmp_path: Path, ledger: Ledger, settings: Any
) -> None:
    split = exported(tmp_path / "out", ledger, settings, layouts.load("coco"), region("a", BOX))
    found = json.loads((split / "result.json").read_text())
    assert [(image["width"], image["height"]) for image in found["images"]] == [(200, 100)] * 2
    assert all((split / image["file_name"]).is_file() for image in found["images"])
    assert [one["bbox"] for one in found["annotations"]] == [[20.0, 20.0, 60.0, 40.0]]
    assert found["categories"][found["annotations"][0]["category_id"]]["name"] == "dog"
    exported(tmp_path / "again", ledger, settings, layouts.load("coco"), region("a", BOX))
    assert contents(tmp_path / "again") == contents(tmp_path / "out")


def test_yolo_and_voc_hold_the_same_box(tmp_path: Path, ledger: Ledger, settings: Any) -> None:
    yolo = exported(tmp_path / "yolo", ledger, settings, layouts.load("yolo"), region("a", BOX))
    assert (yolo / "classes.txt").read_text().split() == ["cat", "dog"]
    assert sorted(path.read_text().split() for path in (yolo / "labels").iterdir()) == [
        [], ["1", "0.25", "0.4", "0.3", "0.4"],
    ]  # fmt: skip
    voc = exported(tmp_path / "voc", ledger, settings, layouts.load("voc"), region("a", BOX))
    (xml,) = (voc / "Annotations").iterdir()
    assert "<name>dog</name>" in xml.read_text()
    assert "<xmin>20</xmin>\n<ymin>20</ymin>\n<xmax>80</xmax>\n<ymax>60</ymax>" in xml.read_text()
    assert (voc / "images" / f"{xml.stem}.png").is_file()


def test_another_label_config_alone_is_a_change_and_the_same_one_is_none(
    tmp_path: Path, ledger: Ledger, settings: Any
) -> None:
    def classes(label_config: str) -> list[str]:
        yolo = layouts.load("yolo")
        split = exported(
            tmp_path / "out", ledger, settings, yolo, region("a", BOX), label_config=label_config
        )
        return (split / "classes.txt").read_text().split()

    assert classes(CONFIG) == ["cat", "dog"]
    before = identity(tmp_path / "out")
    assert classes(CONFIG) == ["cat", "dog"]
    assert identity(tmp_path / "out") == before
    assert "bird" in classes(
        CONFIG.replace('<Label value="dog"/>', '<Label value="dog"/><Label value="bird"/>')
    )


def test_what_a_format_cannot_hold_is_not_left_out_in_silence(
    tmp_path: Path, ledger: Ledger, settings: Any
) -> None:
    outline = region("b", {"points": [[0, 0], [50, 0], [50, 50]], "polygonlabels": ["cat"]}, "polygonlabels")
    outline["from_name"] = "outline"
    given = (region("a", BOX), outline)
    with pytest.raises(LsloopError, match="VOC holds 1 of 2 regions"):
        exported(tmp_path / "voc", ledger, settings, layouts.load("voc"), *given)
    assert not (tmp_path / "voc").exists()
    split = exported(tmp_path / "coco", ledger, settings, layouts.load("coco"), *given)
    assert len(json.loads((split / "result.json").read_text())["annotations"]) == 2


RELATED = {"type": "relation", "from_id": "a", "to_id": "b"}
OUTLINE = region("b", {"points": [[0, 0], [50, 0], [50, 50]], "polygonlabels": ["cat"]}, "polygonlabels") | {
    "from_name": "outline"
}
WRONG = {
    "coco": [
        region("a", {**BOX, "x": "10"}), {**region("a", BOX), "original_width": None},
        {**region("a", BOX), "value": "x"},
    ],
    "voc": [OUTLINE, region("a", {k: v for k, v in BOX.items() if k != "width"})],
    "yolo": [region("a", {**BOX, "x": None}),
    {**OUTLINE, "value": {"points": "q", "polygonlabels": ["cat"]}}],
}  # fmt: skip


@pytest.mark.parametrize("form", WRONG)
def test_regions_that_cannot_be_converted_leave_out_their_picture_by_name_and_no_other(
    tmp_path: Path, ledger: Ledger, settings: Any, form: str
) -> None:
    layout = layouts.load(form)
    for number, wrong in enumerate(WRONG[form]):
        split = exported(
            tmp_path / f"{number}", ledger, settings, layout, wrong, other=(region("a", BOX), RELATED)
        )
        (line,) = (split.parent / "index.jsonl").read_text().splitlines()
        assert json.loads(line)["external_id"] == "c2"
        assert [path.stem for path in (split / "images").iterdir()] == [json.loads(line)["sample_id"]]
        named = [one for one in problems.listed(ledger)[0] if one["external_id"] == "c1"]
        assert len(named) == number + 1, "by destination"
    exported(tmp_path / "0", ledger, settings, layout, region("a", BOX), other=(region("a", BOX), RELATED))
    assert len(list((split.parents[2] / "0" / TRANSCRIPT / split.name / "images").iterdir())) == 2
    assert len(problems.listed(ledger)[0]) == len(WRONG[form]) - 1


def test_what_is_not_about_images_is_refused(settings: Any, ledger: Ledger) -> None:
    speech = Speech(settings, ledger, Office(ledger, settings))
    with pytest.raises(UsageError, match=f"{TRANSCRIPT} has no images"):
        speech.export(layout="coco", task_type=TRANSCRIPT)
    conversion.require_images(CONFIG, "boxes")
