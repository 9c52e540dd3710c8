"""PostgreSQL starts for a user that no list of users names, as containers have, or it is said what to do."""

import os
import pwd
from pathlib import Path

import pytest

from lsloop.errors import LsloopError
from lsloop.stack import accounts, postgres

NAMELESS = 54321


def test_a_user_without_a_name_has_one_in_a_namespace_or_is_told_how_to_get_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not accounts.has_name(NAMELESS)
    monkeypatch.setattr(os, "geteuid", lambda: NAMELESS)
    program = postgres.binary("postgres")
    nobody = pwd.getpwnam("nobody").pw_uid
    try:
        assert accounts.for_postgres(tmp_path, program).prefix == (
            "unshare",
            "--user",
            f"--map-user={nobody}",
            "--",
        )
    except LsloopError as refused:  # where user namespaces are not allowed
        told = refused.problem + refused.fix
        assert "uid 54321 has none" in told
    with pytest.raises(LsloopError, match=f"uid {NAMELESS} has none") as error:
        accounts.for_postgres(tmp_path, tmp_path / "no program")
    assert "/etc/passwd" in error.value.fix
    monkeypatch.setattr(os, "geteuid", lambda: nobody)
    assert accounts.for_postgres(tmp_path, program) == accounts.Account()
