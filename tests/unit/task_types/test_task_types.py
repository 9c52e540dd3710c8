import subprocess
import sys
from pathlib import Path

import pytest

from lsloop import resources, task_types
from lsloop.config import load as load_config
from lsloop.errors import UsageError

PLUGIN = "[lsloop.task_types]\nocr_lines = {module}\n"


def install(folder: Path, module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What pip leaves behind of a package that adds the kind `ocr_lines`."""
    info = folder / "lsloop_ocr-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: lsloop-ocr\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(PLUGIN.format(module=module))
    monkeypatch.syspath_prepend(folder)


def test_the_kinds_of_the_speech_system_are_there() -> None:
    assert {"audio_segmentation", "transcript_correction", "translation_review"} <= set(task_types.names())


def test_an_unknown_kind_is_refused_with_the_names_of_those_there_are() -> None:
    with pytest.raises(UsageError) as refused:
        task_types.load("ocr_lines")
    assert "'ocr_lines'" in refused.value.problem
    assert "audio_segmentation, transcript_correction, translation_review" in refused.value.fix


def test_an_installed_package_adds_a_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = "from lsloop.task_types.translation_review import *\nNAME = 'ocr'\n"
    (tmp_path / "lsloop_ocr_lines.py").write_text(code)
    install(tmp_path, "lsloop_ocr_lines", monkeypatch)
    assert "ocr_lines" in task_types.names()
    assert task_types.load("ocr_lines").WRITES == ("translation",)


def test_an_installed_kind_that_lacks_a_part_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lsloop_half_a_kind.py").write_text("READS = WRITES = ('text',)\n")
    install(tmp_path, "lsloop_half_a_kind", monkeypatch)
    with pytest.raises(UsageError, match="'ocr_lines' is not complete"):
        task_types.load("ocr_lines")


def test_a_label_config_that_shows_what_tasks_do_not_have_does_not_fit() -> None:
    kind = task_types.load("transcript_correction")
    config = resources.template("transcript_correction").replace('value="$audio"', 'value="$video"')
    assert task_types.misfits(kind, config) == ["it shows $video, which tasks do not have"]


def test_the_name_that_the_field_also_uses_leads_to_the_same_kind(tmp_path: Path) -> None:
    name, settings = load_config(tmp_path).task_type("transcript_verification")
    assert (name, settings.kind) == ("transcript_correction", "transcript_correction")


HEAVY = {"jiwer", "sacrebleu", "krippendorff", "merge3", "numpy", "label_studio_sdk"}


def test_loading_every_kind_imports_none_of_the_measuring_libraries() -> None:
    code = f"""
import sys
from lsloop import task_types
for name in task_types.names():
    task_types.load(name)
print(sorted({HEAVY} & sys.modules.keys()))
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
