"""Every table can be read at 80 and 100 columns: no line is wider, and no word is cut into letters."""

import io
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from lsloop.commands import _output, _status
from lsloop.commands._output import Output, Table, drawn
from lsloop.commands._tables import WORD, shortened, wrapped
from lsloop.ledger.syncs import Run

NOW = datetime(2026, 11, 27, 20, 0, tzinfo=UTC)
TYPES = ("transcript_correction", "translation_review", "audio_segmentation")
URL = "http://label-studio.speech.example.com:8080/projects/12/data?task=48213"


def rendered(part: str | Table, width: int) -> list[str]:
    """What a terminal of so many columns shows, without colours."""
    if isinstance(part, str):
        return wrapped(part, width).split("\n")
    screen = io.StringIO()
    Console(file=screen, width=width, markup=False, emoji=False, highlight=False).print(
        drawn(part, width=width)
    )
    return screen.getvalue().split("\n")


def task_row(name: str, **states: int) -> dict[str, Any]:
    names = ("open", "annotated", "accepted", *_status._ALSO)
    row = {state: states.get(state, 0) for state in names}
    return {"task_type": name, "ls_project_id": 7, "pulled_at": NOW - timedelta(seconds=34_567), **row}


BUSY = dict.fromkeys(
    ("claimed", "open", "annotated", "conflicted", "accepted", "probed", "cancelled", "skipped", "parked"),
    12_345,
) | {"to_decide": 17, "to_review": 1}
STATUS: dict[str, Any] = {
    "services": {
        "label_studio": {"problem": "Label Studio at http://127.0.0.1:8080 does not answer.",
        "fix": "`lsloop up`."},
        "postgresql": {"answer": "lsloop at ledger.speech.example.com:5432"},
    },
    "now": NOW,
    "tasks": [task_row(TYPES[0], **BUSY), task_row(TYPES[1], open=3), task_row(TYPES[2])],
    "counts": {
        "samples": {"samples": 123_456, "deleted": 3, "gold": 40},
        "locks": {"in_label_studio": 12_345, "elsewhere": 0, "expired": 0},
        "annotations": {"annotations": 54_321, "not_understood": 1, "annotators": 9},
        "conflicts": {"open": 2, "decided": 7, "withdrawn": 0},
        "events": {"waiting": 0, "given_up": 1}, "jobs": {"waiting": 0, "running": 1, "failed": 2},
    },
    "models": [
        {"task_type": TYPES[0], "version": "transcript_correction-20261127T201500-3fa9c1d2", "base": None,
         "measured": "wer 0.213", "since": NOW - timedelta(hours=30), "training": "41 running",
         "stands_in": {"version": "base-3fa9c1d20b7e",
         "reason": "data/large cannot be loaded: There is no model there"}}
    ],
    "sync": Run(1, "annotation-server-01:4711", NOW, NOW, "failed", [{"name": "push", "state": "failed"}],
    12.5),
}  # fmt: skip

TABLES = {
    "pull": Table(
        ("task type", "tasks read", "new", "edited", "deleted", "accepted", "conflicts", "withdrawn",
        "tasks gone",
         "not understood"),
        [(name, 1000, 999, 3, 0, 120, 4, 0, 0, 0) for name in TYPES],
    ),
    "locks": Table(
        ("id", "sample", "task type", "held by", "since", "why"),
        [("1", "interviews-2026-11-27-speaker-0042-clip-000017", TYPES[0], "annotation-server-01:4711",
        "3 d 4 h ago",
          "task 48213 of project 12 is open in Label Studio, no answer for 3 d 4 h, skipped 2 times")],
    ),
    "setup": Table(
        ("task type", "project", "state", "drift", "webhook", "URL"),
        [(name, "12", "verified", "overlap was 1, now 2", "registered", URL) for name in TYPES],
    ),
    "models": Table(
        ("version", "task type", "state", "measured", "gain (95 %)", "from", "made"),
        [("transcript_correction-20261127T201500-3fa9", TYPES[0], "was in use", "wer 0.213",
          "+0.031 (+0.012 to +0.051)", "openai/whisper-large-v3-turbo", "2026-11-27 20:15")],
    ),
}  # fmt: skip


@pytest.mark.parametrize("width", [80, 100])
@pytest.mark.parametrize("name", TABLES)
def test_tables_of_commands_fit(name: str, width: int) -> None:
    shown = rendered(TABLES[name], width)
    assert max(map(cell_len, shown)) <= width, "\n".join(shown)
    words = {word for line in shown for word in line.split()}
    for row in TABLES[name].rows:
        for cell in row:
            text = f"{cell:,}" if isinstance(cell, int) else cell
            whole = " " not in text and any(word[:4] == text[:4] and "…" in word for word in words)
            assert text == "0" or whole or set(text.split()) <= words, "\n".join(shown)


@pytest.mark.parametrize("width", [80, 100])
def test_the_status_fits_and_names_what_needs_somebody(width: int) -> None:
    shown = [line for part in _status.shown(STATUS) for line in rendered(part, width)]
    text = "\n".join(shown)
    assert max(map(cell_len, shown)) <= width, text
    assert re.search(r"Label Studio +FAILS +Label Studio at http://127.0.0.1:8080 does not answer", text)
    assert re.search(r"PostgreSQL +answers +lsloop at ledger", text)
    first = text.partition("task type")[0]
    for needed in ("12,345 conflicts of", "1 task of", "17 tasks of", "1 event of Label Studio given up"):
        assert needed in first
    assert "transcript_correction is answered by base-3fa9c1d20b7e: data/large cannot be loaded" in " ".join(
        first.split()
    )
    assert re.search(r"samples +123,456, 3 deleted, 40 gold", text)
    assert "samples: samples" not in text


