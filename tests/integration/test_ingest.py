"""Ingest: what upstream says comes in as it is, changes are seen as changes, and nothing bad gets in or
gets lost."""

import json
import os
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from lsloop.errors import UsageError
from lsloop.ledger import Ledger
from lsloop.progress import Progress
from lsloop.steps import sample


class Upstream:
    """A raw data folder and the ledger that follows it."""

    def __init__(self, folder: Path, ledger: Ledger) -> None:
        self.raw, self.ledger = folder / "raw", ledger
        self.raw.mkdir()

    def media(self, name: str, content: bytes) -> str:
        path = self.raw / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return name

    def ingest(self, *rows: dict[str, Any] | bytes, **options: Any) -> sample.Ingested:
        lines = [
            row if isinstance(row, bytes) else json.dumps(row, ensure_ascii=False).encode() for row in rows
        ]
        path = self.raw / "metadata.jsonl"
        path.write_bytes(b"\n".join(lines) + b"\n")
        return sample.ingest(self.ledger, path, raw_dir=self.raw, **options)

    def rows(self, statement: str) -> list[Any]:
        with self.ledger.transaction() as transaction:
            return transaction.rows(statement)

    def one(self, statement: str) -> Any:
        return self.rows(statement)[0]


@pytest.fixture
def upstream(tmp_path: Path, ledger: Ledger) -> Upstream:
    return Upstream(tmp_path, ledger)


def test_new_samples_come_in_with_their_media_measured_as_dvc_does(upstream: Upstream) -> None:
    upstream.media("a.wav", b"hello")
    done = upstream.ingest(
        {
            "external_id": "a",
            "media": "a.wav",
            "transcript": "xin chào",
            "group": "s1",
            "priority": 3,
            "source": "web",
        }
    )
    assert (done.upserted.added, done.refused) == (1, [])
    row = upstream.one("SELECT * FROM samples")
    assert (row.external_id, row.source, row.group_key, row.priority, row.sync_version) == (
        "a",
        "web",
        "s1",
        3,
        1,
    )
    assert row.fields == {"transcript": "xin chào"}
    assert (row.media_path, row.media_md5, row.media_bytes) == (
        "a.wav",
        "5d41402abc4b2a76b9719d911017c592",
        5,
    )


def test_ingesting_the_same_again_writes_nothing(upstream: Upstream) -> None:
    rows = [{"external_id": f"s{i}", "transcript": f"t {i}", "n": [1, {"deep": "é"}]} for i in range(50)]
    upstream.ingest(*rows)
    before = upstream.rows("SELECT sample_id, xmin FROM samples ORDER BY 1")
    done = upstream.ingest(*rows)
    assert (done.upserted.added, done.upserted.changed, done.upserted.unchanged) == (0, 0, 50)
    assert upstream.rows("SELECT sample_id, xmin FROM samples ORDER BY 1") == before
    assert upstream.rows("SELECT * FROM revisions") == []


def test_a_changed_field_raises_the_version_of_the_sample_and_of_that_field_only(upstream: Upstream) -> None:
    upstream.ingest({"external_id": "a", "transcript": "one", "translation": "eins"})
    assert (
        upstream.ingest({"external_id": "a", "transcript": "two", "translation": "eins"}).upserted.changed
        == 1
    )
    row = upstream.one("SELECT * FROM samples")
    assert (row.sync_version, row.field_versions, row.fields["transcript"]) == (2, {"transcript": 2}, "two")
    history = upstream.rows("SELECT version, value, origin FROM revisions ORDER BY version")
    assert [tuple(r) for r in history] == [(1, "one", "upstream"), (2, "two", "upstream")]


def test_a_field_that_disappears_and_one_that_appears_are_changes(upstream: Upstream) -> None:
    upstream.ingest({"external_id": "a", "old": 1})
    upstream.ingest({"external_id": "a", "new": 2})
    row = upstream.one("SELECT * FROM samples")
    assert (row.fields, row.field_versions) == ({"new": 2}, {"old": 2, "new": 2})


