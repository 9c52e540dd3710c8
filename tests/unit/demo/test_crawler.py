from collections import Counter
from pathlib import Path
from typing import cast

import jiwer

from lsloop.demo import dataset
from lsloop.demo.crawler import crawl


def rows(raw_dir: Path) -> dict[str, dict[str, object]]:
    return {row["external_id"]: row for row in dataset.read_rows(raw_dir)}


def clips(raw_dir: Path) -> dict[str, bytes]:
    return {path.stem: path.read_bytes() for path in (raw_dir / "audio").iterdir()}


FIELDS = {"mended": "transcript", "misheard": "transcript", "translation": "translation", "media": "media"}


def test_what_the_crawler_says_it_changed_is_what_changed(tmp_path: Path) -> None:
    dataset.write(tmp_path, 30, seed=0)
    before, sounded = rows(tmp_path), clips(tmp_path)
    changes = crawl(tmp_path, 0, turn=1, amounts={"mended": 3, "misheard": 3, "translation": 3, "media": 2})
    after, sounds = rows(tmp_path), clips(tmp_path)
    moved = {(name, key) for name, row in after.items() for key in row if row[key] != before[name][key]}
    moved |= {(name, "media") for name in sounds if sounds[name] != sounded[name]}
    assert moved == {(change.external_id, FIELDS[change.what]) for change in changes}
    assert Counter(change.what for change in changes) == {
        "mended": 3,
        "misheard": 3,
        "translation": 3,
        "media": 2,
    }
    assert list(after) == list(before)


def test_a_mended_transcript_is_nearer_to_what_is_said_and_not_yet_right_and_a_misheard_one_stays_wrong(
    tmp_path: Path,
) -> None:
    said = dataset.write(tmp_path, 60, seed=3)
    before = rows(tmp_path)
    changes = crawl(tmp_path, 3, turn=1, amounts={"mended": 10, "misheard": 10})
    assert len(changes) == 20
    for change in changes:
        was, now = (cast(str, found[change.external_id]["transcript"]) for found in (before, rows(tmp_path)))
        right = said[change.external_id]
        if change.what == "mended":
            assert 0 < jiwer.wer(right, now) < jiwer.wer(right, was)
        else:
            assert right != now != was


def test_the_same_seed_and_turn_change_the_same_and_another_turn_does_not(tmp_path: Path) -> None:
    changed = {}
    for name, turn in (("a", 1), ("b", 1), ("c", 2)):
        dataset.write(tmp_path / name, 20, seed=4)
        crawl(tmp_path / name, 4, turn, {"mended": 4, "media": 2})
        changed[name] = (rows(tmp_path / name), clips(tmp_path / name))
    assert changed["a"] == changed["b"] != changed["c"]


def test_the_crawler_keeps_to_the_samples_it_is_given_and_changes_each_once(tmp_path: Path) -> None:
    dataset.write(tmp_path, 20, seed=0)
    among = {"clip-00003", "clip-00009"}
    changes = crawl(tmp_path, 0, turn=1, amounts={"translation": 2, "media": 2}, among=among)
    assert sorted(change.external_id for change in changes) == sorted(among)
