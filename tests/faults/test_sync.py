"""Cycles of `lsloop sync` and its daemon: one at a time, none lost, and no failure that stops the rest."""

import contextlib
import itertools
import json
import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest
import yaml

from faults import processes, promises, proxy
from faults.conftest import write_settings
from faults.processes import Command, Point
from faults.proxy import Proxy
from lsloop.commands import main
from services import Studio
from world import TRANSCRIPT, World, clips, wait_until

SHORT = "0.02"  # minutes
SECONDS = 1.2


@pytest.fixture
def project(empty: World) -> World:
    """Six samples wait upstream, in a project with one task type."""
    _params(empty.config.project_dir)
    empty.write(clips(6))
    return empty


def _params(folder: Path, **task_type: Any) -> None:
    (folder / "params.yaml").write_text(
        yaml.safe_dump({"task_types": {TRANSCRIPT: {"sync_push": True, **task_type}}})
    )


def sync(world: World, capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, dict[str, Any], str]:
    """Exit code, document, and what was said on stderr."""
    code = main(["-C", str(world.config.project_dir), "--json", *(args or ("sync",))])
    said = capsys.readouterr()
    return code, json.loads(said.out), said.err


def states(run: dict[str, Any]) -> dict[str, str]:
    return {step["name"]: step["state"] for step in run["steps"]}


def runs(world: World) -> list[Any]:
    return world.rows("SELECT * FROM sync_runs ORDER BY run_id")


def test_cycles_bring_samples_out_and_answers_back_and_leave_out_what_is_not_due(
    project: World, capsys: pytest.CaptureFixture[str]
) -> None:
    code, done, _ = sync(project, capsys)
    assert (code, done["became"], done["run"]["outcome"]) == (0, "ran", "succeeded")
    assert states(done["run"]) == {
        "dvc pull": "skipped", "ingest": "done", "pull": "skipped", "accept": "skipped", "push": "done",
    }  # fmt: skip
    promises.check_sent_once(project)

    answers = promises.answer_all(project)
    code, done, _ = sync(project, capsys)
    pulled = next(step for step in done["run"]["steps"] if step["name"] == "pull")
    assert (code, pulled["counts"]["new"], pulled["counts"]["accepted"]) == (0, 6, 6)
    promises.check_accepted(project, answers)

    code, done, _ = sync(project, capsys, "sync", "--interval", "5")
    assert (code, done["became"], len(runs(project))) == (0, "not due", 2)
    assert 200 < done["due_in"] < 300
    assert main(["-C", str(project.config.project_dir), "status"]) == 0
    assert "Last sync: succeeded" in capsys.readouterr().out
    assert main(["-C", str(project.config.project_dir), "sync-daemon", "--status"]) == 0
    shown = capsys.readouterr().out
    assert "6 accepted" in shown
    assert "DVC: this is not a DVC repository" in shown


def test_a_cycle_asks_nobody_to_annotate_unless_it_is_told(
    project: World, capsys: pytest.CaptureFixture[str]
) -> None:
    (project.config.project_dir / "params.yaml").write_text(yaml.safe_dump({"task_types": {TRANSCRIPT: {}}}))
    for command in (("sync",), ("sync-daemon", "--once")):
        code, done, _ = sync(project, capsys, *command)
        assert (code, states(done["run"])["push"], project.states()) == (0, "skipped", {})
        reason = next(step["reason"] for step in done["run"]["steps"] if step["name"] == "push")
        assert "sync_push: true" in reason
    code, done, _ = sync(project, capsys, "sync", "--send-samples")
    assert (code, states(done["run"])["push"], project.states()) == (0, "done", {"open": 6})


