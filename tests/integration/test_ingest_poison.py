"""One line never stops an ingest: what is good goes in, what is bad is named, and is taken once it is
mended."""

import json
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from lsloop import resources, task_types
from lsloop.errors import UsageError
from lsloop.ledger import Ledger, problems
from lsloop.progress import Progress
from lsloop.server import files
from lsloop.steps import sample
from media_files import sound
from poison_rows import Poison, rows
from poison_rows import files as make_files

KINDS = {
    name: task_types.load(name)
    for name in ("transcript_correction", "translation_review", "audio_segmentation")
}
GOOD = {
    "an escaped NUL that is none": {"transcript": "C:\\u0000"},
    "a text with colons": {"transcript": "12:30: x"},
    "a whole number of 64 bits": {"n": 2**63 - 1, "m": -(2**63)},
    "a hundred levels": {"deep": json.loads("[" * 100 + "]" * 100)},
    "no text": {"transcript": None, "translation": ""}, "a number as a group": {"group": 7},
    "segments": {"segments": []}, "a dot": {"media": "./good.wav"}, "two slashes": {"media": "sub//good.wav"},
    "a dot inside": {"media": "sub/./good.wav"}, "both": {"media": ".//sub/././/good.wav"},
}  # fmt: skip


class Upstream:
    """A raw data folder with everything in it that can be wrong."""

    def __init__(self, folder: Path, ledger: Ledger) -> None:
        self.raw, self.ledger = folder / "raw", ledger
        self.raw.mkdir()
        make_files(self.raw)

    def ingest(self, *lines: bytes, **options: Any) -> sample.Ingested:
        path = self.raw / "metadata.jsonl"
        path.write_bytes(b"\n".join(lines) + b"\n")
        return sample.ingest(self.ledger, path, raw_dir=self.raw, kinds=KINDS, **options)

    def row(self, **values: Any) -> bytes:
        return json.dumps(values, ensure_ascii=False).encode()

    def rows(self, statement: str, **values: Any) -> list[Any]:
        with self.ledger.transaction() as transaction:
            return transaction.rows(statement, **values)

    def listed(self) -> dict[str, str]:
        return {one["key"]: one["reason"] for one in problems.listed(self.ledger, step="ingest")[0]}


@pytest.fixture
def upstream(tmp_path: Path, ledger: Ledger) -> Upstream:
    return Upstream(tmp_path, ledger)


def test_every_kind_of_poison_is_named_and_its_neighbours_go_in(upstream: Upstream) -> None:
    poison = list(rows())
    assert len(poison) >= 60
    good = [upstream.row(external_id=name, **values) for name, values in GOOD.items()]
    lines = [upstream.row(external_id="good before"), *(one.line for one in poison), *good]
    done = upstream.ingest(*lines)
    reasons = {bad.line: bad for bad in done.refused}
    taken = [one for number, one in enumerate(poison, 2) if number not in reasons]
    assert taken == [], "bad lines that were taken"
    wrong = [
        (one.name, one.reason, reasons[number].reason)
        for number, one in enumerate(poison, 2) if one.reason not in reasons[number].reason
    ]  # fmt: skip
    assert wrong == []
    assert [bad for bad in done.refused if bad.line > len(poison) + 1] == [], "good lines that were refused"
    assert {row.external_id for row in upstream.rows("SELECT external_id FROM samples")} == {
        "good before",
        *GOOD,
    }
    _are_all_listed(upstream, poison, done)


def _are_all_listed(upstream: Upstream, poison: list[Poison], done: sample.Ingested) -> None:
    listed = upstream.listed()
    names = {one.name for one in poison if one.name}
    assert names <= {key.removeprefix("metadata.jsonl ") for key in listed}
    unnamed = [bad for bad in done.refused if not bad.name]
    assert {f"metadata.jsonl line {bad.line}" for bad in unnamed} <= listed.keys()
    for name in ("good.wav", "sub/good.wav"):
        file = files.open_media(upstream.raw, (), name)
        assert file, f"{name} plays"
        file.close()
    stored = {
        row.media_path for row in upstream.rows("SELECT media_path FROM samples WHERE media_path IS NOT NULL")
    }
    assert stored == {"good.wav", "sub/good.wav"}, "one spelling each"
    upstream.ingest(upstream.row(external_id="good before"))
    assert upstream.listed() == {}, "what is mended, or gone, is no problem any more"


def test_what_is_known_of_a_refused_line_is_said_and_its_sample_stays(upstream: Upstream) -> None:
    upstream.ingest(upstream.row(external_id="a", transcript="one"))
    done = upstream.ingest(upstream.row(external_id="a", transcript=7))
    assert [(bad.line, bad.name) for bad in done.refused] == [(1, "a")]
    (found,), total = problems.listed(upstream.ledger, sample="a")
    assert (total, found["step"], found["reason"]) == (
        1, "ingest",
        "line 1: transcript is nothing that transcript_correction can take: Expected text, got int",
    )  # fmt: skip
    assert upstream.rows("SELECT fields FROM samples")[0].fields == {"transcript": "one"}


def test_a_dry_run_writes_no_problems_down(upstream: Upstream) -> None:
    assert upstream.ingest(b"{", dry_run=True).refused
    assert upstream.listed() == {}