def test_media_is_read_again_only_when_its_size_or_time_changed(upstream: Upstream) -> None:
    name = upstream.media("a.wav", b"one")
    row = {"external_id": "a", "media": name}
    assert upstream.ingest(row).hashed == 1
    assert upstream.ingest(row).hashed == 0
    os.utime(upstream.raw / name, ns=(1, 1))
    touched = upstream.ingest(row)
    assert (touched.hashed, touched.upserted.changed) == (1, 0)
    assert upstream.one("SELECT sync_version FROM samples").sync_version == 1
    upstream.media("a.wav", b"two")
    replaced = upstream.ingest(row)
    assert (replaced.hashed, replaced.upserted.changed) == (1, 1)
    assert upstream.one("SELECT field_versions FROM samples").field_versions == {"media": 2}


def test_a_moved_file_with_the_same_content_is_no_change_for_annotators(upstream: Upstream) -> None:
    upstream.ingest({"external_id": "a", "media": upstream.media("a.wav", b"same")})
    upstream.ingest({"external_id": "a", "media": upstream.media("b.wav", b"same")})
    row = upstream.one("SELECT media_path, sync_version FROM samples")
    assert tuple(row) == ("b.wav", 1)


def test_what_people_hold_is_not_overwritten_by_upstream(upstream: Upstream) -> None:
    upstream.ingest({"external_id": "a", "transcript": "raw"})
    upstream.rows(
        """WITH v AS (
               SELECT append_revision(sample_id, 'transcript', fields -> 'transcript', '"human"', 'human',
                      'p') AS n
                 FROM samples)
           UPDATE samples SET upstream = fields, fields = '{"transcript": "human"}',
                  held = jsonb_build_object('transcript', v.n) FROM v, writing_of_ours(true) RETURNING 1"""
    )
    assert upstream.ingest({"external_id": "a", "transcript": "raw"}).upserted.changed == 0
    assert upstream.ingest({"external_id": "a", "transcript": "crawled anew"}).upserted.changed == 1
    row = upstream.one("SELECT fields, upstream, sync_version FROM samples")
    assert row.fields == {"transcript": "human"}
    assert row.upstream == {"transcript": "crawled anew"}
    last = upstream.one("SELECT origin, value, reason FROM revisions ORDER BY version DESC")
    assert (last.origin, last.value) == ("upstream", "crawled anew")


BAD = [
    (b'{"external_id": "x", "transcript": ', "not JSON"),
    (b'{"external_id": "x", "transcript": "\xff\xfe"}', "not UTF-8: byte 0xff"),
    (b'["external_id"]', "not a JSON object but a list"),
    (b'{"transcript": "no id"}', "external_id is missing"),
    (b'{"external_id": "  "}', "external_id"),
    (b'{"external_id": "' + b"x" * 501 + b'"}', "501 characters"),
    (b'{"external_id": "x", "priority": "high"}', "priority must be a whole number"),
    (b'{"external_id": "x", "media": "missing.wav"}', "missing.wav' cannot be read"),
    (b'{"external_id": "x", "media": "../outside.wav"}', "must be a path inside"),
    (b'{"external_id": "x", "media": "/etc/passwd"}', "must be a path inside"),
    (b'{"external_id": "x", "media": "."}', "is not a file"),
    (b'{"external_id": "x", "t": "a\\u0000b"}', "NUL"),
    (b'{"external_id": "x", "t": "\\ud800"}', "not JSON"),
    (b'{"external_id": "good"}', "stands in an earlier line"),
]


@pytest.mark.parametrize(("line", "reason"), BAD, ids=[reason[:24] for _, reason in BAD])
def test_a_bad_line_is_refused_by_number_and_reason_and_the_others_go_in(
    upstream: Upstream, line: bytes, reason: str
) -> None:
    done = upstream.ingest({"external_id": "good"}, line, {"external_id": "also good"})
    assert [(bad.line, reason in bad.reason) for bad in done.refused] == [(2, True)], done.refused
    assert [row.external_id for row in upstream.rows("SELECT external_id FROM samples ORDER BY arrival")] == [
        "good",
        "also good",
    ]


