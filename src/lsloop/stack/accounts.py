"""Whom PostgreSQL runs as.

It refuses to run as root, and containers mostly are root.

As root, the first of these that works: a user namespace in which root is called 1000, or nobody (files keep
their owner, and any folder of root's can be reached), else the project folder's owner, else `nobody`.
"""

import os
import pwd
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lsloop.errors import LsloopError


@dataclass(frozen=True)
class Account:
    """Way to run a command: after `prefix`, as `user` (uid, gid)."""

    prefix: tuple[str, ...] = ()
    user: tuple[int, int] | None = None

    def keywords(self) -> dict[str, Any]:
        """Arguments for `subprocess.run`."""
        return {"user": self.user[0], "group": self.user[1], "extra_groups": []} if self.user else {}

    def give(self, folder: Path) -> None:
        """Make the account own `folder`, where it does not.

        Another way may have been taken last time.
        """
        if os.geteuid() != 0:
            return
        uid, gid = self.user or (0, 0)
        if folder.stat().st_uid == uid:
            return
        for path in (folder, *folder.rglob("*")):
            os.chown(path, uid, gid, follow_symlinks=False)


def for_postgres(folder: Path, program: Path) -> Account:
    """Choose the account that can run `program` on data in `folder`.

    Raises LsloopError when root has no way to.
    """
    if os.geteuid() != 0:
        return _of_this_user(folder, program)
    for account in _ways(folder):
        if _works(account, folder, program):
            return account
    raise LsloopError(
        f"PostgreSQL does not run as root, and no other account reaches both {program} and {folder}.",
        "Run lsloop as an ordinary user, or put the project in a folder that all users may enter, "
        "or set DATABASE_URL to a PostgreSQL of your own.",
    )


def _of_this_user(folder: Path, program: Path) -> Account:
    """Return the account of this user.

    One whom no list of users names, as in containers, is called `nobody` in a user namespace.
    """
    if has_name(os.geteuid()):
        return Account()
    account = Account(prefix=namespace(pwd.getpwnam("nobody").pw_uid))
    if _works(account, folder, program):
        return account
    raise LsloopError(
        f"PostgreSQL does not start for a user without a name, and uid {os.geteuid()} has none.",
        "Add a line for it to /etc/passwd, or set DATABASE_URL to a PostgreSQL of your own.",
    )


def has_name(uid: int) -> bool:
    """Tell whether the machine's list of users names this one."""
    try:
        return bool(pwd.getpwuid(uid).pw_name)
    except KeyError:
        return False


def namespace(uid: int) -> tuple[str, ...]:
    """Return what runs a command in a user namespace where this user is called so.

    Files keep their owner.
    """
    return ("unshare", "--user", f"--map-user={uid}", "--")


def _ways(folder: Path) -> Iterator[Account]:
    yield Account(prefix=namespace(1000 if has_name(1000) else pwd.getpwnam("nobody").pw_uid))
    owner = folder.resolve().parent.stat()
    if owner.st_uid != 0:
        yield Account(user=(owner.st_uid, owner.st_gid))
    nobody = pwd.getpwnam("nobody")
    yield Account(user=(nobody.pw_uid, nobody.pw_gid))


def _works(account: Account, folder: Path, program: Path) -> bool:
    """Tell whether the account can run the program and enter the folder."""
    if account.user:
        # Others may pass through; the files in it stay closed to them.
        folder.chmod(folder.stat().st_mode | 0o111)
    script = 'test -x "$1" && exec "$2" --version'
    command = [*account.prefix, "sh", "-c", script, "sh", str(folder), str(program)]
    try:
        return subprocess.run(command, capture_output=True, cwd="/", **account.keywords()).returncode == 0
    except FileNotFoundError:  # no `unshare` here
        return False
