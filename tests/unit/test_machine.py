"""A user has a name, also where nobody gave the machine one."""

import os
import pwd
from pathlib import Path

import pytest

from lsloop import dvc, machine

NAMELESS = """
import pwd

def nobody(uid):
    raise KeyError(f"getpwuid(): uid not found: {uid}")

pwd.getpwuid = nobody
"""


def test_a_user_that_no_list_of_users_names_has_one_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(uid: int) -> None:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    monkeypatch.setattr(pwd, "getpwuid", nobody)
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    assert machine.user() == f"uid {os.getuid()}"
    monkeypatch.setenv("USER", "anna")
    assert machine.user() == "anna"


def test_dvc_works_for_a_user_without_a_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(NAMELESS)  # every Python that is started sees no such user
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "project").mkdir()
    assert dvc.initialise(tmp_path / "project").dvc
    assert (tmp_path / "project" / ".dvc" / "config").is_file()