def test_byte_order_marks_line_ends_and_utf16(upstream: Upstream) -> None:
    mark = b"\xef\xbb\xbf"
    done = upstream.ingest(mark + b'{"external_id": "a"}\r', b"\r", mark + b'{"external_id": "b"}')
    assert (done.upserted.added, done.refused) == (2, [])
    path = upstream.raw / "metadata.jsonl"
    for encoding in ("utf-16", "utf-16-le", "utf-16-be"):
        path.write_text("" if encoding == "utf-16" else "\ufeff", encoding=encoding)
        with path.open("a", encoding=encoding) as file:
            file.write('{"external_id": "a"}\n')
        with pytest.raises(UsageError, match="is UTF-16"):
            sample.ingest(upstream.ledger, path, raw_dir=upstream.raw)


@pytest.mark.parametrize("on_disk", ["NFC", "NFD"])
@pytest.mark.parametrize("in_line", ["NFC", "NFD"])
def test_a_name_is_found_in_whatever_unicode_form_the_disk_has_it(
    upstream: Upstream, on_disk: Any, in_line: Any
) -> None:
    there, said = (unicodedata.normalize(form, "giọng/nữ.wav") for form in (on_disk, in_line))
    (upstream.raw / there).parent.mkdir()
    (upstream.raw / there).write_bytes(b"voice")
    assert upstream.ingest(upstream.row(external_id="a", media=said)).refused == []
    (row,) = upstream.rows("SELECT media_path FROM samples")
    assert row.media_path == there, "as it is called on disk"
    file = files.open_media(upstream.raw, (), row.media_path)
    assert file
    assert file.read() == b"voice"
    file.close()
    assert upstream.ingest(upstream.row(external_id="a", media=said)).upserted.unchanged == 1


def test_links_inside_and_into_dvcs_cache_are_taken(upstream: Upstream, tmp_path: Path) -> None:
    cache = tmp_path / "outside"
    (upstream.raw / "inner.wav").symlink_to("sub/good.wav")
    lines = [
        upstream.row(external_id="a", media="inner.wav"),
        upstream.row(external_id="b", media="link.wav"),
    ]
    assert upstream.ingest(*lines, links_to=lambda: [cache]).refused == []
    (bad,) = upstream.ingest(*lines).refused
    assert "leads out of the raw data" in bad.reason


def test_what_came_by_sql_without_a_digest_is_measured_and_what_cannot_be_is_listed(
    upstream: Upstream,
) -> None:
    upstream.rows(
        """INSERT INTO samples (external_id, media_path)
           VALUES ('there', 'good.wav'), ('gone', 'nowhere.wav') RETURNING 1"""
    )
    done = upstream.ingest(upstream.row(external_id="there", media="good.wav"), upstream.row(external_id="x"))
    assert list(done.unread) == ["gone"]
    (row,) = upstream.rows(
        "SELECT media_md5, media_bytes, sync_version FROM samples WHERE external_id = 'there'"
    )
    assert row.media_bytes == (upstream.raw / "good.wav").stat().st_size
    assert "nowhere.wav' cannot be read" in next(iter(upstream.listed().values()))
    (upstream.raw / "nowhere.wav").write_bytes(sound("here"))
    assert upstream.ingest(upstream.row(external_id="x")).unread == {}
    (row,) = upstream.rows("SELECT media_md5, sync_version FROM samples WHERE external_id = 'gone'")
    assert (row.media_md5 is not None, row.sync_version, upstream.listed()) == (True, 1, {})


def test_why_a_file_cannot_be_read_is_said_once(upstream: Upstream) -> None:
    rows = [upstream.row(external_id=name, media=name) for name in ("loop.wav", "link.wav", "dangling.wav")]
    reasons = [bad.reason for bad in upstream.ingest(*rows).refused]
    assert [reason.count("media") for reason in reasons] == [1, 1, 1], reasons


def test_a_progress_bar_knows_how_many_files_there_are(upstream: Upstream) -> None:
    (upstream.raw / "many").mkdir()
    lines = []
    for i in range(300):
        (upstream.raw / f"many/{i}.wav").write_bytes(b"%d" % i)
        lines.append(upstream.row(external_id=f"{i}", media=f"many/{i}.wav"))
    totals: list[int] = []
    steps: list[int] = []
    done = upstream.ingest(*lines, progress=Progress(totals.append, steps.append))
    assert (done.hashed, totals, sum(steps)) == (300, [600], 600)


def test_many_files_take_as_many_statements_as_few(upstream: Upstream) -> None:
    seen: list[str] = []
    event.listen(upstream.ledger._engine, "before_cursor_execute", lambda *about: seen.append(about[2]))

    def statements(count: int) -> int:
        lines = []
        for i in range(count):
            (upstream.raw / f"{count}-{i}.wav").write_bytes(b"%d" % i)
            lines.append(upstream.row(external_id=f"{count}-{i}", media=f"{count}-{i}.wav"))
        seen.clear()
        assert upstream.ingest(*lines).upserted.added == count
        return len(seen)

    few = statements(3)
    assert 0 < few == statements(300)


def test_paths_that_a_ledger_has_from_before_are_respelled_and_that_is_no_change(upstream: Upstream) -> None:
    statement = resources.path("sql", "migrations", "0023.upstream.sql").read_text("utf-8").split(";")[-2]
    upstream.ingest(upstream.row(external_id="a", media="sub/good.wav"))
    with upstream.ledger.transaction() as transaction:
        transaction.value("SELECT writing_of_ours(true)")  # as it was before there was a trigger
        for spelled in (".//sub/./good.wav", "./sub//good.wav", "sub/good.wav/.", "sub/good.wav"):
            transaction.run("UPDATE samples SET media_path = :spelled", spelled=spelled)
            transaction.driver.execute(statement.encode())
            row = transaction.row("SELECT media_path, sync_version, field_versions FROM samples")
            assert row is not None
            assert tuple(row) == ("sub/good.wav", 1, {})
