"""A user has a name, also where nobody gave the machine one."""

import os
import pwd

import pytest

from lsloop import machine


def test_a_user_that_no_list_of_users_names_has_one_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(uid: int) -> None:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    monkeypatch.setattr(pwd, "getpwuid", nobody)
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    assert machine.user() == f"uid {os.getuid()}"
    monkeypatch.setenv("USER", "anna")
    assert machine.user() == "anna"
