"""Samples that cannot be exported are left out by name, and nothing of them is there; the rest leaves as
it is."""

import errno
import json
import os
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile

from annotating import Office
from exporting import TRANSCRIPT, Project, contents
from lsloop.dataset import layouts, reviewed, trees
from lsloop.ledger import Ledger, problems
from lsloop.steps import export as steps_export
from lsloop.task_types import transcript_correction
from world import config

LAYOUTS = ("tree", "jsonl", "hf", "shards", "asr")

VALUES: dict[str, Any] = {
    "huge": 2**70, "half a pair": "a\ud800", "object": object(), "set": {1}, "bytes": b"a", "keys": {1: 2},
    "deep": None, "class": int, "complex": 1j, "path": Path("a"), "negative": -(2**64), "range": range(3),
}  # fmt: skip
for _ in range(300):
    VALUES["deep"] = [VALUES["deep"]]
RAISED: list[Exception] = [
    ValueError("no transcript"), TypeError("x"), KeyError("y"), AttributeError(), RecursionError("deep"),
    OverflowError("big"),
    ZeroDivisionError(), AssertionError(), IndexError("0"), UnicodeError("u"), NotImplementedError(),
]  # fmt: skip


def recording(path: Path, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    wave = np.random.default_rng(len(path.name)).normal(0, 0.1, 8000).astype(np.float32)
    soundfile.write(path, wave, 16_000, **options)
    return path


@pytest.fixture
def project(tmp_path: Path, ledger: Ledger, database_url: str) -> Project:
    """Thirty-two recordings, each reviewed."""
    settings = config(tmp_path / "project", database_url, "http://ls.invalid", "token")
    only = {TRANSCRIPT: settings.params.task_types[TRANSCRIPT]}
    settings = replace(settings, params=settings.params.model_copy(update={"task_types": only}))
    made = Project(settings, ledger, Office(ledger, settings))
    names = [f"c{i:02}" for i in range(32)]
    for name in names:
        recording(made.config.raw_dir / "audio" / f"{name}.wav")
    made.ingest(
        [{"external_id": name, "media": f"audio/{name}.wav", "transcript": "as crawled"} for name in names]
    )
    made.accept({name: f"said in {name}" for name in names})
    return made


def odd(bad: dict[str, Any]) -> Any:
    """A kind that meets something odd in some samples."""

    def training_rows(sample: Any, value: Any) -> list[dict[str, Any]]:
        (row,) = transcript_correction.training_rows(sample, value)
        if isinstance(answer := bad.get(sample.external_id), Exception):
            raise answer
        return [{**row, "extra": answer} if sample.external_id in bad else row]

    names = [name for name in dir(transcript_correction) if not name.startswith("_")]
    members = {name: getattr(transcript_correction, name) for name in names}
    return SimpleNamespace(**members | {"training_rows": training_rows})


def exported(
    project: Project, target: Path, layout: str, kind: Any = transcript_correction
) -> steps_export.Part:
    wanted = steps_export.Wanted(
        target=target, raw_dir=project.config.raw_dir, project_dir=project.config.project_dir,
        layout=layouts.load(layout),
        kinds={TRANSCRIPT: kind}, validation=0.1, test=0.1,
    )  # fmt: skip
    return steps_export.export(project.ledger, wanted).task_types[TRANSCRIPT]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_values_that_nothing_can_be_made_of(project: Project, tmp_path: Path, layout: str) -> None:
    chosen = [*VALUES.values(), *RAISED]
    bad = {f"c{i:02}": one for i, one in enumerate(chosen)}
    if layout == "asr":  # its lines have three values only
        bad = {name: one for name, one in bad.items() if isinstance(one, Exception)}
    part = exported(project, tmp_path / "out", layout, odd(bad))
    assert {problem.partition(":")[0] for problem in part.problems} == set(bad)
    assert part.samples == 32 - len(bad)
    told, total = problems.listed(project.ledger, step="export")
    assert total == len(bad)
    assert {one["external_id"] for one in told} == set(bad)
    for shard in (tmp_path / "out").rglob("*.tar"):
        with tarfile.open(shard) as tar:
            assert not any(str(project.office.sample(name)) in one for name in bad for one in tar.getnames())
    assert exported(project, tmp_path / "out", layout).problems == []
    exported(project, tmp_path / "whole", layout)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    assert problems.listed(project.ledger, step="export") == ([], 0)


def halved(sample: Any, value: Any) -> list[dict[str, Any]]:
    """Two rows of a sample; of c01, the second cannot be written."""
    (row,) = transcript_correction.training_rows(sample, value)
    return [{**row, "half": 1}, {**row, "half": object() if sample.external_id == "c01" else 2}]


@pytest.mark.parametrize("layout", ["tree", "jsonl", "hf", "shards"])
def test_a_sample_of_many_rows_is_written_whole_or_not_at_all(
    project: Project, tmp_path: Path, layout: str
) -> None:
    kind = SimpleNamespace(**vars(odd({})) | {"training_rows": halved})
    part = exported(project, tmp_path / "out", layout, kind)
    assert [problem.partition(":")[0] for problem in part.problems] == ["c01"]
    assert sorted(halves(tmp_path / "out" / TRANSCRIPT, layout)) == [1] * 31 + [2] * 31


def halves(folder: Path, layout: str) -> list[int]:
    if layout == "tree":
        data: Any = reviewed.read(folder)
        return [row["half"] for split in ("train", "validation", "test") for row in data.rows(split)]
    if layout == "shards":
        return [half for shard in folder.glob("*.tar") for half in in_shard(shard)]
    lines = [path.read_text().splitlines() for path in folder.rglob("*.jsonl") if path.name != "index.jsonl"]
    return [json.loads(line)["half"] for found in lines for line in found]


def in_shard(shard: Path) -> list[int]:
    with tarfile.open(shard) as tar:
        files = [tar.extractfile(name) for name in tar.getnames() if name.endswith(".json")]
        return [row["half"] for file in files if file for row in json.load(file)]


def harm(raw: Path, outside: Path) -> dict[str, Callable[[Path], Any]]:
    """What may become of a recording after it was ingested."""
    return {
        "gone": os.unlink,
        "another": lambda path: path.write_bytes(b"another sound"),
        "empty": lambda path: path.write_bytes(b""),
        "a folder": lambda path: (path.unlink(), path.mkdir()),
        "a link to nowhere": lambda path: (path.unlink(), path.symlink_to("nowhere")),
        "a link to itself": lambda path: (path.unlink(), path.symlink_to(path.name)),
        "a link out": lambda path: (path.replace(outside / path.name), path.symlink_to(outside / path.name)),
        "a relative link out": lambda path: (
            path.replace(outside / path.name),
            path.symlink_to(os.path.relpath(outside / path.name, path.parent)),
        ),
    }


@pytest.mark.parametrize("layout", LAYOUTS)
def test_recordings_that_are_not_there_or_not_the_same(project: Project, tmp_path: Path, layout: str) -> None:
    raw, outside = project.config.raw_dir, tmp_path / "outside"
    outside.mkdir()
    bad = {}
    for number, (what, do) in enumerate(harm(raw, outside).items()):
        do(raw / "audio" / f"c{number:02}.wav")
        bad[f"c{number:02}"] = what
    (raw / "elsewhere").mkdir()
    for name in ("c20", "c21"):  # links that stay inside, relative and absolute
        (raw / "audio" / f"{name}.wav").replace(raw / "elsewhere" / name)
        inside = raw / "elsewhere" / name
        (raw / "audio" / f"{name}.wav").symlink_to(inside if name == "c20" else f"../elsewhere/{name}")
    part = exported(project, tmp_path / "out", layout)
    if (
        layout == "jsonl"
    ):  # it names files, and holds none; but what is not there is of no use to who reads it
        assert part.samples == 24
    assert {problem.partition(":")[0] for problem in part.problems} == set(bad), part.problems
    reasons = {one["external_id"]: one["reason"] for one in problems.listed(project.ledger, step="export")[0]}
    assert "changed since it was ingested" in reasons["c01"]
    assert "leads out of the raw data" in reasons["c06"]
    assert "leads out of the raw data" in reasons["c07"]
    assert not any(path.is_symlink() for path in (tmp_path / "out").rglob("*"))
    if layout == "tree":
        folder = tmp_path / "out" / TRANSCRIPT / str(project.office.sample("c21"))
        assert (folder / "audio.wav").read_bytes() == (raw / "elsewhere" / "c21").read_bytes()


def test_the_export_keeps_what_people_heard(project: Project) -> None:
    project.export()
    raw = project.config.raw_dir / "audio" / "c00.wav"
    heard, there = raw.read_bytes(), project.folder("c00") / "audio.wav"
    assert there.stat().st_nlink == 1
    with raw.open("r+b") as file:  # in place, as an editor of sound does
        file.write(b"another sound")
    assert there.read_bytes() == heard
    project.change_mind("c01", "changed")
    assert project.export().task_types[TRANSCRIPT].problems == []
    assert there.read_bytes() == heard
    (problem,) = project.export(again=True).task_types[TRANSCRIPT].problems
    assert problem == "c00: its media file audio/c00.wav changed since it was ingested."


def test_what_an_earlier_export_linked_is_the_exports_own_after_the_next(project: Project) -> None:
    project.export()
    raw = project.config.raw_dir / "audio"
    for name in ("c00", "c01"):
        (project.folder(name) / "audio.wav").unlink()
    os.link(raw / "c00.wav", project.folder("c00") / "audio.wav")
    (project.folder("c01") / "audio.wav").symlink_to("../../raw/nowhere.wav")
    project.change_mind("c02", "changed")
    assert project.export().task_types[TRANSCRIPT].problems == []
    for name in ("c00", "c01"):
        there = project.folder(name) / "audio.wav"
        assert (there.stat().st_nlink, there.is_symlink()) == (1, False)
        assert there.read_bytes() == (raw / f"{name}.wav").read_bytes()


def test_a_full_disk_ends_the_export_and_the_old_one_is_whole(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.export()
    before = contents(project.target)
    for number in range(5):
        project.change_mind(f"c{number:02}", "changed")
    copy = trees._copy
    left = [3]

    def fill(source: Any, target: Any) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))
        copy(source, target)

    monkeypatch.setattr(trees, "_copy", fill)
    with pytest.raises(OSError, match="No space left"):
        project.export()
    assert contents(project.target) == before
    assert not trees.building(project.target).exists()
    monkeypatch.undo()
    assert project.export().task_types[TRANSCRIPT].written == 5


