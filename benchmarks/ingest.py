"""Ingest: against a bare COPY of the same rows into the same table; and that the same rows again write
nothing."""

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.place import Place, fresh_ledger, write_metadata
from benchmarks.rows import Row, at_least, at_most, told
from benchmarks.timing import alternately, seconds
from lsloop import ledger
from lsloop.steps import sample

BARE = "CREATE TABLE bare (LIKE samples INCLUDING ALL)"
COPY = "COPY bare (external_id, fields, group_key, priority) FROM STDIN"


def speed(place: Place) -> Iterator[Row]:
    """Rows per second into empty tables, then the same rows again."""
    count, rounds = place.sizes.rows, place.sizes.rounds
    path = place.project_dir / "many.jsonl"
    write_metadata(path, count)
    ready = [_text(json.loads(line)) for line in path.open("rb")]
    with ExitStack() as open_ledgers:
        urls = [open_ledgers.enter_context(fresh_ledger(place)) for _ in range(rounds)]
        works = {
            "bare": lambda turn: _copy_file(urls[turn], path),
            "ready": lambda turn: _copy_ready(urls[turn], ready),
            "ingest": lambda turn: _ingest(urls[turn], path, added=count),
        }
        taken = {name: min(all_taken) for name, all_taken in alternately(works, rounds).items()}
        before = _written(urls[0])
        again = seconds(lambda: _ingest(urls[0], path, added=0))
        written = _written(urls[0]) - before
    what = f"ingest of {count:,} metadata rows"
    yield told(what, count / taken["ingest"], "rows/s")
    yield at_least(f"{what} / bare COPY of the same file", taken["bare"] / taken["ingest"], 0.3)
    yield told(f"{what} / bare COPY of rows that are ready", taken["ready"] / taken["ingest"], "x")
    yield at_most("the same ingest again: rows written to samples and revisions", written, 0, "rows")
    yield told("the same ingest again / the first", again / taken["ingest"], "x")


def _ingest(url: str, path: Path, *, added: int) -> None:
    opened = ledger.connect(url)
    upserted = sample.ingest(opened, path, raw_dir=path.parent).upserted
    opened.close()
    if (upserted.added, upserted.changed) != (added, 0):
        raise RuntimeError(f"an ingest that should add {added} rows did this: {upserted}")


def _copy_file(url: str, path: Path) -> None:
    """As a script does it: read a line, make a row of it, COPY."""
    with psycopg.connect(url) as connection:
        connection.execute(BARE)
        with connection.cursor().copy(COPY) as copy:
            for line in path.open("rb"):
                copy.write_row(_row(json.loads(line)))
        connection.execute("DROP TABLE bare")


def _copy_ready(url: str, ready: list[bytes]) -> None:
    """What PostgreSQL alone can do: the rows are text in COPY's format already."""
    with psycopg.connect(url) as connection:
        connection.execute(BARE)
        with connection.cursor().copy(COPY) as copy:
            for start in range(0, len(ready), 1000):
                copy.write(b"".join(ready[start : start + 1000]))
        connection.execute("DROP TABLE bare")


def _row(given: dict[str, Any]) -> tuple[str, str, str, int]:
    fields = {"transcript": given["transcript"], "translation": given["translation"]}
    return given["external_id"], json.dumps(fields, ensure_ascii=False), given["group"], given["priority"]


def _text(given: dict[str, Any]) -> bytes:
    return ("\t".join(str(value) for value in _row(given)) + "\n").encode()


def _written(url: str) -> int:
    """How many rows PostgreSQL counts as written to samples and revisions so far, once all who wrote have
    left."""
    name = url.rpartition("/")[2]
    deadline = time.monotonic() + 30
    with psycopg.connect(url, autocommit=True) as connection:
        others = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()"
        while _value(connection, others, name):
            if time.monotonic() > deadline:
                raise RuntimeError("somebody stays connected to the ledger that is measured")
            time.sleep(0.05)
        counted = (
            "SELECT sum(n_tup_ins + n_tup_upd + n_tup_del) FROM pg_stat_user_tables WHERE relname = ANY (%s)"
        )
        return int(_value(connection, counted, ["samples", "revisions"]))


def _value(connection: psycopg.Connection[Any], statement: str, value: Any) -> Any:
    row = connection.execute(statement.encode(), (value,)).fetchone()
    return row[0] if row else None
