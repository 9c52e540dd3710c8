"""Ingest: upstream's `metadata.jsonl` and media files into the ledger, streamed, and checked line by line."""

import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from lsloop.errors import UsageError
from lsloop.ledger import Ledger, samples
from lsloop.text import has_nul, nfc

_OWN = {"external_id", "media", "group", "priority", "source"}
_ID_LENGTH = 500  # characters; PostgreSQL indexes at most 2,700 bytes
_INT4 = 2**31


@dataclass(frozen=True)
class BadLine:
    """A line (1-based) that was refused, and why."""

    line: int
    reason: str


@dataclass
class Ingested:
    """What an ingest did."""

    upserted: samples.Upserted
    refused: list[BadLine] = field(default_factory=list)
    hashed: int = 0
    prune_refused: bool = False


class _Refused(ValueError):
    """Why a line cannot be taken."""


def ingest(
    ledger: Ledger,
    path: Path,
    *,
    raw_dir: Path,
    prune: bool = False,
    dry_run: bool = False,
    commit: str | None = None,
    advance: Callable[[int], None] = lambda done: None,
) -> Ingested:
    """Bring the ledger up to `path` (JSON lines); media paths in it are relative to `raw_dir`.

    Bad lines are refused by number and reason, the others go in, all in one transaction. Samples that are no longer
    upstream are only marked as deleted when `prune` is set and every line could be read: a broken line is no removal.
    `commit` is the git commit that the data is at, if that is known.
    Raises UsageError when the file cannot be opened.
    """
    refused: list[BadLine] = []
    with _opened(path) as lines, samples.incoming(ledger, keep=not dry_run, commit=commit) as incoming:
        incoming.copy(_rows(lines, raw_dir, refused, advance))
        incoming.recall_media()
        unmeasured = incoming.unmeasured()
        for media in _measure(raw_dir, unmeasured, incoming, refused):
            incoming.measured([media])
        upserted = incoming.apply(prune=prune and not refused)
    return Ingested(
        upserted, sorted(refused, key=lambda bad: bad.line), len(unmeasured), prune and bool(refused)
    )


def _opened(path: Path) -> Any:
    try:
        return path.open("rb")
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read: {error.strerror}.",
            "Name the metadata.jsonl to ingest, or pull it first with `dvc pull`.",
        ) from error


def _rows(
    lines: Iterator[bytes], raw_dir: Path, refused: list[BadLine], advance: Callable[[int], None]
) -> Iterator[samples.Row]:
    root = raw_dir.resolve()
    seen: set[tuple[str, str]] = set()
    number = 0
    for number, line in enumerate(lines, 1):
        if number % 1000 == 0:
            advance(1000)
        if line.isspace():
            continue
        try:
            row = _row(number, line, root)
            if row[1:3] in seen:
                raise _Refused(f"external_id {row[2]!r} stands in an earlier line of this file")
        except _Refused as reason:
            refused.append(BadLine(number, str(reason)))
            continue
        seen.add(row[1:3])
        yield row
    advance(number % 1000)


def _row(number: int, line: bytes, root: Path) -> samples.Row:
    if number == 1:
        line = line.removeprefix(b"\xef\xbb\xbf")  # Windows editors begin files with a byte order mark
    given = _parsed(line)
    external_id = _text(given, "external_id", required=True)
    if len(external_id) > _ID_LENGTH:
        raise _Refused(f"external_id has {len(external_id)} characters; at most {_ID_LENGTH} are possible")
    media = _text(given, "media")
    size, changed = _stat(root, media) if media else (None, None)
    fields = {name: value for name, value in given.items() if name not in _OWN}
    return (
        number, _text(given, "source") or "default", external_id, orjson.dumps(fields).decode(),
        _text(given, "group") or None, _priority(given), media or None, size, changed,
    )  # fmt: skip


