"""The index of an exported folder is read line by line, whatever is in the lines and however many there
are."""

import tracemalloc
from pathlib import Path

import orjson

from lsloop.dataset import indexes


def line(number: int, external_id: str = "clip") -> str:
    entry = {
        "sample_id": f"{number:036}", "digest": f"{number:032}", "layout": "tree 1", "split": "train",
        "gold": False,
        "external_id": external_id, "newest_revision": number, "dvc_commit_hash": None,
        "answers": {"transcript": {"revision": 1, "annotator": "ann", "model_version": None}},
    }  # fmt: skip
    return orjson.dumps(entry).decode()


def test_a_line_may_hold_what_other_programs_take_for_its_end(tmp_path: Path) -> None:
    lines = {f"{number:036}": line(number, f"a\u2028b\x85c{number}") for number in range(2)}
    indexes.write(tmp_path, lines.values())
    assert indexes.read(tmp_path) == lines


def test_the_manifest_of_many_samples_keeps_little_of_each(tmp_path: Path) -> None:
    count, folder = 5_000, tmp_path / "speech"
    folder.mkdir()
    indexes.write(folder, (line(number) for number in range(count)))
    tracemalloc.start()
    found = orjson.loads(indexes.manifest(tmp_path))["task_types"]["speech"]
    for _ in indexes.contents(folder):
        pass
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (found["samples"], found["splits"], found["lineage"]["newest_revision"]) == (
        count,
        {"train": count},
        count - 1,
    )
    assert peak / count < 300  # bytes
