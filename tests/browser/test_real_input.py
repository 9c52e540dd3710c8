"""The loop on real input, as a user types it: human recordings and real sentences, pushed, corrected (one of
them in Label Studio's page by a real browser, the audio playing). Nobody pulls: Label Studio tells, and the
worker looks."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect, sync_playwright
from playwright.sync_api import TimeoutError as PlaywrightTimeoutError

from lsloop.labelstudio import client, tasks
from needs import RECORDINGS
from world import transcript, wait_until

pytestmark = [pytest.mark.browser, pytest.mark.studio]

FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
    "--disable-sync",
    "--no-first-run", "--mute-audio", "--autoplay-policy=no-user-gesture-required",
]  # fmt: skip

# What a person hears in alsa-utils' recordings; the recogniser that "heard" them first got some of it wrong.
SPOKEN = {
    "Front_Center": ("front center", "front centre"), "Front_Left": ("front left", "front left"),
    "Front_Right": ("front right", "from right"), "Rear_Center": ("rear center", "real center"),
    "Rear_Left": ("rear left", "real left"), "Rear_Right": ("rear right", "rear right"),
    "Side_Left": ("side left", "slide left"), "Side_Right": ("side right", "side write"),
}  # fmt: skip

SOUND = "[...document.querySelectorAll('audio')]"

VI, EN = '<voice xml:lang="vi">{}</voice>', '<voice xml:lang="en">{}</voice>'
SENTENCES = {
    "vi-1": (VI.format("Hôm nay trời đẹp quá"), "hôm nay trời đẹp quá", "hôm nay trời đẹp qua"),
    "vi-2": (VI.format("Chúng ta đi ăn phở nhé"), "chúng ta đi ăn phở nhé", "chúng ta đi ăn phổ nhé"),
    "en-1": (EN.format("See you at the meeting tomorrow"), "see you at the meeting tomorrow",
    "sea you at the meeting"),
    "cs-1": (
        VI.format("Em đã gửi") + EN.format("the report") + VI.format("cho anh rồi ạ"),
        "em đã gửi the report cho anh rồi ạ", "em đã gửi đơ ri pọt cho anh rồi ạ",
    ),
    "cs-2": (
        EN.format("The deadline") + VI.format("là thứ sáu tuần này"),
        "the deadline là thứ sáu tuần này", "đét lai là thứ sáu tuần này",
    ),
}  # fmt: skip

IN_BROWSER = "cs-1"
TRUTH = {name: said for name, (said, _) in SPOKEN.items()} | {
    name: said for name, (_, said, _) in SENTENCES.items()
}


@dataclass(frozen=True)
class Project:
    """A user's project folder with the embedded stack running in it."""

    folder: Path

    def lsloop(self, *arguments: str, check: bool = True) -> Any:
        """What a command answers with --json."""
        done = subprocess.run(
            [sys.executable, "-m", "lsloop", *arguments, "--json"],
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert not check or done.returncode == 0, f"lsloop {' '.join(arguments)}: {done.stdout}{done.stderr}"
        return json.loads(done.stdout)

    @property
    def stack(self) -> dict[str, Any]:
        return dict(json.loads((self.folder / ".lsloop" / "stack.json").read_text()))

    def psql(self, statement: str) -> list[list[str]]:
        """Rows that PostgreSQL's own client prints."""
        from lsloop.stack import postgres

        command = [
            str(postgres.binary("psql")),
            self.stack["database_url"],
            "-At",
            "-F",
            "|",
            "-c",
            statement,
        ]
        lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
        return [line.split("|") for line in lines]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, studio_environment: Path) -> Iterator[Project]:
    """`lsloop init`, real recordings, `lsloop up --detach`."""
    folder = tmp_path_factory.mktemp("user") / "speech"
    os.environ["LSLOOP_STUDIO_ENV"] = str(studio_environment.resolve())
    subprocess.run([sys.executable, "-m", "lsloop", "init", str(folder)], check=True, capture_output=True)
    speak(folder / "data" / "raw")
    made = Project(folder)
    try:
        made.lsloop("up", "--detach")
        yield made
    finally:
        made.lsloop("down", check=False)