def test_a_literal_backslash_u0000_is_not_the_character_nul(upstream: Upstream) -> None:
    assert upstream.ingest({"external_id": "a", "t": "C:\\u0000"}).refused == []
    assert upstream.one("SELECT fields FROM samples").fields == {"t": "C:\\u0000"}


def test_text_is_one_text_in_nfc_and_nfd(upstream: Upstream) -> None:
    composed = "Nguyễn được ở"
    upstream.ingest(
        {
            "external_id": unicodedata.normalize("NFD", "mẫu"),
            "transcript": unicodedata.normalize("NFD", composed),
        }
    )
    done = upstream.ingest({"external_id": "mẫu", "transcript": composed})
    assert (done.upserted.added, done.upserted.changed) == (0, 0)
    assert upstream.one("SELECT fields FROM samples").fields == {"transcript": composed}


def test_a_byte_order_mark_and_blank_lines_do_no_harm(upstream: Upstream) -> None:
    done = upstream.ingest(b'\xef\xbb\xbf{"external_id": "a"}', b"", b"  \r", b'{"external_id": "b"}\r')
    assert (done.upserted.added, done.refused) == (2, [])


def test_a_huge_value_comes_in_whole(upstream: Upstream) -> None:
    text = "dài " * 1_000_000
    upstream.ingest({"external_id": "a", "transcript": text})
    assert upstream.one("SELECT length(fields ->> 'transcript') AS n FROM samples").n == len(text)


def test_missing_samples_are_reported_and_only_pruned_when_asked(upstream: Upstream) -> None:
    upstream.ingest({"external_id": "a"}, {"external_id": "b"})
    done = upstream.ingest({"external_id": "a"})
    assert (done.upserted.missing, done.upserted.pruned) == (1, 0)
    assert upstream.ingest({"external_id": "a"}, prune=True).upserted.pruned == 1
    assert upstream.one("SELECT external_id FROM samples WHERE deleted_at IS NOT NULL").external_id == "b"
    back = upstream.ingest({"external_id": "a"}, {"external_id": "b"})
    assert back.upserted.restored == 1
    assert upstream.rows("SELECT 1 FROM samples WHERE deleted_at IS NOT NULL") == []


def test_a_refused_line_is_no_removal(upstream: Upstream) -> None:
    upstream.ingest({"external_id": "a"}, {"external_id": "b"})
    done = upstream.ingest({"external_id": "a"}, b'{"external_id": "b", ', prune=True)
    assert (done.upserted.pruned, done.prune_refused) == (0, True)
    assert upstream.rows("SELECT 1 FROM samples WHERE deleted_at IS NOT NULL") == []


def test_other_sources_are_not_missing(upstream: Upstream) -> None:
    upstream.ingest({"external_id": "a", "source": "web"})
    done = upstream.ingest({"external_id": "a", "source": "radio"}, prune=True)
    assert (done.upserted.added, done.upserted.missing) == (1, 0)


def test_a_dry_run_tells_and_changes_nothing(upstream: Upstream) -> None:
    done = upstream.ingest({"external_id": "a"}, dry_run=True)
    assert done.upserted.added == 1
    assert upstream.rows("SELECT 1 FROM samples") == []


def test_a_file_that_is_not_there_is_named(upstream: Upstream) -> None:
    with pytest.raises(UsageError, match=r"nowhere\.jsonl cannot be read: No such file"):
        sample.ingest(upstream.ledger, upstream.raw / "nowhere.jsonl", raw_dir=upstream.raw)


def test_an_ingest_that_fails_half_way_leaves_the_ledger_as_it_was(
    upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    upstream.ingest({"external_id": "a", "t": 1})
    with pytest.raises(RuntimeError, match="stop"):
        upstream.ingest(*({"external_id": f"n{i}"} for i in range(5000)), progress=Progress(advance=_stop))
    assert [row.external_id for row in upstream.rows("SELECT external_id FROM samples")] == ["a"]


def _stop(done: int) -> None:
    raise RuntimeError("stop")
