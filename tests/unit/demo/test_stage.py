import os
from pathlib import Path

import pytest

from lsloop import config
from lsloop.demo import stage
from lsloop.errors import UsageError


@pytest.fixture(autouse=True)
def nothing_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """`make test` names Label Studio's environment; here that is what is tested."""
    monkeypatch.delenv("LSLOOP_STUDIO_ENV", raising=False)


def test_the_demo_does_not_see_the_services_that_the_environment_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (
        "DATABASE_URL",
        "label_studio_url",
        "LABEL_STUDIO_API_KEY",
        "AUDIO_SERVER_URL",
        "LS_PROJECT_TRANSCRIPT",
    ):
        monkeypatch.setenv(name, "7")
    monkeypatch.setenv("GOLD_SAMPLE_RATIO", "0.5")
    before = dict(os.environ)
    with stage.alone(tmp_path / "studio") as aside:
        seen = config.load(tmp_path)
        assert seen.environment == config.Environment.model_construct(lsloop_studio_env=tmp_path / "studio")
    assert {"DATABASE_URL", "label_studio_url", "AUDIO_SERVER_URL", "GOLD_SAMPLE_RATIO"} <= set(aside)
    assert dict(os.environ) == before


def test_label_studios_own_environment_is_the_one_that_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LSLOOP_STUDIO_ENV", str(tmp_path / "named"))
    with stage.alone(tmp_path / "studio") as aside:
        assert config.load(tmp_path).environment.lsloop_studio_env == tmp_path / "named"
    assert "LSLOOP_STUDIO_ENV" not in aside


def test_without_a_folder_to_keep_nothing_is_left() -> None:
    with stage.folder(None) as made:
        (made / "data").mkdir()
    assert not made.exists()


def test_a_kept_folder_is_made_anew_by_the_next_demo(tmp_path: Path) -> None:
    keep = tmp_path / "new" / "demo"
    with stage.alone(tmp_path / "studio"):
        with stage.folder(keep) as made:
            (made / "data").mkdir()
        assert (keep / "data").is_dir()
        assert config.load(keep).environment.lsloop_studio_env == tmp_path / "studio"
        with stage.folder(keep):
            assert not (keep / "data").exists()


def test_a_demos_settings_are_those_that_are_shipped_but_for_what_it_needs(tmp_path: Path) -> None:
    shipped = config.load(tmp_path).params
    stage.write_params(tmp_path, "translation_review", 0.25)
    own = config.load(tmp_path).params
    assert own.gold == shipped.gold.model_copy(update={"ratio": 0.25})
    assert own.push == shipped.push.model_copy(update={"loading_seconds": 0})
    assert own.task_types["translation_review"].overlap == 2
    others = [
        params.model_dump(exclude={"gold", "push", "retrain", "task_types"}) for params in (own, shipped)
    ]
    assert others[0] == others[1]
    assert own.task_types["audio_segmentation"] == shipped.task_types["audio_segmentation"]


def test_a_folder_that_is_not_a_demos_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with (
        stage.alone(tmp_path),
        pytest.raises(UsageError, match="was not made by the demo"),
        stage.folder(tmp_path),
    ):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_file_is_not_a_folder_to_keep(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="was not made by the demo"), stage.folder(tmp_path / "file"):
        pass