def speak(raw: Path) -> None:
    """The human recordings, copied, and the sentences, spoken; described as a crawler would."""
    audio = raw / "audio"
    audio.mkdir(parents=True)
    rows = []
    for name, (_, heard) in SPOKEN.items():
        (audio / f"{name}.wav").write_bytes((RECORDINGS.parent / f"{name}.wav").read_bytes())
        rows.append({"external_id": name, "media": f"audio/{name}.wav", "transcript": heard, "group": "alsa"})
    for name, (ssml, _, heard) in SENTENCES.items():
        subprocess.run(
            ["espeak-ng", "-m", "-w", str(audio / f"{name}.wav"), f"<speak>{ssml}</speak>"], check=True
        )
        rows.append(
            {"external_id": name, "media": f"audio/{name}.wav", "transcript": heard, "group": "espeak"}
        )
    lines = (json.dumps(row, ensure_ascii=False) for row in rows)
    (raw / "metadata.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        yield chromium.new_page(viewport={"width": 1400, "height": 900})
        chromium.close()


@pytest.fixture(scope="module")
def pushed(project: Project) -> Project:
    """Everything is in Label Studio, and no answer is."""
    assert project.lsloop("ingest")["upserted"]["added"] == 13
    assert project.lsloop("push", "-t", "transcript_correction")["sent"] == 13
    assert [float(row[0]) > 0.3 for row in project.psql("SELECT duration FROM samples")] == [True] * 13
    return project


SECONDS = 3
"""From an answer in Label Studio to a revision in the ledger, without a pull."""

ACCEPTED = """SELECT external_id, fields ->> 'transcript' FROM samples JOIN tasks USING (sample_id)
               WHERE tasks.state = 'accepted' AND fields ->> 'transcript' IS NOT NULL"""


def test_answers_through_the_api_are_accepted_within_seconds_though_nobody_pulls(pushed: Project) -> None:
    correct_all_but_one(pushed)
    wait_until(lambda: len(pushed.psql(ACCEPTED)) == 12, SECONDS)
    assert dict(pushed.psql(ACCEPTED)) == {name: said for name, said in TRUTH.items() if name != IN_BROWSER}
    # the last event is marked as done a moment after its answer was accepted
    wait_until(lambda: pushed.psql("SELECT DISTINCT state FROM events") == [["done"]], SECONDS)


def test_what_is_corrected_and_submitted_in_the_page_is_a_revision_within_seconds(
    pushed: Project, page: Page
) -> None:
    ((ls_task_id,),) = pushed.psql(
        f"SELECT ls_task_id FROM tasks JOIN samples USING (sample_id) WHERE external_id = '{IN_BROWSER}'"
    )
    correct_in_page(page, pushed.stack, int(ls_task_id))
    revisions = (
        "SELECT version, origin FROM transcript_revisions JOIN samples USING (sample_id)"
        f" WHERE external_id = '{IN_BROWSER}' ORDER BY 1"
    )
    wait_until(lambda: pushed.psql(revisions) == [["1", "upstream"], ["2", "human"]], SECONDS)
    assert dict(pushed.psql(ACCEPTED))[IN_BROWSER] == TRUTH[IN_BROWSER]
    seconds = pushed.psql(
        "SELECT lead_time > 0.4 FROM annotations JOIN tasks USING (task_key) JOIN samples USING (sample_id)"
        f" WHERE external_id = '{IN_BROWSER}'"
    )
    assert seconds == [["t"]], "the page measures how long the correction took"


def test_a_pull_finds_nothing_that_was_not_told(pushed: Project) -> None:
    correct_all_but_one(pushed)  # so that this test stands alone, too
    wait_until(lambda: len(pushed.psql(ACCEPTED)) >= 12, SECONDS)
    received = pushed.lsloop("pull")["task_types"]["transcript_correction"]["received"]
    assert (received["added"], received["edited"], received["removed"]) == (0, 0, 0)


def correct_all_but_one(project: Project) -> None:
    """Correct every task that has no answer through the API, but the one for the browser."""
    names = dict(project.psql("SELECT task_key, external_id FROM tasks JOIN samples USING (sample_id)"))
    with client.connect(project.stack["label_studio_url"], project.stack["label_studio_api_key"]) as studio:
        for found in tasks.changed(studio, 1):
            for task in found.tasks:
                name = names[task["data"]["task_key"]]
                if name != IN_BROWSER and not task["annotations"]:
                    tasks.annotate(studio, task["id"], transcript(TRUTH[name]), lead_time=4)


def correct_in_page(page: Page, stack: dict[str, Any], ls_task_id: int) -> None:
    """Sign in, open the task, hear it, correct the text and submit, as an annotator does."""
    url = stack["label_studio_url"]
    page.goto(f"{url}/user/login/")
    page.fill("input[name=email]", stack["label_studio_user"])
    page.fill("input[name=password]", stack["label_studio_password"])
    page.click("button[type=submit]")
    page.wait_for_url(re.compile(r"/(projects|\?|$)"))
    page.goto(f"{url}/projects/1/data?task={ls_task_id}")
    box = page.locator("textarea[name^=transcription]")
    # The page draws the editor anew when the prediction becomes a draft: wait for what it comes to.
    expect(box, "the pre-annotation must stand in one open box").to_have_count(1, timeout=60_000)
    expect(box).to_have_value(SENTENCES[IN_BROWSER][2], timeout=60_000)
    hear(page)
    box.fill(TRUTH[IN_BROWSER])
    expect(box).to_have_value(TRUTH[IN_BROWSER])
    with page.expect_response(
        lambda r: r.request.method == "POST" and f"/api/tasks/{ls_task_id}/annotations" in r.url
    ) as sent:
        page.get_by_test_id("bottombar-submit-button").click()
    assert sent.value.status == 201


def hear(page: Page) -> None:
    """Press play until the sound moves on: pressed before it is ready, the player shows that it plays and
    does not."""
    page.wait_for_function(f"() => {SOUND}.some(a => a.duration > 0.5)", timeout=60_000)
    button = page.locator("[data-testid^='playback-button']")

    def moves_on() -> bool:
        if page.evaluate(f"() => {SOUND}.every(a => a.paused)"):
            button.first.click()
        try:
            page.wait_for_function(f"() => {SOUND}.some(a => a.currentTime > 0.4)", timeout=3_000)
        except PlaywrightTimeoutError:
            return False
        return True

    wait_until(moves_on, 60)
