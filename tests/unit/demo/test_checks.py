"""Each broken promise about tasks is found: a small world in which all hold, broken in one place at a
time."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from small_world import CAME, CHANGES, FIRST, THERE, WORLD, altered, row, seen, task

from lsloop.demo.checks import changes_met, clips_play, hidden, outcome, sent_once
from lsloop.demo.proof import Check, Seen
from lsloop.demo.story import Report
from lsloop.errors import LsloopError

BEFORE = replace(WORLD, upstream=dict(WORLD.came))
SHOWN = [{"value": {"text": [CAME]}}]
AS_SENT = [
    {
        **one,
        "data": {**one["data"], "text": CAME},
        "predictions": [{**one["predictions"][0], "result": SHOWN}],
    }
    for one in FIRST
]


def with_task(name: str, **changes: Any) -> Seen:
    return replace(seen(), tasks=[altered(one, **changes) if one.task_key == row(name).task_key else one
                                  for one in seen().tasks])  # fmt: skip


def test_every_sample_once_the_one_sent_again_too_and_every_dispute_once_is_fine() -> None:
    assert sent_once(WORLD, seen(), THERE) == Check(
        "9 samples and 1 sent again, each in Label Studio exactly once"
    )


@pytest.mark.parametrize(
    "there",
    [
        THERE[1:],
        [*THERE, {**task("agreed"), "id": 99}],
        [*THERE[1:], {**task("agreed"), "id": 99}],
        [*THERE[1:], {**task("agreed"), "data": {**task("agreed")["data"], "audio": "http://h/late.wav"}}],
        [
            *THERE,
            {**task("agreed"), "data": {**task("agreed")["data"], "sample_id": str(row("dispute").task_key)}},
        ],
        THERE[:-1],
    ],
    ids=["lost", "twice", "another id", "another clip", "foreign", "dispute lost"],
)
def test_a_task_that_is_not_exactly_once_in_label_studio_is_found(there: list[dict[str, Any]]) -> None:
    assert sent_once(WORLD, seen(), there).broken


def test_a_disagreement_that_is_asked_twice_is_found() -> None:
    assert sent_once(WORLD, with_task("late", adjudicates=row("disputed").task_key), THERE).broken


def test_a_sample_that_the_ledger_lost_is_found() -> None:
    less = replace(seen(), current=seen().current[1:], tasks=seen().tasks[1:])
    assert sent_once(WORLD, less, THERE[1:]).broken == "agreed is there 0 times"


def test_a_probe_like_any_other_task_is_hidden() -> None:
    assert hidden(BEFORE, seen(), AS_SENT) == Check("1 probe among 8 tasks, and nothing tells them apart")


@pytest.mark.parametrize(
    "look",
    [
        {"overlap": 3},
        {"meta": {"gold": True}},
        {"predictions": []},
        {"predictions": [{"id": 1, "model_version": "gold", "score": None, "result": []}]},
        {"data": {**AS_SENT[-1]["data"], "gold": ""}},
        {"data": {**AS_SENT[-1]["data"], "candidates": "A"}},
        {"data": {**AS_SENT[-1]["data"], "text": "tôi bán trà"}},
        {
            "predictions": [
                {**AS_SENT[-1]["predictions"][0], "result": [{"value": {"text": ["tôi bán trà"]}}]}
            ]
        },
    ],
    ids=[
        "overlap",
        "meta",
        "no prediction",
        "model",
        "key",
        "filled key",
        "its reference",
        "its reference filled in",
    ],
)
def test_a_probe_that_something_tells_apart_is_found(look: dict[str, Any]) -> None:
    assert hidden(BEFORE, seen(), [*AS_SENT[:-1], {**AS_SENT[-1], **look}]).broken


@pytest.mark.parametrize(
    ("probes", "found"), [(range(20), True), (range(60, 80), True), (range(0, 80, 4), False)]
)
def test_probes_that_stand_together_are_found(probes: range, found: bool) -> None:
    names = [f"{at:02d}" for at in range(80)]
    world = replace(BEFORE, came=dict.fromkeys(names, CAME))
    there = [{**AS_SENT[0], "id": at, "data": {**AS_SENT[0]["data"], "audio": f"http://h/{name}.wav",
              "task_key": f"{at:032x}"}} for at, name in enumerate(names)]  # fmt: skip
    rows = [altered(row("agreed"), task_key=type(row("agreed").task_key)(int=at), is_gold_probe=at in probes)
            for at in range(80)]  # fmt: skip
    assert bool(hidden(world, replace(seen(), tasks=rows), there).broken) == found


def test_every_change_from_upstream_is_met_as_it_should_be() -> None:
    assert changes_met(WORLD, seen(), THERE) == Check("4 changes from upstream, each met as it should be")
    assert [outcome(WORLD, seen(), one) for one in CHANGES] == [
        "merged",
        "pending_reflow",
        "refreshed",
        "no conflict",
    ]


def conflicts(**changes: Any) -> Seen:
    return replace(seen(), conflicts=[altered(one, **changes) for one in seen().conflicts])


@pytest.mark.parametrize(
    "found",
    [
        replace(seen(), conflicts=[]),
        conflicts(status="open", resolution=None),
        conflicts(resolution="crawler_wins"),
        conflicts(external_id="agreed", fields=["translation"]),
        conflicts(external_id="late", fields=["transcript"]),
        with_task("late", shows_today=False),
    ],
    ids=[
        "unnoticed",
        "open",
        "recording not sent again",
        "over nothing",
        "over what nobody began",
        "not refreshed",
    ],
)
def test_a_change_that_was_not_met_is_found(found: Seen) -> None:
    assert changes_met(WORLD, found, THERE).broken


def test_a_refreshed_task_that_shows_the_old_text_is_found() -> None:
    there = [
        one if one["id"] != task("late")["id"] else {**one, "data": {**one["data"], "text": CAME}}
        for one in THERE
    ]
    assert changes_met(WORLD, seen(), there).broken == f"late still shows {CAME!r}"


def test_a_report_demands_what_was_promised() -> None:
    report = Report(seed=3, samples=4, checks=[Check("one"), Check("two", "that broke"), Check("three")])
    with pytest.raises(LsloopError, match="A promise was broken: two") as error:
        report.demand()
    assert error.value.exit_code == 1
    Report(seed=3, samples=4, checks=[Check("one")]).demand()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_clip_that_does_not_play_as_it_lies_there_is_found(server: str, tmp_path: Path) -> None:
    there = [{"data": {"audio": f"{server}/audio/{name}.wav?expires=1"}} for name in ("a", "b")]
    raw = tmp_path / "raw"
    for folder in (tmp_path / "audio", raw / "audio"):
        folder.mkdir(parents=True)
        for name in ("a", "b"):
            (folder / f"{name}.wav").write_bytes(name.encode())
    assert clips_play(there, raw) == Check("the clips of 2 tasks play from their signed links")
    (raw / "audio" / "b.wav").write_bytes(b"another")
    assert clips_play(there, raw).broken == "b does not"
    (tmp_path / "audio" / "a.wav").unlink()
    assert clips_play(there, raw).broken == "a does not"


def test_clips_whose_server_is_gone_do_not_play(tmp_path: Path) -> None:
    assert clips_play([{"data": {"audio": "http://127.0.0.1:9/a.wav"}}], tmp_path).broken == "a does not"
