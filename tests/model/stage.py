"""One small world for one run of the model: a ledger of its own, people, and a crawler whose sources are
known."""

import hashlib
import os
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row

from lsloop.config import Conflicts, Gold, Pull, Push, TaskType
from lsloop.labelstudio import client
from lsloop.labelstudio.client import LabelStudio
from lsloop.ledger import Ledger, connect
from media_files import sound
from model.studio import LSLOOP, Store
from services import Postgres
from world import World, config

TYPES = ("transcript_correction", "translation_review")
TEXTS = (
    "xin chào mọi người", "xin chào tất cả mọi người", "hello mọi người", "xin chào mọi người nhé",
    "meeting lúc ba giờ",
)  # fmt: skip
PEOPLE = ("lead", "linh", "minh")
SAMPLES = 5


@dataclass(frozen=True)
class Services:
    """What all runs share."""

    postgres: Postgres
    template: str
    url: str  # of the Label Studio
    serve: Callable[[Store], None]
    folder: Path


@dataclass
class Crawler:
    """What upstream says: the rows and media that were last ingested, and when each last changed, in steps
    of the run."""

    raw_dir: Path
    fields: dict[str, dict[str, str]] = field(default_factory=dict)
    media: dict[str, str] = field(default_factory=dict)
    dropped: set[str] = field(default_factory=set)
    versions: dict[str, int] = field(default_factory=dict)
    changed: dict[tuple[str, str], int] = field(default_factory=dict)
    writes: int = 0

    def say(self, name: str, field_: str, value: str | None, step: int) -> None:
        """Change one thing of one sample; None takes a field away."""
        there = self.media if field_ == "media" else self.fields.setdefault(name, {})
        at = name if field_ == "media" else field_
        if there.get(at) == value:
            return
        self.changed[name, field_] = step
        if value is None:
            del there[at]
        else:
            there[at] = value

    def rows(self) -> list[dict[str, Any]]:
        """metadata.jsonl as it is now; the media are written, too."""
        for name, content in self.media.items():
            path = self.raw_dir / "audio" / f"{name}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.exists() or path.read_bytes() != sound(content):
                path.write_bytes(sound(content))
                self.writes += 1
                os.utime(path, ns=(self.writes, self.writes))
        return [
            {"external_id": name, "media": f"audio/{name}.wav", **said}
            for name, said in sorted(self.fields.items()) if name not in self.dropped
        ]  # fmt: skip

    def md5(self, name: str) -> str:
        return hashlib.md5(sound(self.media[name])).hexdigest()


@dataclass
class Stage:
    """One run's own ledger, Label Studio and people."""

    world: World
    store: Store
    people: list[LabelStudio]
    crawler: Crawler
    name: str
    eye: psycopg.Connection[Any]  # that only looks

    @property
    def ledger(self) -> Ledger:
        return self.world.ledger


def build(services: Services, *, overlap: int, gold: float, rules: Conflicts) -> Stage:
    """A fresh stage."""
    name = f"model_{uuid.uuid4().hex}"
    _run(services.postgres, f"CREATE DATABASE {name} TEMPLATE {services.template}")
    store = Store()
    for person in (LSLOOP, *PEOPLE):
        store.add_person(person, f"{person}@example.com")
    services.serve(store)
    people = [client.connect(services.url, person) for person in PEOPLE]
    url = services.postgres.url(name)
    settings = config(
        services.folder / name, url, services.url, LSLOOP,
        task_types={one: TaskType(overlap=overlap, gold_floor=0.5, conflicts=rules) for one in TYPES},
        push=Push(settle_seconds=0, batch=3), pull=Pull(batch=3, overlap_seconds=5),
        gold=Gold(ratio=gold, window=2),
    )  # fmt: skip
    settings.raw_dir.mkdir(parents=True)
    world = World(settings, connect(url), client.connect(services.url, LSLOOP))
    eye = psycopg.connect(url, row_factory=dict_row)
    return Stage(world, store, people, Crawler(settings.raw_dir), name, eye)


def clear(services: Services, stage: Stage) -> None:
    """Take everything away."""
    for person in (stage.world.studio, *stage.people):
        person.close()
    stage.eye.close()
    stage.ledger.close()
    _run(services.postgres, f"DROP DATABASE {stage.name} WITH (FORCE)")


def _run(postgres: Postgres, statement: str) -> None:
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
        connection.execute(statement)
