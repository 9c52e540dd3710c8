"""`lsloop demo` as a user runs it: whole, on its own PostgreSQL and Label Studio."""

import json
from pathlib import Path
from typing import Any

import pytest

from lsloop import config
from lsloop.commands import main

pytestmark = pytest.mark.studio


@pytest.fixture
def elsewhere(tmp_path: Path, studio_environment: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with nothing in it; services that the demo must not touch are named in the
    environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LSLOOP_STUDIO_ENV", str(studio_environment.resolve()))
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nothing")
    monkeypatch.setenv("LABEL_STUDIO_URL", "http://127.0.0.1:1")
    return tmp_path


def told(report: dict[str, Any]) -> dict[str, Any]:
    """A report without what may differ: times, ports and passwords."""
    acts = [(act["name"], act["told"]) for act in report["acts"]]
    return {**report, "acts": acts, "place": None}


def everything_happens_in(report: dict[str, Any]) -> None:
    """The story as it is meant: changes are met in every way, and annotators are ranked as they were made."""
    became = report["changes"]
    assert became["translation"].keys() == {"no conflict"}
    assert became["media"].keys() == {"refreshed", "pending_reflow"}
    assert {"refreshed", "merged", "human_wins"} <= {*became["mended"], *became["misheard"]}
    assert report["agreement"]["below"] > 0
    people = report["annotators"][:3]
    assert [one["error_rate"] for one in people] == [0.02, 0.1, 0.3]
    assert [one["measured"] for one in people] == sorted(one["measured"] for one in people)
    assert all(one["low"] <= one["error_rate"] <= one["high"] for one in people)
    assert all(one["probes"] >= 5 for one in people)
    assert report["error_rate_after"] < report["error_rate_before"] / 3


def a_model_learns(report: dict[str, Any], kept: Path) -> None:
    """The rounds as they are meant: the model errs less each time, and people have less and less to do."""
    before, *rounds = report["rounds"]
    assert [one["number"] for one in rounds] == [1, 2, 3]
    assert rounds[-1]["value"] < before["value"] / 2
    changed = [one["words_changed"] for one in rounds]
    assert changed == sorted(changed, reverse=True)
    shares = [one["acceptance"] for one in rounds]
    assert shares == sorted(shares)
    assert all(one["accepted"] == one["answers"] == 40 and one["test_samples"] >= 100 for one in rounds)
    assert rounds[0]["promoted"]
    assert rounds[0]["gain"]["low"] > 0
    assert (kept / "rounds.svg").read_text().count("<rect") == 1 + 4 + 3 + 3
    assert (kept / "dvc.lock").is_file()
    assert any((kept / ".lsloop" / "dvc-remote").rglob("*.dir"))


def test_the_demo_tells_the_same_story_twice_and_every_promise_holds(
    elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reports = []
    for _ in range(2):
        assert main(["demo", "--rounds", "0", "--samples", "8", "--seed", "5", "--json", "--quiet"]) == 0
        reports.append(json.loads(capsys.readouterr().out))
    first, second = map(told, reports)
    assert first == second
    assert len(first["checks"]) == 11
    assert not any(check["broken"] for check in first["checks"])
    assert first["error_rate_after"] < first["error_rate_before"]
    assert list(elsewhere.iterdir()) == []


def test_a_kept_demo_runs_on_until_it_is_stopped(
    elsewhere: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    try:
        assert main(["demo", "--keep", "kept", "--json", "--quiet"]) == 0
        report = json.loads(capsys.readouterr().out)
        everything_happens_in(report)
        a_model_learns(report, elsewhere / "kept")
        assert len(report["checks"]) == 16
        monkeypatch.delenv("DATABASE_URL")
        monkeypatch.delenv("LABEL_STUDIO_URL")
        stack = config.load(elsewhere / "kept").stack
        assert report["place"]["label_studio_url"] == f"{stack['label_studio_url']}/projects/1/data"
        assert report["place"]["label_studio_password"] == stack["label_studio_password"]
        assert main(["-C", "kept", "pull", "--json", "--quiet"]) == 0
    finally:
        main(["-C", "kept", "down"])
    assert not config.load(elsewhere / "kept").stack["ready"]
