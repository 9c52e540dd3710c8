"""Links to media in tasks that people may still open follow their source, and nothing else of a task is
touched."""

import dataclasses
from typing import Any

import pytest

from lsloop import signing
from lsloop.labelstudio import tasks
from world import TRANSCRIPT, World, clips, transcript


def elsewhere(world: World, *, url_days: float | None = None, **environment: Any) -> World:
    """The same world under other settings."""
    changed = world.config.environment.model_copy(update=environment)
    params = world.config.params
    if url_days is not None:
        params = params.model_copy(update={"media": params.media.model_copy(update={"url_days": url_days})})
    return dataclasses.replace(
        world, config=dataclasses.replace(world.config, environment=changed, params=params)
    )


def links(world: World) -> dict[str, signing.Link]:
    found = {name: signing.parsed(task["data"]["audio"]) for name, task in world.tasks().items()}
    return {name: link for name, link in found.items() if link}


def good(world: World, link: signing.Link) -> bool:
    refusal = signing.refusal(world.config.secret, link.path, str(link.expires), link.signature, 0)
    return link.base == world.config.media_url and refusal is None


@pytest.fixture
def sent(world: World) -> World:
    """Three samples sent: the first is answered by one of two, the second begun, the third untouched."""
    settings = world.config.task_type(TRANSCRIPT)[1].model_copy(update={"overlap": 2})
    params = world.config.params.model_copy(update={"task_types": {TRANSCRIPT: settings}})
    world = dataclasses.replace(world, config=dataclasses.replace(world.config, params=params))
    world.ingest(clips(3))
    world.push()
    there = world.tasks()
    world.annotate(there["clip-001"], "answered")
    world.annotator("linh").post(
        f"api/tasks/{there['clip-002']['id']}/drafts", json={"result": transcript("half")}
    )
    world.pull()
    return world


@pytest.mark.parametrize("changed", ["address", "secret", "expiry", "made before this table"])
def test_links_follow_what_they_were_made_of(sent: World, changed: str) -> None:
    from pydantic import SecretStr

    if changed == "expiry":
        old = elsewhere(sent, url_days=1e-5, lsloop_secret=SecretStr("renewed"))
        assert old.push().links == 3
        now = elsewhere(sent, lsloop_secret=SecretStr("renewed"))
    elif changed == "made before this table":
        sent.rows("DELETE FROM media_links RETURNING 1")
        unknown = "SELECT project_id, 'unknown', 0 FROM projects RETURNING 1"
        sent.rows(f"INSERT INTO media_links (project_id, made_of, expires) {unknown}")
        now = elsewhere(sent, media_url="http://media.example:9000/sub")
    elif changed == "address":
        now = elsewhere(sent, media_url="http://media.example:9000/sub")
    else:
        now = elsewhere(sent, lsloop_secret=SecretStr("another"))
    before, shown = sent.tasks(), _predictions(sent)
    assert not any(good(now, link) and link.expires > 2e9 for link in links(sent).values())
    done = now.pull()
    assert (done.links, done.not_renewed) == (3, [])
    assert all(good(now, link) for link in links(now).values())
    after = now.tasks()
    for name, task in after.items():
        assert {**task["data"], "audio": None} == {**before[name]["data"], "audio": None}
    assert _predictions(now) == shown
    assert tasks.has_drafts(now.studio, after["clip-002"]["id"])
    assert (now.push().links, now.pull().links) == (0, 0)
    assert {name: task["updated_at"] for name, task in now.tasks().items()} == {
        name: task["updated_at"] for name, task in after.items()
    }
    assert now.value("SELECT count(*) FROM media_links") == 1


def _predictions(world: World) -> Any:
    ids = [task["id"] for task in world.tasks().values()]
    return {i: task["predictions"] for i, task in tasks.shown(world.studio, world.ls_project_id, ids).items()}


def test_a_recording_that_moved_is_found_where_it_is_now(sent: World) -> None:
    rows = clips(3)
    for row in rows[:2]:
        (sent.raw_dir / "moved").mkdir(exist_ok=True)
        (sent.raw_dir / row["media"]).rename(sent.raw_dir / "moved" / row["external_id"])
        row["media"] = f"moved/{row['external_id']}"
    sent.ingest(rows)
    assert sent.pull().links == 2
    assert {name: link.path for name, link in links(sent).items()} == {
        "clip-001": "moved/clip-001", "clip-002": "moved/clip-002", "clip-003": "audio/003.wav",
    }  # fmt: skip
    assert sent.pull().links == 0


def test_a_run_renews_as_many_as_it_is_told_and_the_next_goes_on(sent: World) -> None:
    sent.ingest(clips(8))
    sent.push()
    now = elsewhere(sent, media_url="http://media.example")
    few = now.config.params.model_copy(
        update={"push": now.config.params.push.model_copy(update={"refresh": 3})}
    )
    few_world = dataclasses.replace(now, config=dataclasses.replace(now.config, params=few))
    assert [few_world.pull().links for _ in range(4)] == [3, 3, 2, 0]
    assert all(good(now, link) for link in links(now).values())


def test_a_machine_that_only_itself_reaches_leaves_the_links_of_others(sent: World) -> None:
    public = elsewhere(sent, media_url="http://media.example")
    public.push()
    done = sent.pull()
    assert done.links == 0
    assert "Set AUDIO_SERVER_URL" in done.not_renewed[0]
    assert all(good(public, link) for link in links(sent).values())
