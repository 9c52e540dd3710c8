"""Names, numbers and servers change at random: no sample is sent twice, nothing is given up, no answer is
lost, and what people wrote in Label Studio stays."""

import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from lsloop import loop
from lsloop.config import Push
from lsloop.errors import LsloopError
from lsloop.labelstudio import client, projects, tasks
from lsloop.ledger import Ledger
from model import studio as model_studio
from model.studio import LSLOOP, Store
from world import TRANSCRIPT, World, clips, config, transcript

STEPS = 25
WORDS = ("Ghi âm tháng mười", "", "Please ask Linh", "lsloop", "transcript_correction")


@dataclass
class Scene:
    """Two Label Studios that take turns at one address, and the settings that people change meanwhile."""

    world: World
    put: Callable[[Store], None]
    own: Store
    other: Store
    chance: random.Random
    samples: int = 3
    serves: str = "own"
    environment: dict[str, Any] = field(default_factory=dict)

    def now(self) -> World:
        """The world under today's settings."""
        changed = self.world.config.environment.model_copy(update=self.environment)
        return replace(self.world, config=replace(self.world.config, environment=changed))

    def serve(self, which: str) -> None:
        self.serves = which
        self.put(self.own if which == "own" else self.other)

    def deeds(self) -> dict[str, Callable[[], object]]:
        """What people, crawlers and commands do, each by itself."""
        url, now, pick = self.world.config.label_studio_url, self.now(), self.chance.choice
        spellings = [url, f"{url}/", f" {url.upper()} ", url.replace("127.0.0.1", "localhost")]
        return {
            "more": self._more,
            "push": now.push,
            "pull": partial(now.pull, full=pick([True, False])),
            "setup": partial(
                loop.setup, now.ledger, now.studio, now.config, TRANSCRIPT, recreate=pick([True, False])
            ),
            "words": lambda: self.own.projects[1].update(title=pick(WORDS), description=pick(WORDS)),
            "a project": lambda: projects.create(
                self.world.studio, pick(WORDS), self.own.projects[1]["label_config"],
                pick([*WORDS, self.own.projects[1]["description"]]),
            ),
            "number": lambda: self.environment.update(ls_project_transcript=pick([None, 1, 2, 3, 99])),
            "spelling": lambda: self.environment.update(label_studio_url=pick(spellings)),
            "another server": lambda: self.serve(pick(["own", "other"])),
            "an older ledger": self._as_an_older_version_left_it,
            "answer": self._answer,
        }  # fmt: skip

    def _more(self) -> None:
        self.samples += 1
        self.world.ingest(clips(self.samples))

    def _as_an_older_version_left_it(self) -> None:
        self.world.rows("DELETE FROM server_spellings RETURNING 1")
        self.world.rows("UPDATE servers SET identity = NULL RETURNING 1")
        self.world.rows("UPDATE projects SET ls_created_at = NULL, written_label_config = NULL RETURNING 1")

    def _answer(self) -> None:
        if self.serves == "own":
            number = self.chance.choice(list(self.own.tasks))
            tasks.annotate(self.world.studio, number, transcript(f"said {self.chance.random()}"))

    def check(self, written: list[tuple[str, str]]) -> None:
        """After each deed: `written` are the titles and descriptions that people see, before it."""
        everywhere = [*self.own.tasks.values(), *self.other.tasks.values()]
        times = Counter(task["data"]["sample_id"] for task in everywhere)
        assert not [one for one, count in times.items() if count > 1], "a sample was sent twice"
        given_up = "SELECT count(*) FROM tasks WHERE state = 'cancelled' OR gone_at IS NOT NULL"
        assert self.world.value(given_up) == 0
        assert self.words()[: len(written)] == written, "what people wrote was written over"

    def words(self) -> list[tuple[str, str]]:
        return [(one["title"], one["description"]) for one in self.own.projects.values()]


def store() -> Store:
    made = Store()
    made.add_person(LSLOOP, "lsloop@example.com")
    return made


@pytest.fixture
def scene(
    request: pytest.FixtureRequest, tmp_path: Path, ledger: Ledger, database_url: str
) -> Iterator[Scene]:
    with model_studio.serving() as (url, put):
        settings = config(tmp_path, database_url, url, LSLOOP, push=Push(settle_seconds=0, batch=10))
        settings.raw_dir.mkdir(parents=True)
        with client.connect(url, LSLOOP) as connection:
            world = World(settings.without_webhook(), ledger, connection)
            yield Scene(world, put, store(), store(), random.Random(request.param))


@pytest.mark.parametrize("scene", range(6, 12), indirect=True)
def test_whatever_names_and_numbers_become_nothing_is_sent_twice_given_up_or_lost(scene: Scene) -> None:
    scene.serve("own")
    scene.world.ingest(clips(scene.samples))
    assert scene.world.push().sent == scene.samples
    for _ in range(STEPS):
        deeds = scene.deeds()
        name = scene.chance.choice(list(deeds))
        before = [] if name == "words" else scene.words()
        with suppress(LsloopError):  # refused in words
            deeds[name]()
        scene.check(before)
    scene.serve("own")
    scene.world.pull(full=True)
    scene.world.push()
    scene.check(scene.words())
    sent = {task["data"]["sample_id"] for task in scene.own.tasks.values()}
    assert len(sent) == scene.samples, "each was sent once in the end"
    received = scene.world.rows("SELECT ls_annotation_id FROM annotations WHERE deleted_at IS NULL")
    assert {row.ls_annotation_id for row in received} == set(scene.own.annotations)
