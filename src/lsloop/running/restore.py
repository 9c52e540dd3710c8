"""Restore of a backup, unpacked, checked part by part, and put where nothing is.

It goes over nothing that exists.
"""

import json
import os
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lsloop import config
from lsloop.config import STATE as STATE_FOLDER
from lsloop.config import address
from lsloop.errors import LsloopError, UsageError
from lsloop.ledger import migrations, saving
from lsloop.models import sha256
from lsloop.stack import files, postgres, scratch, state

PARTS = "parts.json"
LEDGER, STUDIO, SETTINGS, STATE = "ledger.dump", "label-studio", "settings", "state"
"""What is in a backup."""

ASIDE = ".from-backup"
"""The end of the name of a settings file that differs from the one that is there already."""


@dataclass(frozen=True)
class Restored:
    """Report of what was put where.

    `ledger` says in which database; `has_studio` whether Label Studio came, too. `kept` are settings that
    were there already and differ; those of the backup lie beside them.
    """

    target: Path
    made_at: str
    version: str
    rows: dict[str, int]
    ledger: str
    has_studio: bool
    written: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    dry_run: bool = False


def restore(file: Path, target: Path, *, dry_run: bool, say: Callable[[str], None]) -> Restored:
    """Put a backup into a project folder that has no ledger yet.

    With `dry_run`, only look whether it could be.

    Raises UsageError where a ledger or a Label Studio is there already, LsloopError for a damaged file.
    """
    here = target / STATE_FOLDER
    if not file.is_file():
        raise UsageError(f"There is no backup {file}.", "`lsloop backup` makes one.")
    _refuse_occupied(here, target)  # and once more below, when nobody else is at it
    with _place(here, dry_run) as work:
        _refuse_occupied(here, target)
        say("Unpacking, and looking whether it is whole")
        about = unpacked(file, work)
        done, own = _planned(about, target, work, dry_run)
        if not dry_run:
            _put(work, here, about, own, done.has_studio, say)
            _put_settings(_settings(work), target, done)
            _put_state(work / STATE, here)
    return done


@contextmanager
def _place(here: Path, dry_run: bool) -> Iterator[Path]:
    """A folder to unpack in, beside where its content goes.

    Nobody else runs or restores the stack meanwhile. A dry run leaves nothing behind, not even the state
    folder.
    """
    if dry_run:
        with tempfile.TemporaryDirectory() as name:
            yield Path(name)
        return
    state.prepare(here)
    with state.held(here), files.work_folder(here) as work:
        yield work


def _planned(about: dict[str, Any], target: Path, work: Path, dry_run: bool) -> tuple[Restored, str | None]:
    """The report of what goes where, and the URL of the database for the ledger.

    The URL is the one that the settings name; None for the embedded PostgreSQL.
    Raises UsageError where that database is not empty.
    """
    environment = config.read_environment(target if (target / ".env").is_file() else _settings(work))
    own = environment.database_url.get_secret_value() if environment.database_url else None
    if own and not saving.is_empty(own):
        raise UsageError(
            f"The database at {address.read(own).place} is not empty.",
            "Set DATABASE_URL in .env to an empty one, or empty it by hand.",
        )
    done = Restored(
        target,
        about["made_at"],
        about["lsloop"],
        {table: digest[0] for table, digest in about["ledger"].items()},
        address.read(own).place if own else "the embedded PostgreSQL",
        about["label_studio"] is not None and not environment.label_studio_url,
        dry_run=dry_run,
    )
    return done, own


def _refuse_occupied(here: Path, target: Path) -> None:
    there = [name for name in ("postgres", STUDIO) if (here / name).exists()]
    if there:
        raise UsageError(
            f"{target} has a ledger or a Label Studio already "
            f"({', '.join(str(here / name) for name in there)}).",
            "Restore with --into another folder; or stop the stack with `lsloop down`, "
            "and move .lsloop away.",
        )


def _settings(work: Path) -> Path:
    (work / SETTINGS).mkdir(exist_ok=True)
    return work / SETTINGS


def _put(
    work: Path,
    here: Path,
    about: dict[str, Any],
    own: str | None,
    has_studio: bool,
    say: Callable[[str], None],
) -> None:
    """Put back ledger and Label Studio.

    The ledger comes first: a Label Studio without it would get everything a second time.
    """
    say("Putting the ledger back")
    if own:
        put_back_ledger(own, work, about)
        migrations.upgrade(own)
    else:
        with scratch.running(work / "postgres") as url:
            put_back_ledger(url, work, about)
            migrations.upgrade(url)
        os.replace(work / "postgres", here / "postgres")
    if has_studio:
        say("Putting Label Studio back")
        os.replace(work / STUDIO, here / STUDIO)


def _put_settings(saved: Path, target: Path, done: Restored) -> None:
    for path in sorted(saved.rglob("*")):
        name = path.relative_to(saved)
        if not path.is_file():
            continue
        there = target / name
        if there.is_file() and there.read_bytes() == path.read_bytes():
            continue
        if there.exists():
            done.kept.append(str(name))
            there = there.with_name(there.name + ASIDE)
        there.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, there)
        there.chmod(0o600 if name.name == ".env" else 0o644)
        done.written.append(str(there.relative_to(target)))


def _put_state(saved: Path, here: Path) -> None:
    """Put back the secrets, so that links and webhooks go on.

    Of the running stack it puts back only the ports, which may be free again.
    """
    for name in ("secret", "api_token"):
        if (saved / name).is_file() and not (here / name).exists():
            files.write(here / name, (saved / name).read_text(encoding="utf-8"))
    if (saved / state.FILE).is_file():
        was = state.read(saved)
        state.update(here, **{name: was[name] for name in ("ports", "secret") if name in was})


def unpacked(file: Path, folder: Path) -> dict[str, Any]:
    """Unpack a backup into a folder, each part as it was.

    Raises LsloopError for a damaged file.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        with tarfile.open(file, "r:gz") as packed:
            packed.extractall(folder, filter="data")
        about: dict[str, Any] = json.loads((folder / PARTS).read_bytes())
        told = {name: part["sha256"] for name, part in about["parts"].items()}
    except FileNotFoundError as error:
        raise _damaged(file, f"it has no {PARTS}") from error
    except (
        tarfile.TarError,
        EOFError,
        zlib.error,
        OSError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
    ) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the disk, not the file
        raise _damaged(file, str(error)) from error
    wrong = [
        name
        for name, digest in told.items()
        if not (folder / name).is_file() or sha256(folder / name) != digest
    ]
    if wrong:
        raise _damaged(file, f"{wrong[0]} is not what was saved")
    return about


def _damaged(file: Path, why: str) -> LsloopError:
    return LsloopError(f"{file} is cut off or damaged: {why}.", "Use another backup; nothing was changed.")


def put_back_ledger(url: str, folder: Path, about: dict[str, Any]) -> None:
    """Fill an empty database from an unpacked backup, and compare.

    Raises LsloopError naming a table that differs.
    """
    saving.put_back(postgres.binary("pg_restore"), address.read(url), folder / LEDGER)
    saved = {table: tuple(digest) for table, digest in about["ledger"].items()}
    there = saving.digests(url)
    wrong = sorted(table for table in saved.keys() | there.keys() if saved.get(table) != there.get(table))
    if wrong:
        raise LsloopError(
            f"The ledger that was put back differs from the one saved: {', '.join(wrong[:5])}.", "Run again."
        )
