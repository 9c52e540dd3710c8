"""/media: a file by a signed link, whole or in ranges, to pages of Label Studio's origin."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from lsloop import signing
from serving import SECRET, serving

SOUND = bytes(range(256)) * 4
LATER = 4_000_000_000  # seconds since the epoch
STUDIO = "http://localhost:8080"


@dataclass
class Media:
    """A running server and the folder it serves."""

    url: str
    folder: Path

    def put(self, name: str, content: bytes = SOUND) -> str:
        """A file in the folder; the link to it."""
        (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / name).write_bytes(content)
        return self.link(name)

    def link(self, name: str, expires: int = LATER) -> str:
        return signing.signed_url(self.url, SECRET, name, expires)


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Media]:
    folder = tmp_path_factory.mktemp("raw")
    with serving(folder) as url:
        yield Media(url, folder)


def test_a_signed_link_gives_the_file(media: Media) -> None:
    got = httpx.get(media.put("một hai/giọng #1 100%.wav"))
    assert (got.status_code, got.content) == (200, SOUND)
    assert got.headers["content-length"] == str(len(SOUND))
    assert got.headers["accept-ranges"] == "bytes"
    assert got.headers["x-content-type-options"] == "nosniff"
    name = quote("giọng #1 100%.wav", safe="")
    assert got.headers["content-disposition"] == f"inline; filename*=UTF-8''{name}"


def test_the_players_second_request_is_answered_too(media: Media) -> None:
    link = media.put("twice.wav")
    assert httpx.get(f"{link}&lsref=1").content == httpx.get(link).content == SOUND


def test_head_tells_the_same_without_the_body(media: Media) -> None:
    link = media.put("head.wav")
    head, got = httpx.head(link), httpx.get(link)
    assert (head.status_code, head.content) == (200, b"")
    assert {k: v for k, v in head.headers.items() if k != "date"} == {
        k: v for k, v in got.headers.items() if k != "date"
    }


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.wav", "audio/wav"), ("a.flac", "audio/flac"), ("a.mp3", "audio/mpeg"), ("a.ogg", "audio/ogg"),
        ("a.m4a", "audio/mp4"), ("a.png", "image/png"), ("a.jpg", "image/jpeg"), ("a.webp", "image/webp"),
        ("a.mp4", "video/mp4"), ("A.WAV", "audio/wav"), ("a.html", "application/octet-stream"),
        ("a.svg", "application/octet-stream"), ("noending", "application/octet-stream"),
    ],
)  # fmt: skip
def test_the_type_is_what_browsers_play_and_never_what_they_would_run(
    media: Media, name: str, kind: str
) -> None:
    assert httpx.get(media.put(name)).headers["content-type"] == kind


# --- who may


def altered(link: str) -> Iterator[str]:
    base, _, query = link.partition("?")
    expires, signature = (part.partition("=")[2] for part in query.split("&"))
    yield base
    yield f"{base}?expires={expires}"
    yield f"{base}?signature={signature}"
    yield f"{base}?expires={int(expires) + 1}&signature={signature}"
    yield f"{base}?expires={expires}&signature={'0' * 64}"
    yield f"{base}?expires={expires}&signature={signature[:-1]}"
    yield f"{base}?expires={expires}&signature={signature.upper()}"
    yield f"{base}?expires={expires}&signature="
    yield f"{base}?expires={expires}&signature=%C3%A9%00%FF"
    yield f"{base}?expires={'9' * 5000}&signature={signature}"
    yield f"{base}?expires=-{expires}&signature={signature}"
    yield f"{base}?expires=%20{expires}&signature={signature}"
    yield f"{base}?expires=%D9%A1&signature={signature}"
    yield f"{base}?expires=NaN&signature={signature}"
    yield f"{base}?expires[]={expires}&signature[]={signature}"
    yield f"{base}?{'&' * 2000}"
    yield f"{base.replace('mine', 'yours')}?{query}"


def test_any_other_link_is_forbidden(media: Media) -> None:
    media.put("yours.wav")
    links = list(altered(media.put("mine.wav")))
    assert [httpx.get(link).status_code for link in links] == [403] * len(links)


def test_an_expired_link_is_forbidden_and_says_so(media: Media) -> None:
    media.put("old.wav")
    got = httpx.get(media.link("old.wav", expires=1_000_000_000))
    assert (got.status_code, got.json()) == (403, {"error": "this link has expired"})


def test_a_file_that_is_not_there_is_told_only_to_who_may_ask(media: Media) -> None:
    assert httpx.get(media.link("nothing.wav")).status_code == 404
    assert httpx.get(f"{media.url}/media/nothing.wav").status_code == 403


def test_media_cannot_be_written(media: Media) -> None:
    link = media.put("kept.wav")
    assert [httpx.request(m, link).status_code for m in ("POST", "PUT", "DELETE", "PATCH")] == [405] * 4


# --- ranges


@pytest.mark.parametrize(
    ("asked", "start", "stop"),
    [
        ("bytes=0-0", 0, 1), ("bytes=0-", 0, 1024), ("bytes=100-199", 100, 200),
        ("bytes=1000-5000", 1000, 1024),
        ("bytes=-24", 1000, 1024), ("bytes=-5000", 0, 1024), ("bytes=1023-", 1023, 1024),
        ("Bytes = 5-6", 5, 7),
    ],
)  # fmt: skip
def test_a_range_is_answered_with_that_part(media: Media, asked: str, start: int, stop: int) -> None:
    got = httpx.get(media.put("range.wav"), headers={"Range": asked})
    assert (got.status_code, got.content) == (206, SOUND[start:stop])
    assert got.headers["content-range"] == f"bytes {start}-{stop - 1}/1024"
    assert got.headers["content-length"] == str(stop - start)


@pytest.mark.parametrize("asked", ["bytes=1024-", "bytes=5000-6000", "bytes=-0"])
def test_a_range_beyond_the_file_is_416_with_its_size(media: Media, asked: str) -> None:
    got = httpx.get(media.put("beyond.wav"), headers={"Range": asked})
    assert (got.status_code, got.content, got.headers["content-range"]) == (416, b"", "bytes */1024")


@pytest.mark.parametrize(
    "asked",
    [
        "bytes=5-2", "bytes=-", "bytes=", "bytes=a-b", "lines=1-2", "bytes=0-1,5-6", "0-5", "bytes=1-2-3",
        "bytes=--5", "bytes=+1-2", "bytes=1_0-20", "bytes=" + "9" * 5000 + "-", "bytes=0-" + "9" * 5000,
    ],
)  # fmt: skip
def test_a_range_that_makes_no_sense_is_answered_with_the_whole(media: Media, asked: str) -> None:
    got = httpx.get(media.put("whole.wav"), headers={"Range": asked})
    assert (got.status_code, got.content) == (200, SOUND)


def test_head_ignores_ranges_which_are_for_get(media: Media) -> None:
    head = httpx.head(media.put("head.wav"), headers={"Range": "bytes=0-9"})
    assert (head.status_code, head.headers["content-length"]) == (200, "1024")


def test_an_empty_file_is_empty_and_has_no_ranges(media: Media) -> None:
    link = media.put("empty.wav", b"")
    assert (httpx.get(link).status_code, httpx.get(link).content) == (200, b"")
    assert httpx.get(link, headers={"Range": "bytes=0-"}).status_code == 416


def test_a_range_of_an_older_file_is_answered_with_the_whole(media: Media) -> None:
    link = media.put("changing.wav")
    tag = httpx.head(link).headers["etag"]
    asked = {"Range": "bytes=0-9", "If-Range": tag}
    assert httpx.get(link, headers=asked).status_code == 206
    media.put("changing.wav", b"other" * 100)
    assert (httpx.get(link, headers=asked).status_code, httpx.get(link).content) == (200, b"other" * 100)


def test_if_range_takes_the_date_and_no_weak_tag(media: Media) -> None:
    link = media.put("dated.wav")
    head = httpx.head(link).headers
    by_date = {"Range": "bytes=0-9", "If-Range": head["last-modified"]}
    by_weak = {"Range": "bytes=0-9", "If-Range": f"W/{head['etag']}"}
    assert [httpx.get(link, headers=h).status_code for h in (by_date, by_weak)] == [206, 200]


# --- what the browser has already


def test_what_the_browser_has_is_not_sent_again(media: Media) -> None:
    link = media.put("cached.wav")
    first = httpx.get(link)
    tag, date = first.headers["etag"], first.headers["last-modified"]
    asked = [{"If-None-Match": tag}, {"If-None-Match": f'"x", W/{tag}'}, {"If-None-Match": "*"}]
    for headers in [*asked, {"If-Modified-Since": date}]:
        again = httpx.get(link, headers=headers)
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)


def test_a_tag_counts_more_than_a_date_and_nonsense_nothing(media: Media) -> None:
    link = media.put("tagged.wav")
    date = httpx.head(link).headers["last-modified"]
    for headers in (
        {"If-None-Match": '"other"', "If-Modified-Since": date},
        {"If-Modified-Since": "yesterday"},
        {"If-Modified-Since": "Fri, 99 Nov 99999 99:99:99 GMT"},
        {"If-Modified-Since": formatdate(0, usegmt=True)},
    ):
        assert httpx.get(link, headers=headers).status_code == 200


def test_a_file_replaced_by_one_of_the_same_size_and_time_has_another_tag(media: Media) -> None:
    link = media.put("swapped.wav")
    path = media.folder / "swapped.wav"
    before, then = httpx.head(link).headers["etag"], path.stat().st_mtime_ns
    other = media.folder / "other.wav"
    other.write_bytes(SOUND[::-1])
    os.utime(other, ns=(then, then))
    other.replace(path)
    assert httpx.head(link).headers["etag"] != before


# --- which pages


@pytest.mark.parametrize("origin", ["http://localhost:8080", "http://127.0.0.1:8080"])
@pytest.mark.parametrize(
    "headers", [{}, {"Range": "bytes=0-9"}, {"Range": "bytes=9999-"}, {"If-None-Match": "*"}]
)
def test_pages_of_label_studio_may_read_it(media: Media, origin: str, headers: dict[str, str]) -> None:
    got = httpx.get(media.put("page.wav"), headers={"Origin": origin, **headers})
    assert got.headers["access-control-allow-origin"] == origin
    assert got.headers["vary"] == "Origin"
    exposed = got.headers["access-control-expose-headers"]
    assert {"Content-Range", "Content-Length", "Accept-Ranges"} <= set(exposed.split(", "))


@pytest.mark.parametrize(
    "origin",
    [
        "http://localhost:8081", "https://localhost:8080", "http://localhost", "http://evil.example", "null",
        "http://localhost:8080.evil.example", "http://LOCALHOST:8080", "http://localhost:80800", "*", "",
    ],
)  # fmt: skip
def test_pages_of_any_other_origin_may_not(media: Media, origin: str) -> None:
    got = httpx.get(media.put("page.wav"), headers={"Origin": origin})
    assert "access-control-allow-origin" not in got.headers
    assert got.headers["vary"] == "Origin"


def test_answers_differ_by_origin_for_every_cache_on_the_way(media: Media) -> None:
    assert httpx.get(media.put("page.wav")).headers["vary"] == "Origin"


def test_a_refusal_can_be_read_by_the_page(media: Media) -> None:
    got = httpx.get(f"{media.url}/media/a.wav", headers={"Origin": STUDIO})
    assert (got.status_code, got.headers["access-control-allow-origin"]) == (403, STUDIO)


def test_a_preflight_for_a_range_is_granted_to_label_studio_only(media: Media) -> None:
    link = media.put("page.wav")
    asked = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "range"}
    granted = httpx.options(link, headers={"Origin": STUDIO, **asked})
    assert (granted.status_code, granted.headers["access-control-allow-origin"]) == (200, STUDIO)
    assert "range" in granted.headers["access-control-allow-headers"].lower()
    denied = httpx.options(link, headers={"Origin": "http://evil.example", **asked})
    assert (denied.status_code, "access-control-allow-origin" in denied.headers) == (400, False)
