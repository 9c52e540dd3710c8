"""Lines of metadata.jsonl that no ingest may take: of every kind that somebody's crawler has written or will
write.

Each has a name, the line as bytes, and a word of the reason that people are to read. `files` makes what they
point at.
"""

import os
import socket
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import orjson

from media_files import sound


class Poison(NamedTuple):
    """`name` is also its external_id, where the line can have one."""

    name: str
    line: bytes
    reason: str


def files(raw: Path) -> None:
    """Media files, and what only looks like one."""
    (raw / "sub").mkdir(parents=True)
    for name in (
        "good.wav",
        "sub/good.wav",
        "line\nbreak.wav",
        "tab\t.wav",
        "back\\slash.wav",
        "u2028\u2028.wav",
    ):
        (raw / name).write_bytes(sound())
    for form in ("NFC", "NFD"):
        (raw / unicodedata.normalize(form, "hai dạng.wav")).write_bytes(form.encode())
    (raw / "empty.wav").touch()
    (raw / "folder.wav").mkdir()
    os.mkfifo(raw / "fifo.wav")
    with socket.socket(socket.AF_UNIX) as made:
        here = os.getcwd()
        os.chdir(raw)  # the path of a socket has at most 107 bytes
        try:
            made.bind("socket.wav")
        finally:
            os.chdir(here)
    outside = raw.parent / "outside"
    outside.mkdir()
    (outside / "secret.wav").write_bytes(b"secret")
    (raw / "link.wav").symlink_to("../outside/secret.wav")
    (raw / "absolute-link.wav").symlink_to(outside / "secret.wav")
    (raw / "link-folder").symlink_to(outside)
    (raw / "chain.wav").symlink_to("link.wav")
    (raw / "loop.wav").symlink_to("loop.wav")
    (raw / "dangling.wav").symlink_to("nowhere.wav")


def rows() -> Iterator[Poison]:
    """All of them."""
    yield from _texts()
    yield from _json()
    yield from _names()
    yield from _media()


def _row(name: str, reason: str, **values: object) -> Poison:
    return Poison(name, orjson.dumps({"external_id": name, **values}), reason)


def _raw(name: str, rest: str, reason: str) -> Poison:
    return Poison(name, f'{{"external_id": "{name}", {rest}}}'.encode(), reason)


def _texts() -> Iterator[Poison]:
    """Values that a task type of a new project reads or writes as text."""
    for field in ("transcript", "translation"):
        for kind, value in {
            "number": 7, "float": 0.5, "true": True, "false": False, "list": ["xin chào"],
            "object": {"text": "x"},
            "nested": [[["x"]]], "zero": 0,
        }.items():  # fmt: skip
            yield _row(f"{field} is a {kind}", f"{field} is nothing that", **{field: value})
    yield _row("segments are a text in a list", "segments is nothing that", segments=["0-1"])
    yield _row(
        "segments without an end", "segments is nothing that", segments=[{"start": 0, "labels": ["vi"]}]
    )
    yield _row("segments are a number", "segments is nothing that", segments=3)


def _json() -> Iterator[Poison]:
    """What a fast JSON reader takes for something else, or chokes on."""
    yield Poison("", b"{", "not JSON")
    yield Poison("", b"not json at all", "not JSON")
    yield Poison("", b"[1, 2]", "not a JSON object but a list")
    yield Poison("", b'"text"', "not a JSON object but a str")
    yield Poison("", b"null", "not a JSON object but a NoneType")
    yield Poison("", b"17", "not a JSON object but a int")
    yield Poison("", b'{"external_id": "x"} {"external_id": "y"}', "not JSON")
    yield Poison("", b"{'external_id': 'x'}", "not JSON")
    yield Poison("", b'{"external_id": "x",}', "not JSON")
    yield Poison("", b'{"external_id": "x", "t": "\xff"}', "not UTF-8")
    yield Poison("", b'{"external_id": "x", "t": "\xed\xa0\x80"}', "not UTF-8")
    yield Poison("", b'{"external_id": "x", "t": "\x00"}', "not JSON")
    yield Poison("", b'{"external_id": "x", "t": "\\ud800"}', "not JSON")
    yield Poison("", b'{"external_id": "x", "t": "\\u0000"}', "NUL")
    yield Poison("", b'{"external_id": "x", "\\u0000": 1}', "NUL")
    yield Poison("", b'{"external_id": "x", "n": NaN}', "not JSON")
    yield Poison("", b'{"external_id": "x", "n": -Infinity}', "not JSON")
    yield Poison("", b'{"external_id": "x", "n": 1e999}', "not JSON")
    yield Poison("", b'{"external_id": "x", "external_id": "y"}', "stands there twice")
    yield Poison(
        "", b'{"external_id": "x", "m\xe1\xbb\xab": "a", "mu\xcc\x9b\xcc\x80": "b"}', "stands there twice"
    )
    yield _raw("a field twice", '"transcript": "a", "transcript": "b"', "stands there twice")
    yield _raw("a field twice with a blank", '"transcript" : "a", "transcript" :"b"', "stands there twice")
    yield _raw("a field twice inside", '"meta": {"a": 1, "a": 2}', "stands there twice")
    yield _raw("a number over 64 bits", '"n": 9223372036854775808', "64 bits")
    yield _raw("a number under 64 bits", '"n": [-9223372036854775809]', "64 bits")
    yield _raw("a number of 300 digits", f'"n": {"9" * 300}', "64 bits")
    for levels in (101, 300, 900):
        yield _raw(f"{levels} lists", f'"deep": {"[" * levels}{"]" * levels}', "levels deep")
        yield _raw(f"{levels} objects", '"deep": ' + '{"a":' * levels + "1" + "}" * levels, "levels deep")
    for levels in (1_100, 100_000):
        yield Poison("", f'{{"external_id": "x", "deep": {"[" * levels}{"]" * levels}}}'.encode(), "not JSON")


