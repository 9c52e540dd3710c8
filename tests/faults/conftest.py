"""A small world whose parts can fail: settings in files, so that commands in processes of their own find
them."""

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from faults.proxy import HOLD_SECONDS, Exchange, Fault, Proxy
from lsloop import config
from lsloop.errors import Unreachable
from lsloop.labelstudio import client
from lsloop.ledger import Ledger
from services import Studio
from world import World, clips

SAMPLES, BATCH, SETTLE = 20, 5, 0.6

PARAMS = {
    "task_types": {"transcript_correction": {}, "translation_review": {}, "audio_segmentation": {}},
    "push": {"batch": BATCH, "settle_seconds": SETTLE},
    "pull": {"batch": BATCH, "overlap_seconds": 300},
}


@pytest.fixture(autouse=True)
def no_services_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the machine's environment names is nobody's business here."""
    for name in config.Environment.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.delenv("AUDIO_SERVER_URL", raising=False)


@pytest.fixture
def empty(tmp_path: Path, ledger: Ledger, database_url: str, studio: Studio) -> Iterator[World]:
    """A project folder with a ledger and Label Studio, and nothing in them."""
    write_settings(
        tmp_path, database_url=database_url, label_studio_url=studio.url, label_studio_api_key=studio.token
    )
    settings = config.load(tmp_path)
    settings.raw_dir.mkdir(parents=True)
    with client.connect(studio.url, studio.token) as connection:
        yield World(settings, ledger, connection)


@pytest.fixture
def scene(empty: World) -> World:
    """SAMPLES samples that wait to be sent, in batches of BATCH."""
    empty.ingest(clips(SAMPLES))
    return empty


@pytest.fixture
def between(scene: World, studio: Studio) -> Iterator[Proxy]:
    """A proxy before Label Studio. Commands that start from now on go through it; `scene.studio` does not."""
    with Proxy(studio.url) as proxy:
        write_settings(scene.config.project_dir, label_studio_url=proxy.url)
        yield proxy


def write_settings(folder: Path, **stack: str) -> None:
    """The settings files of a project folder; `stack` is what `lsloop up` would have written down."""
    (folder / "params.yaml").write_text(yaml.safe_dump(PARAMS))
    path = folder / config.STATE / "stack.json"
    path.parent.mkdir(exist_ok=True)
    before = (
        json.loads(path.read_text())
        if path.exists()
        else {"server_url": "http://127.0.0.1:8000", "secret": "s"}
    )
    path.write_text(json.dumps(before | stack))


def through(scene: World, between: Proxy, timeout: float = 30.0) -> World:
    """The same world, Label Studio seen through the proxy; `timeout` is in seconds."""
    return replace(
        scene, studio=client.connect(between.url, scene.config.label_studio_api_key, timeout=timeout)
    )


def patient(scene: World, settle: float = 30.0) -> World:
    """The same world, where a request may be at work in Label Studio for `settle` seconds."""
    push = scene.config.params.push.model_copy(update={"settle_seconds": settle})
    return _with(scene, push=push)


def looking_ahead(scene: World) -> World:
    """The same world, where a pull reads nothing again that was there before the last one."""
    pull = scene.config.params.pull.model_copy(update={"overlap_seconds": 0})
    return _with(scene, pull=pull)


def for_two(scene: World) -> World:
    """The same world, where two people have to say the same."""
    kinds = {
        name: kind.model_copy(update={"overlap": 2}) for name, kind in scene.config.params.task_types.items()
    }
    return _with(scene, task_types=kinds)


def _with(scene: World, **params: Any) -> World:
    found = scene.config.params.model_copy(update=params)
    return replace(scene, config=replace(scene.config, params=found))


def abandoned(gate: threading.Event) -> Fault:
    """The client is cut off at once; the request is sent on all the same, when `gate` opens."""

    def fault(exchange: Exchange) -> None:
        def later() -> None:
            gate.wait(HOLD_SECONDS)
            exchange.forward()

        threading.Thread(target=later, daemon=True).start()
        exchange.drop()

    return fault


def repeat(run: Callable[[], object], at_most: int = 12) -> int:
    """Run until it succeeds, as a person would; how many runs that took."""
    for count in range(1, at_most):
        with contextlib.suppress(Unreachable):
            run()
            return count
    run()
    return at_most
