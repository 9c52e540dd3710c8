"""Processes that run for days follow params.yaml."""

import os
import time
from pathlib import Path

from lsloop import config
from lsloop.config import Config, Environment
from lsloop.config.following import Following
from lsloop.ledger import connect
from lsloop.loop import job
from lsloop.server.api import Desk
from lsloop.server.ml_backend import Backends


def written(folder: Path, text: str, age: float = 60.0) -> None:
    path = folder / "params.yaml"
    path.write_text(text)
    moment = time.time() - age
    os.utime(path, (moment, moment))


def limits(text: str) -> str:
    return f"task_types: {{transcript_correction: {{}}}}\npush: {{limit: {text}}}\n"


def following(folder: Path, said: list[str]) -> Following:
    settings = Config(folder, config.read_params(folder), Environment.model_construct(), {})
    return Following(settings, said.append)


def test_a_change_is_followed_and_a_broken_file_is_told_once_while_the_settings_before_go_on(
    tmp_path: Path,
) -> None:
    said: list[str] = []
    written(tmp_path, limits("3"))
    now = following(tmp_path, said)
    assert now().params.push.limit == 3
    assert now() is now(), "nothing is read while nothing changes"

    written(tmp_path, limits("4 "), age=50)
    first = now()
    assert first.params.push.limit == 4

    for broken in (limits("many"), "push: {limit: 5\n"):
        said.clear()
        written(tmp_path, broken, age=40 - len(broken) / 10)
        assert [now().params.push.limit for _ in range(3)] == [4, 4, 4]
        assert len(said) == 1
        assert said[0].startswith("params.yaml, line ")
        assert "Until then the settings before go on." in said[0]
    (tmp_path / "params.yaml").unlink()
    assert (now().params.push.limit, now().params.push.limit, len(said)) == (4, 4, 2)
    written(tmp_path, limits("6"), age=30)
    assert (now().params.push.limit, first.params.push.limit, len(said)) == (6, 4, 2)


def test_what_is_being_written_is_not_read_before_it_is_whole(tmp_path: Path) -> None:
    said: list[str] = []
    written(tmp_path, limits("3"))
    now = following(tmp_path, said)
    written(tmp_path, "task_types: {}\n", age=0)  # an editor emptied it, and has more to write
    assert now().params.task_types
    written(tmp_path, limits("7"), age=20)
    assert (now().params.push.limit, said) == (7, [])


def test_templates_the_api_and_the_ml_backend_follow_too(tmp_path: Path) -> None:
    written(tmp_path, limits("3"))
    now = following(tmp_path, [])
    away = connect("postgresql://127.0.0.1:1/away", check_schema=False)
    desk, backends = Desk(away, now, "t"), Backends(away, now)
    (tmp_path / "label_studio_templates").mkdir()
    for text in ("<View><Header value='one'/></View>", "<View><Header value='two'/></View>"):
        (tmp_path / "label_studio_templates" / "transcript_correction.xml").write_text(text)
        assert job.template(now(), *now().task_type("transcript_correction")) == text
    written(
        tmp_path, "task_types: {transcript_correction: {}, other: {kind: transcript_correction}}\n", age=20
    )
    assert desk.config.task_type("other")[0] == "other"
    backends.add_task_types()
    assert set(backends.seats) == {"transcript_correction", "other"}