def test_the_status_of_an_idle_project_is_short() -> None:
    quiet = STATUS | {
        "services": {"postgresql": {"answer": "here"}}, "sync": None, "models": [],
        "tasks": [task_row(TYPES[0], open=3)], "counts": {"samples": {"samples": 3, "deleted": 0, "gold": 0}},
    }  # fmt: skip
    text = "\n".join(line for part in _status.shown(quiet) for line in rendered(part, 80))
    assert "Somebody" not in text
    assert "also" not in rendered(_status.shown(quiet)[1], 60)[1], (
        "columns without a value go where room is scarce"
    )


def test_watching_fits_a_window_of_24_lines_and_keeps_the_services(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_output, "_is_terminal", lambda stream: True)
    monkeypatch.setattr(
        _output, "console", lambda stream: Console(file=stream, width=80, height=24, markup=False)
    )
    Output().again(STATUS, *_status.shown(STATUS))
    screen = capsys.readouterr().out
    lines = screen.removeprefix("\x1b[H").removesuffix("\x1b[J").split("\x1b[K\n")[:-1]
    assert len(lines) <= 23
    assert lines[1].split()[:3] == ["Label", "Studio", "FAILS"]
    assert "Somebody is needed:" in lines
    assert lines[-1].endswith("a higher window shows them.")
    assert max(map(cell_len, lines)) <= 80


def test_where_no_terminal_reads_it_nothing_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    Output().result({}, TABLES["pull"], TABLES["locks"])
    shown = capsys.readouterr().out
    assert "withdrawn" in shown
    assert "interviews-2026-11-27-speaker-0042-clip-000017" in shown
    assert "…" not in shown


WORDS = st.text("abcđ漢字xyz", min_size=1, max_size=30)
CELLS = st.one_of(st.none(), st.integers(0, 10**7), WORDS, st.lists(WORDS, max_size=12).map(" ".join))


@settings(max_examples=150, deadline=None)
@given(
    data=st.data(),
    width=st.integers(60, 120),
    headings=st.lists(st.text("abcdefgh ", min_size=1, max_size=14).map(str.strip), min_size=1, max_size=12),
)
def test_no_line_is_wider_and_no_word_is_cut(data: st.DataObject, width: int, headings: list[str]) -> None:
    kinds = [data.draw(st.sampled_from([st.integers(0, 10**6), WORDS, CELLS])) for _ in headings]
    rows = data.draw(st.lists(st.tuples(*kinds), min_size=1, max_size=4))
    shown = rendered(Table(headings, rows), width)
    assert max(map(cell_len, shown)) <= width
    words = {word for line in shown for word in line.split()}
    for row in rows:
        for cell in row:
            text = "" if cell in (None, 0) else f"{cell:,}" if isinstance(cell, int) else str(cell)
            for word in text.split():
                assert word in words or word in ("0",) or " " not in text, (word, shown)


@pytest.mark.parametrize(("width", "shown"), [(40, "clip-000017"), (9, "clip-0…17"), (3, "c…7"), (2, "c…")])
def test_a_name_is_shortened_in_the_middle(width: int, shown: str) -> None:
    assert shortened("clip-000017", width).startswith(shown[:1])
    assert len(shortened("clip-000017", width)) <= width
    assert width < 9 or shortened("clip-000017", width) == shown


def test_a_link_is_never_shortened_or_broken() -> None:
    table = Table(("task", "why", "link"), [(f"task-{n}", "the answer is empty " * 3, URL) for n in range(2)])
    assert URL in "".join(rendered(table, 80))
    assert URL in "\n".join(rendered(f"Look at it there, and decide what is right: {URL}", 80))


def test_prose_is_broken_at_blanks_only() -> None:
    text = f"  indented: {'one two three ' * 12}{'x' * 100} end"
    shown = rendered(text, 80)
    assert " ".join(" ".join(shown).split()) == " ".join(text.split())
    assert all(line.startswith("  ") for line in shown)
    assert WORD < 80


HOSTILE = "a\u202ebc\u2066d\u200fe\x1b[2J\x9bf\u2028g"


@pytest.mark.parametrize("width", [40, 80, None])
def test_what_turns_or_commands_a_terminal_is_shown_as_an_escape(
    width: int | None, capsys: pytest.CaptureFixture[str]
) -> None:
    table = Table((HOSTILE, "b"), [(HOSTILE, HOSTILE * 3)], title=HOSTILE)
    screen = io.StringIO()
    Console(file=screen, width=width or 10_000, markup=False).print(drawn(table, width=width))
    out = Output()
    out.show(HOSTILE)
    out.note(HOSTILE)
    out.warn(HOSTILE)
    out.trace(HOSTILE)
    with out.progress(HOSTILE, 1) as progress:
        progress.advance()
    out.error(HOSTILE, HOSTILE, 1)
    told = capsys.readouterr()
    for shown in (screen.getvalue(), told.out, told.err):
        assert not set(shown) & set("\u202e\u2066\u200f\x1b\x9b\u2028")
        assert "\\u202e" in shown.replace("\n", "")
    Output(json=True).result({"id": HOSTILE})
    assert "\u202e" in capsys.readouterr().out, "JSON is exact"
