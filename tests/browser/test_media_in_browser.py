"""A page of Label Studio's origin plays media in a real browser; a page of another origin gets nothing."""

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import numpy
import pytest
import soundfile
from playwright.sync_api import Browser, Page, sync_playwright

from lsloop import signing
from needs import RECORDINGS
from serving import SECRET, serving

pytestmark = pytest.mark.browser

LATER = 4_000_000_000
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
    "--disable-sync",
    "--no-first-run", "--mute-audio", "--autoplay-policy=no-user-gesture-required",
]  # fmt: skip

# As Label Studio's players do it: the default one by XMLHttpRequest, the html5 one by an audio element.
BY_REQUEST = """link => new Promise(resolve => {
    const request = new XMLHttpRequest();
    request.open("GET", link);
    request.responseType = "arraybuffer";
    request.onerror = () => resolve("refused");
    request.onload = () => new AudioContext().decodeAudioData(request.response)
        .then(sound => resolve(sound.duration), () => resolve("not a sound"));
    request.send();
})"""
BY_ELEMENT = """([link, from]) => new Promise(resolve => {
    const audio = new Audio();
    audio.crossOrigin = "anonymous";
    audio.onerror = () => resolve("refused");
    audio.onloadedmetadata = () => { audio.currentTime = from; audio.play(); };
    audio.onended = () => resolve(audio.currentTime);
    audio.src = link;
})"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        yield chromium
        chromium.close()


class EmptyPage(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>player</title>")

    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def pages() -> Iterator[str]:
    """An origin of its own that serves an empty page."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), EmptyPage) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def studio() -> Iterator[str]:
    with pages() as origin:
        yield origin


@pytest.fixture
def media(tmp_path: Path, studio: str) -> Iterator[str]:
    """A server whose Label Studio is `studio`, with a human voice and five minutes of noise."""
    (tmp_path / "voice.wav").write_bytes(RECORDINGS.read_bytes())
    noise = numpy.random.default_rng(0).normal(0, 0.1, 300 * 16000)
    soundfile.write(tmp_path / "long.wav", noise, 16000)
    with serving(tmp_path, studio=studio) as url:
        yield url


def link(url: str, name: str) -> str:
    return signing.signed_url(url, SECRET, name, LATER)


def opened(browser: Browser, origin: str) -> Page:
    page = browser.new_page()
    page.goto(origin)
    return page


@pytest.mark.parametrize("spelling", ["127.0.0.1", "localhost"])
def test_label_studios_page_loads_and_plays_a_recording(
    browser: Browser, studio: str, media: str, spelling: str
) -> None:
    page = opened(browser, studio.replace("127.0.0.1", spelling))
    length = soundfile.info(RECORDINGS).duration
    assert page.evaluate(BY_REQUEST, link(media, "voice.wav")) == pytest.approx(length, abs=0.05)
    assert page.evaluate(BY_REQUEST, link(media, "voice.wav") + "&lsref=1") == pytest.approx(length, abs=0.05)
    assert page.evaluate(BY_ELEMENT, [link(media, "voice.wav"), 0]) == pytest.approx(length, abs=0.05)
    page.close()


def test_the_end_of_a_long_recording_is_heard_without_loading_the_rest(
    browser: Browser, studio: str, media: str
) -> None:
    page = opened(browser, studio)
    answers: list[tuple[int, str]] = []
    page.on("response", lambda r: answers.append((r.status, r.headers.get("content-range", ""))))
    assert page.evaluate(BY_ELEMENT, [link(media, "long.wav"), 299.5]) == pytest.approx(300, abs=0.05)
    ranges = [int(told.split()[1].partition("-")[0]) for status, told in answers if status == 206]
    assert max(ranges) > 9_000_000
    page.close()


def test_a_page_of_another_origin_gets_nothing(browser: Browser, media: str) -> None:
    with pages() as elsewhere:
        page = opened(browser, elsewhere)
        assert page.evaluate(BY_REQUEST, link(media, "voice.wav")) == "refused"
        assert page.evaluate(BY_ELEMENT, [link(media, "voice.wav"), 0]) == "refused"
        page.close()


def test_an_altered_link_gets_nothing_even_in_label_studio(browser: Browser, studio: str, media: str) -> None:
    page = opened(browser, studio)
    altered = link(media, "voice.wav").replace("voice", "long")
    assert page.evaluate(BY_REQUEST, altered) == "not a sound"
    assert page.evaluate(BY_ELEMENT, [altered, 0]) == "refused"
    assert urlsplit(altered).path == "/media/long.wav"
    page.close()