def test_speech_in_any_container_has_a_duration_or_is_left_out(project: Project, tmp_path: Path) -> None:
    raw = project.config.raw_dir / "audio"
    kinds: dict[str, dict[str, Any]] = {
        "a.opus": {"format": "OGG", "subtype": "OPUS"}, "b.oga": {"format": "OGG", "subtype": "VORBIS"},
        "c.aiff": {},
        "d.au": {}, "e.caf": {}, "f.flac": {}, "g.mp3": {},
    }  # fmt: skip
    for name, options in kinds.items():
        recording(raw / name, **options)
    whole = recording(raw / "cut.flac").read_bytes()
    (raw / "cut.flac").write_bytes(whole[: len(whole) // 2])
    (raw / "video.mp4").write_bytes(b"\0\0\0\x20ftypisom" + bytes(100))
    names = [*kinds, "cut.flac", "video.mp4"]
    project.ingest(
        [{"external_id": name, "media": f"audio/{name}", "transcript": "as crawled"} for name in names]
    )
    project.office.rows(
        "UPDATE samples SET media_problem = NULL RETURNING 1"
    )  # as it was before they were looked at
    project.accept(dict.fromkeys(names, "said"))
    # As a ledger has it that was filled when these suffixes were not known.
    project.office.rows(
        "UPDATE samples SET duration = NULL WHERE external_id ~ '(opus|oga|aiff|au|caf)$' RETURNING 1"
    )
    part = exported(project, tmp_path / "asr", "asr")
    assert {problem.partition(":")[0] for problem in part.problems} == {"cut.flac", "video.mp4"}
    lines = "".join(
        path.read_text() for path in (tmp_path / "asr").rglob("manifest.json") if path.parent.name != "asr"
    )
    assert '"duration":null' not in lines.replace(" ", "")