def _parsed(line: bytes) -> dict[str, Any]:
    """The object of a line, its texts in normal form C: one text typed on two keyboards is one text."""
    try:
        text = nfc(line.decode("utf-8"))
        given = orjson.loads(text)
    except UnicodeDecodeError as wrong:
        raise _Refused(f"not UTF-8: byte 0x{line[wrong.start]:02x} at position {wrong.start + 1}") from wrong
    except orjson.JSONDecodeError as wrong:
        raise _Refused(f"not JSON: {wrong.msg} at position {wrong.pos + 1}") from wrong
    if not isinstance(given, dict):
        raise _Refused(f"not a JSON object but a {type(given).__name__}")
    return _unescaped(text, given) if "\\u" in text else given


def _unescaped(text: str, given: dict[str, Any]) -> dict[str, Any]:
    """What escapes like \\u0301 can hide from a look at the whole line."""
    if has_nul(text):
        raise _Refused("a text contains the character NUL, which PostgreSQL cannot hold")
    return {nfc(name): _normal(value) for name, value in given.items()}


def _text(given: dict[str, Any], name: str, *, required: bool = False) -> str:
    value = given.get(name)
    if value is None and not required:
        return ""
    if isinstance(value, int) and not isinstance(value, bool) and name in {"external_id", "group"}:
        value = str(value)
    if not isinstance(value, str) or (required and not value.strip()):
        raise _Refused(
            f"{name} is missing" if value in (None, "") else f"{name} must be a text, not {value!r:.40}"
        )
    return value


def _priority(given: dict[str, Any]) -> int:
    value = given.get("priority", 0)
    if not isinstance(value, int) or isinstance(value, bool) or not -_INT4 <= value < _INT4:
        raise _Refused(f"priority must be a whole number, not {value!r:.40}")
    return value


def _normal(value: Any) -> Any:
    """Texts in normal form C, at any depth."""
    if isinstance(value, str):
        return nfc(value)
    if isinstance(value, list):
        return [_normal(item) for item in value]
    if isinstance(value, dict):
        return {nfc(name): _normal(item) for name, item in value.items()}
    return value


def _stat(root: Path, media: str) -> tuple[int, int]:
    """Size (bytes) and time of change (ns) of a media file, which must lie inside the raw data folder."""
    if media.startswith("/") or ".." in media.split("/") or "\\" in media:
        raise _Refused(f"media {media!r} must be a path inside {root.name}/, with forward slashes")
    try:
        found = os.stat(f"{root}/{media}")
    except (OSError, ValueError) as error:
        raise _Refused(f"media file {media!r} cannot be read: {getattr(error, 'strerror', error)}") from error
    if not stat.S_ISREG(found.st_mode):
        raise _Refused(f"media {media!r} is not a file")
    return found.st_size, found.st_mtime_ns


def _measure(
    raw_dir: Path, paths: list[str], incoming: samples.Incoming, refused: list[BadLine]
) -> Iterator[samples.Media]:
    """Hash and measure media files, several at once (hashing releases the interpreter's lock)."""
    with ThreadPoolExecutor(max_workers=4) as pool:
        for path, found in zip(paths, pool.map(lambda path: _measured(raw_dir, path), paths), strict=True):
            if isinstance(found, samples.Media):
                yield found
            else:
                refused += [
                    BadLine(line, f"media file {path!r} cannot be read: {found}")
                    for line in incoming.drop_media(path)
                ]


def _measured(raw_dir: Path, path: str) -> samples.Media | str:
    try:
        with (raw_dir / path).open("rb") as file:
            md5 = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    except OSError as error:
        return error.strerror or str(error)
    return samples.Media(path, md5, duration=_duration(raw_dir / path))


_SOUNDS = {".wav", ".flac", ".ogg", ".mp3"}


def _duration(path: Path) -> float | None:
    """Seconds of sound, where the file is one and can be decoded; a broken file is the annotator's to flag."""
    if path.suffix.lower() not in _SOUNDS:
        return None
    import soundfile

    try:
        found: float = soundfile.info(str(path)).duration
    except soundfile.LibsndfileError:
        return None
    return found
