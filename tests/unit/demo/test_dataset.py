import hashlib
from pathlib import Path

import jiwer
import pytest
import soundfile

from lsloop.demo import dataset


def digest(folder: Path) -> dict[str, str]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): hashlib.md5(path.read_bytes()).hexdigest() for path in files}


def test_the_same_seed_writes_the_same_bytes(tmp_path: Path) -> None:
    first, second = dataset.write(tmp_path / "a", 20, seed=0), dataset.write(tmp_path / "b", 20, seed=0)
    assert first == second
    assert digest(tmp_path / "a") == digest(tmp_path / "b")


def test_another_seed_writes_other_clips(tmp_path: Path) -> None:
    assert dataset.write(tmp_path / "a", 20, seed=0) != dataset.write(tmp_path / "b", 20, seed=1)
    a, b = digest(tmp_path / "a"), digest(tmp_path / "b")
    assert a.keys() == b.keys()
    assert all(a[name] != b[name] for name in a)


def test_every_row_has_what_ingest_asks_for_and_its_clip(tmp_path: Path) -> None:
    truth = dataset.write(tmp_path, 30, seed=0)
    rows = dataset.read_rows(tmp_path)
    assert [row["external_id"] for row in rows] == list(truth)
    assert len(set(truth)) == len({row["media"] for row in rows}) == 30
    for row in rows:
        assert row.keys() == {
            "external_id",
            "media",
            "transcript",
            "translation",
            "group",
            "source",
            "priority",
        }
        assert row["transcript"].strip()
        assert row["translation"].strip()
        assert soundfile.info(tmp_path / row["media"]).duration > 0.5


def test_the_transcripts_that_come_with_the_clips_are_poor(tmp_path: Path) -> None:
    truth = dataset.write(tmp_path, 200, seed=0)
    heard = [row["transcript"] for row in dataset.read_rows(tmp_path)]
    assert jiwer.wer(list(truth.values()), heard) == pytest.approx(dataset.HEARD, abs=0.06)


def test_what_was_really_said_is_nowhere_in_the_data_folder(tmp_path: Path) -> None:
    truth = dataset.write(tmp_path, 60, seed=0)
    rows = dataset.read_rows(tmp_path)
    misheard = [row for row in rows if row["transcript"] != truth[row["external_id"]]]
    assert len(misheard) > 30
    assert not any(truth[row["external_id"]] in row.values() for row in misheard)
    assert {path.suffix for path in tmp_path.rglob("*") if path.is_file()} == {".jsonl", ".wav"}
    names = " ".join(str(path) for path in tmp_path.rglob("*"))
    assert not any(text in names for text in truth.values())
