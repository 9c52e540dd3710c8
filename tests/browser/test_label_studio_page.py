"""In Label Studio's own page, in a real browser: an image from our server is shown, and hostile text is
shown as text."""

import re
from collections.abc import Iterator

import pytest
from PIL import Image
from playwright.sync_api import Page, expect, sync_playwright

from lsloop import signing
from lsloop.labelstudio import projects, tasks
from lsloop.values import showing
from services import Studio
from serving import SECRET, serving
from world import World

pytestmark = [pytest.mark.browser, pytest.mark.studio]

FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]  # fmt: skip
LATER = 4_000_000_000
IMAGES = """<View><Image name="image" value="$image"/>
<RectangleLabels name="box" toName="image"><Label value="cat"/></RectangleLabels></View>"""
SHOWN = "() => [...document.images].some(i => i.naturalWidth === 64 && i.naturalHeight === 48)"
HACKED = "window.hacked = top.hacked = 1"
HOSTILE = (
    f"</p><script>{HACKED}</script><img src=x onerror=\"{HACKED}\"><svg onload='{HACKED}'>\"'><b"
    " id=ours>bold</b>"
)


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


def test_an_image_is_shown_and_an_expired_or_altered_link_is_not(
    page: Page, world: World, studio: Studio
) -> None:
    Image.new("RGB", (64, 48), "red").save(world.raw_dir / "trang 1.png")
    with serving(world.raw_dir, studio=studio.url) as url:
        link = signing.signed_url(url, SECRET, "trang 1.png", LATER)
        page.goto(task_page(world, studio, link))
        page.wait_for_function(SHOWN, timeout=60_000)
        for wrong in (f"{link}0", signing.signed_url(url, SECRET, "trang 1.png", 1_000_000_000)):
            place = task_page(world, studio, wrong)
            asked = page.expect_response(lambda got, wrong=wrong: got.url.startswith(wrong), timeout=60_000)
            with asked as refused:
                page.goto(place)
            assert refused.value.status == 403
            assert not page.evaluate(SHOWN)


def task_page(world: World, studio: Studio, link: str) -> str:
    """The page of a task with this image, in a project of its own."""
    ls_project_id = projects.create(world.studio, "images", IMAGES)["id"]
    (ls_task_id,) = tasks.import_batch(world.studio, ls_project_id, [{"data": {"image": link}}])
    return f"{studio.url}/projects/{ls_project_id}/data?task={ls_task_id}"


def test_hostile_text_in_a_task_is_shown_and_does_nothing(page: Page, world: World, studio: Studio) -> None:
    """In the name, the fields and the media's name of a sample, and in the answers that an adjudication
    shows."""
    media = "audio/a'\"><img src=x onerror=hacked=1>.wav"
    world.ingest([{"external_id": HOSTILE, "transcript": HOSTILE, "translation": HOSTILE, "media": media}])
    assert world.push("translation_review").sent == 1
    ls_project_id = world.value("SELECT ls_project_id FROM projects WHERE task_type = 'translation_review'")
    ((task,),) = [found.tasks for found in tasks.changed(world.studio, ls_project_id)]
    answers = [
        {"translation": HOSTILE, "notes": HOSTILE},
        {"translation": f"{HOSTILE} not", HOSTILE: [HOSTILE]},
    ]
    shown = showing.html(answers, ("translation",))
    tasks.update_data(world.studio, task["id"], {**task["data"], "candidates": shown})
    page.goto(f"{studio.url}/projects/{ls_project_id}/data?task={task['id']}")
    expect(page.locator("textarea[name^=translation]")).to_have_value(HOSTILE, timeout=60_000)
    expect(page.get_by_text("These answers do not agree").first).to_be_visible(timeout=60_000)
    for frame in page.frames:
        assert frame.evaluate("() => window.hacked") is None
        assert frame.locator("#ours, img[src=x]").count() == 0
    page.goto(f"{studio.url}/projects/{ls_project_id}/data")
    expect(page.get_by_text("<script>").first).to_be_visible(timeout=60_000)
    assert page.evaluate("() => window.hacked") is None
