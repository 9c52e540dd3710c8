"""Events lost, repeated, late, out of order and forged at random: in the end the ledger is that of somebody
who only polls.

Two ledgers know the same tasks of one real Label Studio project. One is told events, good and bad, while
people work; the other is told nothing. Then both pull everything, and must say the same.
"""

import itertools
import json
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import psycopg
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from lsloop import loop
from lsloop.config import Pull, Push
from lsloop.labelstudio import client, tasks
from lsloop.ledger import connect, events
from services import Postgres, Studio
from world import World, clips, config, transcript

pytestmark = pytest.mark.studio

CLIPS = 4
NUMBERS = itertools.count(1)

SAME = {
    "samples": (
        "SELECT external_id, fields, array(SELECT jsonb_object_keys(held) ORDER BY 1) FROM samples ORDER BY 1"
    ),
    "tasks": "SELECT task_key, ls_task_id, state, gone_at IS NULL, skips, waits_for FROM tasks ORDER BY 1",
    "annotations": (
        """SELECT ls_annotation_id, task_key, value, was_cancelled, ground_truth, annotator FROM annotations
                       WHERE deleted_at IS NULL ORDER BY 1"""
    ),
    "locks": "SELECT sample_id, task_key FROM locks WHERE released_at IS NULL ORDER BY 1, 2",
    "conflicts": "SELECT task_key, status FROM conflicts ORDER BY 1, 2",
}

acts = st.tuples(
    st.sampled_from(["annotate", "annotate", "skip", "edit", "take back", "delete"]),
    st.integers(0, CLIPS - 1),
)
tellings = st.one_of(
    st.tuples(st.just("deliver"), st.integers(0, 20)),
    st.tuples(st.just("repeat"), st.integers(0, 20)),
    st.tuples(st.just("look"), st.just(0)),
    st.tuples(
        st.sampled_from(
            ["ANNOTATION_CREATED", "ANNOTATIONS_DELETED", "TASKS_DELETED", "TASKS_CREATED", "<b>"]
        ),
        st.integers(-1, 2**65),
    ),
    st.tuples(
        st.sampled_from(["ANNOTATIONS_DELETED", "TASKS_DELETED", "ANNOTATION_UPDATED"]), st.integers(0, 8)
    ),
)
scripts = st.lists(st.one_of(acts, tellings), min_size=12, max_size=24)


@dataclass
class Floor:
    """People at work in Label Studio, and what it would tell of it."""

    world: World
    there: dict[int, dict[str, Any]]
    answers: dict[int, list[int]] = field(default_factory=dict)
    waiting: list[dict[str, Any]] = field(
        default_factory=list
    )  # told by Label Studio, not delivered; some never are
    delivered: list[dict[str, Any]] = field(default_factory=list)

    def do(self, what: str, number: int) -> None:
        if number in self.there and what in ("annotate", "skip"):
            skip = what == "skip"
            said = [] if skip else transcript(f"said {next(NUMBERS)}")
            made = tasks.annotate(
                self.world.studio, self.there[number]["id"], said, was_cancelled=skip, lead_time=1
            )
            if not skip:
                self.answers.setdefault(number, []).append(made["id"])
            self.there[number]["touched"] = True
            self.told("ANNOTATION_CREATED", annotation={"id": made["id"], "task": self.there[number]["id"]})
        elif what == "edit" and self.answers.get(number):
            one = self.answers[number][-1]
            tasks.update_annotation(self.world.studio, one, result=transcript(f"edited {next(NUMBERS)}"))
            self.told("ANNOTATION_UPDATED", annotation={"id": one, "task": self.there[number]["id"]})
        elif what == "take back" and self.answers.get(number):
            one = self.answers[number].pop()
            tasks.delete_annotation(self.world.studio, one)
            self.told("ANNOTATIONS_DELETED", annotations=[{"id": one}])
        # A task that was answered and deleted between two polls is one that polling never hears of: events
        # tell more.
        elif what == "delete" and number in self.there and not self.there[number].get("touched"):
            gone = self.there.pop(number)["id"]
            tasks.delete(self.world.studio, self.world.ls_project_id, [gone])
            self.told("TASKS_DELETED", tasks=[{"id": gone}])
        elif what == "deliver" and self.waiting:
            one_told = self.waiting.pop(number % len(self.waiting))
            self.delivered.append(one_told)
            self.store(one_told)
        elif what == "repeat" and self.delivered:
            self.store(self.delivered[number % len(self.delivered)])
        elif what == "look":
            loop.process_events(self.world.ledger, self.world.studio, self.world.config)
        elif what.isupper() or what == "<b>":
            self.forge(what, number)

    def told(self, action: str, **named: Any) -> None:
        self.waiting.append({"action": action, "project": {"id": self.world.ls_project_id}, **named})

    def forge(self, action: str, number: int) -> None:
        """A number that is nobody's, or, when small, that of one of the tasks or of an answer to it."""
        named = self.there.get(number, {}).get("id", number)
        answer = [{"id": one} for one in self.answers.get(number % CLIPS, [])] or [{"id": number}]
        project = {"id": self.world.ls_project_id}
        self.store({"action": action, "annotation": {"id": number, "task": named}, "annotations": answer,
                    "tasks": [{"id": named}, named, None], "project": project})  # fmt: skip

    def store(self, payload: dict[str, Any]) -> None:
        body = json.dumps(payload).encode()
        events.store(self.world.ledger, "/webhook", body, orjson.loads(body))


@contextmanager
def database(postgres: Postgres, template: str) -> Iterator[str]:
    name = f"random_{uuid.uuid4().hex}"
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        try:
            yield name
        finally:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def world(folder: Path, url: str, studio: Studio) -> Iterator[World]:
    given = {"push": Push(settle_seconds=1), "pull": Pull(skips=100)}
    settled = config(folder, url, studio.url, studio.token, **given)
    opened = connect(url)
    try:
        with client.connect(studio.url, studio.token) as connection:
            yield World(settled, opened, connection)
    finally:
        opened.close()


QUIET = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]


@settings(max_examples=5, deadline=None, database=None, phases=(Phase.generate,), suppress_health_check=QUIET)
@given(script=scripts)
def test_whatever_becomes_of_events_the_ledger_ends_as_that_of_a_poll(
    script: list[tuple[str, int]], tmp_path: Path, postgres: Postgres, migrated_template: str, studio: Studio
) -> None:
    with database(postgres, migrated_template) as told:
        with world(tmp_path, postgres.url(told), studio) as first:
            shutil.rmtree(first.raw_dir, ignore_errors=True)
            first.raw_dir.mkdir(parents=True)
            first.ingest(clips(CLIPS))
            first.push()
            there = dict(enumerate(first.tasks().values()))
        with database(postgres, told) as polls, world(tmp_path, postgres.url(told), studio) as listens:
            floor = Floor(listens, there)
            for what, number in script:
                floor.do(what, number)
            loop.process_events(listens.ledger, listens.studio, listens.config)
            with world(tmp_path, postgres.url(polls), studio) as alone:
                for one in (listens, alone):
                    one.pull(full=True)
                assert said(listens) == said(alone)


def said(one: World) -> dict[str, list[tuple[Any, ...]]]:
    return {name: [tuple(row) for row in one.rows(statement)] for name, statement in SAME.items()}