def _names() -> Iterator[Poison]:
    yield Poison("", b"{}", "external_id is missing")
    yield Poison("", b'{"external_id": null}', "external_id is missing")
    yield Poison("", b'{"external_id": ""}', "external_id is missing")
    yield Poison("", b'{"external_id": " \\t"}', "external_id")
    yield Poison("", b'{"external_id": 1.5}', "external_id must be a text")
    yield Poison("", b'{"external_id": true}', "external_id must be a text")
    yield Poison("", b'{"external_id": ["x"]}', "external_id must be a text")
    yield Poison("", b'{"external_id": "a\\nb"}', "control character")
    yield Poison("", b'{"external_id": "\\u001b[31m"}', "control character")
    yield Poison("", b'{"external_id": "' + b"x" * 501 + b'"}', "501 characters")
    yield _row("ở" * 450, "too long together", source="ở" * 450)
    yield _row("a long source", "501 characters", source="s" * 501)
    yield _row("a long group", "501 characters", group="g" * 501)
    yield _row("a group with a line break", "control character", group="a\nb")
    yield _row("a group that is a list", "group must be a text", group=["x"])
    yield _row("a source that is a number", "source must be a text", source=5)
    yield _row("a priority that is a text", "priority must be", priority="high")
    yield _row("a priority that is a half", "priority must be", priority=0.5)
    yield _row("a priority that is true", "priority must be", priority=True)
    yield _row("a priority that is huge", "priority must be", priority=2**31)
    yield _row("a priority that is null", "priority must be", priority=None)
    yield _row("good before", "stands in an earlier line")


def _media() -> Iterator[Poison]:
    for name, path, reason in (
        ("missing", "nowhere.wav", "cannot be read"), ("missing folder", "no/where.wav", "cannot be read"),
        ("empty", "empty.wav", "is empty"), ("folder", "folder.wav", "is not a file"),
        ("fifo", "fifo.wav", "is not a file"),
        ("socket", "socket.wav", "is not a file"), ("root", ".", "is not a file"),
        ("absolute", "/etc/passwd", "a path inside"),
        ("up", "../outside/secret.wav", "a path inside"), ("up and down", "sub/../good.wav", "a path inside"),
        ("backslash", "back\\slash.wav", "a path inside"), ("windows", "C:\\good.wav", "a path inside"),
        ("slash at the end", "good.wav/", "names a folder"), ("folder with slash", "sub/", "names a folder"),
        ("below a file", "good.wav/x", "cannot be read"),
        ("url", "https://example.com/good.wav", "cannot be read"),
        ("line break", "line\nbreak.wav", "line break"), ("tab", "tab\t.wav", "control character"),
        ("line separator", "u2028\u2028.wav", "line break"), ("capitals", "GOOD.wav", "cannot be read"),
        ("blank", " good.wav", "cannot be read"), ("long", "x" * 300 + ".wav", "cannot be read"),
        ("very long", "x/" * 3000 + "a.wav", "is too long"),
        ("very deep", "x/" * 1900 + "a.wav", "cannot be read"), ("link", "link.wav", "leads out"),
        ("absolute link", "absolute-link.wav", "leads out"), ("link of a link", "chain.wav", "leads out"),
        ("linked folder", "link-folder/secret.wav", "leads out"), ("loop", "loop.wav", "cannot be read"),
        ("dangling", "dangling.wav", "cannot be read"), ("two forms", "hai dạng.wav", "is ambiguous"),
        ("two forms, decomposed", unicodedata.normalize("NFD", "hai dạng.wav"), "is ambiguous"),
    ):  # fmt: skip
        yield _row(f"media: {name}", reason, media=path)
    for kind, value in {"number": 5, "list": ["good.wav"], "object": {"path": "good.wav"}, "true": True,
                        "false": False, "zero": 0, "empty list": []}.items():  # fmt: skip
        yield _row(f"media is a {kind}", "media must be a text", media=value)
