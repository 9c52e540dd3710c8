"""On the annotators' pages, in a real browser: keys do not clash with typing, work from the text box, and
are shown."""

import re
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import numpy
import pytest
import soundfile
from playwright.sync_api import Error as BrowserError
from playwright.sync_api import Locator, Page, expect, sync_playwright

from lsloop import resources, signing, task_types
from lsloop.labelstudio import client, projects, tasks
from lsloop.labelstudio.client import LabelStudio
from lsloop.records import Sample
from needs import RECORDINGS
from services import Studio
from serving import SECRET, serving

pytestmark = [pytest.mark.browser, pytest.mark.studio]

FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
    "--disable-sync",
    "--no-first-run", "--mute-audio", "--autoplay-policy=no-user-gesture-required",
]  # fmt: skip
LATER = 4_000_000_000
TIMES = 12  # the recording lasts more than a second
TEXT = {"transcript": "hôm nay mình có meeting", "translation": "today I have a meeting"}
PLAYS = "() => [...document.querySelectorAll('audio')].some(a => !a.paused)"
LOADED = "() => [...document.querySelectorAll('audio')].some(a => a.duration > 0.5)"


@pytest.fixture(scope="module")
def page(studio: Studio) -> Iterator[Page]:
    """A browser that has signed in to Label Studio."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        opened = chromium.new_page(viewport={"width": 1400, "height": 900})
        opened.goto(f"{studio.url}/user/login/")
        opened.fill("input[name=email]", studio.email)
        opened.fill("input[name=password]", studio.password)
        opened.click("button[type=submit]")
        opened.wait_for_url(re.compile(r"/(projects|\?|$)"))
        yield opened
        chromium.close()


@pytest.fixture
def connection(studio: Studio) -> Iterator[LabelStudio]:
    with client.connect(studio.url, studio.token) as opened:
        yield opened


@pytest.fixture
def media(tmp_path: Path, studio: Studio) -> Iterator[str]:
    """The link to a recording that does not end before a slow browser has looked whether it plays."""
    sound, rate = soundfile.read(RECORDINGS)
    soundfile.write(tmp_path / "voice.wav", numpy.tile(sound, TIMES), rate)
    with serving(tmp_path, studio=studio.url) as url:
        yield signing.signed_url(url, SECRET, "voice.wav", LATER)


def opened(page: Page, connection: LabelStudio, kind_name: str, link: str | None) -> int:
    """Open the page of a task of a kind, made as a push makes it; the task's id."""
    kind, config = task_types.load(kind_name), resources.template(kind_name)
    sample = Sample(UUID(int=7), "clip-7", TEXT, "voice.wav" if link else None)
    value = kind.upstream_value(sample)
    predictions = (
        [{"result": kind.to_result(value, config, sample), "model_version": "upstream"}] if value else []
    )
    data = {**kind.task_data(sample, link), tasks.KEY: "k"}
    ls_project_id = projects.create(connection, kind_name, config)["id"]
    (ls_task_id,) = tasks.import_batch(
        connection, ls_project_id, [{"data": data, "predictions": predictions}]
    )
    page.goto(f"{connection.url}/projects/{ls_project_id}/data?task={ls_task_id}")
    expect(page.get_by_test_id("bottombar-submit-button")).to_be_enabled(timeout=60_000)
    return ls_task_id


def submitted_by(page: Page, ls_task_id: int, keys: str) -> str:
    """Press keys and wait for the annotation that they submit; its body."""
    with page.expect_response(
        lambda r: r.request.method == "POST" and f"/api/tasks/{ls_task_id}/annotations" in r.url,
        timeout=60_000,
    ) as sent:
        page.keyboard.press(keys)
    assert sent.value.status == 201
    return str(sent.value.text())


def plays_at(page: Page, keys: str) -> None:
    """These keys play and pause. A player that still draws its waveform takes no keys: they are pressed
    again."""
    page.wait_for_function(LOADED, timeout=60_000)
    pressed_until(page, keys, PLAYS)
    pressed_until(page, keys, f"() => !({PLAYS})()")


def pressed_until(page: Page, keys: str, reached: str, tries: int = 10) -> None:
    for left in reversed(range(tries)):
        page.keyboard.press(keys)
        try:
            page.wait_for_function(reached, timeout=6_000)
            return
        except BrowserError:
            if not left:
                raise


def the_box(page: Page, name: str, text: str) -> Locator:
    box = page.locator(f"textarea[name^={name}]")
    expect(box).to_have_value(text, timeout=60_000)
    box.click()
    box.press("End")
    return box


@pytest.mark.parametrize(
    ("kind", "name", "text"),
    [
        ("transcript_correction", "transcription", "transcript"),
        ("translation_review", "translation", "translation"),
    ],
)
def test_keys_of_a_page_with_a_text_box(
    page: Page, connection: LabelStudio, media: str, kind: str, name: str, text: str
) -> None:
    ls_task_id = opened(page, connection, kind, media)
    box = the_box(page, name, TEXT[text])
    page.keyboard.type(" 5")
    expect(box).to_have_value(f"{TEXT[text]} 5")
    expect(page.locator("input[type=checkbox]:checked")).to_have_count(0)
    plays_at(page, "Control+p")
    expect(box).to_be_focused()

    page.keyboard.press("Escape")
    expect(box).not_to_be_focused()
    expect(box).to_have_value(f"{TEXT[text]} 5")
    page.keyboard.press("5")
    expect(page.locator("input[type=checkbox]:checked")).to_have_count(1)
    expect(box).to_have_value(f"{TEXT[text]} 5")
    plays_at(page, "Space")

    expect(page.get_by_text("Ctrl+P plays and pauses").first).to_be_visible()
    box.click()
    box.press("End")
    page.keyboard.type("6")
    assert f"{TEXT[text]} 56" in submitted_by(page, ls_task_id, "Control+Enter")


def test_a_translation_without_a_recording_has_no_player_and_is_submitted(
    page: Page, connection: LabelStudio
) -> None:
    ls_task_id = opened(page, connection, "translation_review", None)
    box = the_box(page, "translation", TEXT["translation"])
    expect(page.locator(".sound")).to_be_hidden()
    page.keyboard.press("Tab")
    expect(box).not_to_be_focused()
    assert TEXT["translation"] in submitted_by(page, ls_task_id, "Control+Enter")


def test_the_page_of_segments_shows_keys_and_the_transcript(
    page: Page, connection: LabelStudio, media: str
) -> None:
    opened(page, connection, "audio_segmentation", media)
    expect(page.get_by_text(TEXT["transcript"]).first).to_be_visible(timeout=60_000)
    expect(page.get_by_text("Space or Ctrl+P plays and pauses").first).to_be_visible()
    plays_at(page, "Control+p")
    plays_at(page, "Space")
