"""Which project a command is about."""

import os
from pathlib import Path

import pytest

from lsloop.commands import _folder, main
from lsloop.errors import UsageError

NAMES = {"DATABASE_URL": "postgresql://127.0.0.1:1/x", "LABEL_STUDIO_URL": "http://127.0.0.1:1"}


@pytest.fixture(autouse=True)
def nothing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)


def inside(project: Path) -> Path:
    deep = project / "data" / "raw" / "audio"
    deep.mkdir(parents=True)
    return deep


@pytest.mark.parametrize("text", [
    "task_types:\n  transcript_correction: {}\n", "# settings\n{'task_types': {}}", '"task_types" : {}',
    "push: {}\r\ntask_types: [",
])  # fmt: skip
def test_a_project_is_found_from_every_folder_in_it_also_when_its_params_are_broken(
    tmp_path: Path, text: str
) -> None:
    (tmp_path / "params.yaml").write_text(text)
    deep = inside(tmp_path)
    for folder in (deep, deep.parent, tmp_path):
        assert _folder.project(folder) == tmp_path
    (tmp_path.parent / f"{tmp_path.name}-link").symlink_to(deep)
    assert _folder.project(tmp_path.parent / f"{tmp_path.name}-link") == tmp_path


def test_the_nearest_project_counts_and_what_others_call_params_does_not(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text("task_types: {}\n")
    deep = inside(tmp_path)
    (deep / "params.yaml").write_text("models: {}\ntrain:\n  task_types: none of ours\n")
    assert _folder.project(deep) == tmp_path
    (deep / ".lsloop").mkdir()  # the demo keeps Label Studio's environment there
    assert _folder.project(deep) == tmp_path
    (deep / ".lsloop" / "stack.json").write_text("{}")
    assert _folder.project(deep) == deep


def test_a_params_yaml_that_is_empty_is_named_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text("\n \n")
    deep = inside(tmp_path)
    asked = (_folder.project, deep), (_folder.of_a_stack, tmp_path)
    for ask, folder in asked:
        with pytest.raises(UsageError, match=r"params\.yaml is empty\.") as refused:
            ask(folder)
        assert "git checkout params.yaml" in refused.value.fix
    (tmp_path / "params.yaml").unlink()
    assert main(["-C", str(tmp_path), "init", "--quiet"]) == 0
    assert _folder.project(deep) == tmp_path


def test_outside_a_project_commands_are_refused_but_for_those_that_need_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UsageError, match="Not an lsloop project"):
        _folder.project(tmp_path)
    assert main(["-C", str(tmp_path), "sync", "--quiet"]) == 2
    assert "lsloop init" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    assert main(["-C", str(tmp_path), "init", "--quiet"]) == 0
    assert _folder.project(tmp_path / "data") == tmp_path


@pytest.mark.parametrize("by", ["environment", ".env"])
def test_without_a_project_the_services_that_are_named_are_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    for names in (list(NAMES)[:1], list(NAMES)):
        if by == ".env":
            (tmp_path / ".env").write_text("".join(f"{name}={NAMES[name]}\n" for name in names))
        else:
            monkeypatch.setenv(names[-1], NAMES[names[-1]])
        assert _folder.project(tmp_path) == tmp_path
        if names == list(NAMES):
            assert _folder.of_a_stack(tmp_path) == tmp_path
        else:
            with pytest.raises(UsageError):
                _folder.of_a_stack(tmp_path)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives files away")
def test_a_project_of_somebody_else_above_is_named_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text("task_types: {}\n")
    deep = inside(tmp_path)
    os.chown(tmp_path, 4321, 4321)
    with pytest.raises(UsageError, match="belongs to another user"):
        _folder.project(deep)
    assert _folder.project(tmp_path) == tmp_path  # named by hand
    os.chown(deep, 4321, 4321)
    assert _folder.nearest(deep) == tmp_path