def test_a_cycle_sends_no_more_than_the_backlog_has_room_for(
    project: World, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = project.config.project_dir
    params = {"task_types": {TRANSCRIPT: {"sync_push": True}}, "sync": {"backlog": 4}}
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    assert sync(project, capsys)[0] == 0
    assert project.states() == {"open": 4}
    assert sync(project, capsys)[0] == 0
    assert project.states() == {"open": 4}
    promises.answer(project, project.tasks()["clip-001"])
    assert sync(project, capsys)[0] == 0
    assert project.states() == {"open": 4, "accepted": 1}
    _params(folder, sync_push=False)
    assert states(sync(project, capsys)[1]["run"])["push"] == "skipped"


def test_while_label_studio_is_down_the_other_steps_go_on_and_the_failures_are_named(
    project: World, studio: Studio, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sync(project, capsys)[0] == 0
    write_settings(project.config.project_dir, label_studio_url="http://127.0.0.1:9")
    _params(project.config.project_dir)
    project.write([*clips(7), {"no": "id"}])
    code, done, said = sync(project, capsys)
    assert (code, done["run"]["outcome"]) == (3, "failed")
    assert states(done["run"]) == {
        "dvc pull": "skipped", "ingest": "done", "pull": "failed", "accept": "done", "push": "failed",
    }  # fmt: skip
    assert said.count("http://127.0.0.1:9") >= 2
    assert "Line 8 of metadata.jsonl was refused" in said
    assert project.value("SELECT count(*) FROM samples") == 7

    write_settings(project.config.project_dir, label_studio_url=studio.url)
    _params(project.config.project_dir)
    code, done, said = sync(project, capsys)
    assert (code, done["run"]["outcome"]) == (1, "succeeded"), said
    promises.check_sent_once(project)


@pytest.mark.parametrize(
    ("args", "stopped"), [(("sync-daemon",), "Stopped after 1 cycle,"), (("sync",), "stopped")]
)
def test_sigterm_finishes_the_step_that_is_at_work_and_another_cycle_is_turned_away(
    project: World, studio: Studio, capsys: pytest.CaptureFixture[str], args: tuple[str, ...], stopped: str
) -> None:
    assert sync(project, capsys)[0] == 0
    answers, gate = promises.answer_all(project), threading.Event()
    project.write(clips(9))
    with contextlib.ExitStack() as last, Proxy(studio.url) as between:
        last.callback(gate.set)
        write_settings(project.config.project_dir, label_studio_url=between.url)
        _params(project.config.project_dir)
        held = between.on("GET", r"^/api/tasks/", proxy.hold(gate), proxy.nth(1))
        # A daemon without SYNC_INTERVAL_MINUTES would find that the last cycle was just now.
        with processes.start(project.config.project_dir, *args, *_often(args)) as working:
            held.wait(fired=1)
            code, done, _ = sync(project, capsys)
            assert (code, done["became"], done["run"]["run_id"]) == (0, "busy", 2)
            assert done["run"]["started_by"].endswith(f":{working.process.pid}")
            os.kill(working.process.pid or 0, signal.SIGTERM)
            gate.set()
            assert working.wait() == 0, working.said
    assert stopped in working.said
    cut = runs(project)[-1]
    assert (cut.outcome, [step["name"] for step in cut.steps]) == ("stopped", ["dvc pull", "ingest", "pull"])
    promises.check_accepted(project, answers)
    assert project.states() == {"accepted": 6}


def _often(args: tuple[str, ...]) -> tuple[str, ...]:
    return ("--interval", "0.01") if args == ("sync-daemon",) else ()


def test_two_daemons_and_a_cron_line_never_overlap_and_lose_nothing(project: World) -> None:
    """One of the daemons is killed in the middle of a cycle."""
    folder = project.config.project_dir
    _params(folder, sync_push=False)
    dying = Point("lsloop.steps.sample:ingest", "after")
    crons: list[Command] = []
    with (
        processes.start(folder, "sync-daemon", "--interval", SHORT, at=dying) as first,
        processes.start(folder, "sync-daemon", "--interval", SHORT) as second,
    ):
        for count in range(7, 12):
            project.write(clips(count))
            crons += [processes.run(folder, "sync", "--json", "--interval", SHORT)]
            wait_until(lambda count=count: len(_ended(project)) >= count - 5, 20)
        assert first.wait() == -signal.SIGKILL
        wait_until(lambda: project.value("SELECT count(*) FROM samples") == 11)
        wait_until(lambda: _ended(project)[-1].started_by.endswith(f":{second.process.pid}"))
        os.kill(second.process.pid or 0, signal.SIGTERM)
        assert second.wait() == 0, second.said
    found = runs(project)
    assert [cron.wait() for cron in crons] == [0] * 5
    assert [run.outcome for run in found if run.outcome != "succeeded"] in (
        ["cut off"],
        ["cut off", "stopped"],
    )
    assert all(before.ended_at <= after.started_at for before, after in itertools.pairwise(found))
    for before, after in itertools.pairwise(found):
        if before.outcome == "succeeded":
            assert (after.started_at - before.started_at).total_seconds() >= SECONDS * 0.9
        assert (after.started_at - before.ended_at).total_seconds() <= SECONDS + 5, (
            "a cycle that was due did not come"
        )


def _ended(world: World) -> list[Any]:
    return [run for run in runs(world) if run.ended_at]
