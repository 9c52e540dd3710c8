"""Backup of ledger, Label Studio and settings in one file, proven by a restore.

It is made while everything runs, and counts as made only once it was put back.

What is in the file is what `parts.json` says, each part with its SHA-256. The ledger is saved first, Label
Studio after it: a task that came between is one that Label Studio has and the ledger does not know, which the
next push or pull adopts.
"""

import json
import shutil
import tarfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lsloop import __version__, ledger
from lsloop.config import Config
from lsloop.errors import LsloopError
from lsloop.ledger import migrations, saving
from lsloop.models import sha256
from lsloop.running.restore import LEDGER, PARTS, SETTINGS, STATE, STUDIO, put_back_ledger, unpacked
from lsloop.stack import files, postgres, scratch, state, store, studio_env
from lsloop.values.text import counted

ENDING = ".lsloop.tar.gz"
KEPT = ("params.yaml", ".env", "dvc.yaml", "dvc.lock", ".dvc/config", ".dvc/config.local", ".gitignore")
KEPT_STATE = ("secret", "api_token", "stack.json")
NOT_IN_IT = ("data/raw", "data/reviewed", "models")

Say = Callable[[str], None]


@dataclass(frozen=True)
class Backup:
    """Backup that was proven.

    `rows` of the ledger and of Label Studio by table; `beside` says what is not in it.
    """

    path: Path
    made_at: datetime
    version: str
    bytes: int
    seconds: float
    rows: dict[str, int]
    label_studio: dict[str, int]
    beside: list[str] = field(default_factory=list)
    removed: list[Path] = field(default_factory=list)


def make(config: Config, target: Path, keep: int | None, say: Say) -> Backup:
    """Save all, put it back in a PostgreSQL of its own, compare, then name the file.

    Raises LsloopError; then there is no new file, and the old ones are as they were.
    """
    began = datetime.now(UTC)
    name = f"{config.project_dir.resolve().name}-{began:%Y%m%dT%H%M%SZ}{ENDING}"
    with _named_if_full(target), files.work_folder(_made(target)) as work:
        parts = work / "parts"
        parts.mkdir()
        say("Saving the ledger")
        digests = _save_ledger(config, parts / LEDGER)
        studio = _save_studio(config, parts / STUDIO, say)
        _save_settings(config, parts)
        about = {
            "made_at": began.isoformat(), "lsloop": __version__, "migrations": migrations.shipped(),
            "ledger": digests, "label_studio": studio, "parts": _hashed(parts),
        }  # fmt: skip
        (parts / PARTS).write_text(json.dumps(about, indent=2))  # names of files need not be UTF-8
        half = work / name
        say("Packing")
        _pack(parts, half)
        say("Putting it back in a PostgreSQL of its own, to see that it is whole")
        _prove(half, work / "proof")
        half.chmod(0o600)
        path = half.replace(target / name)
    removed = _thin(target, config, keep) if keep else []
    done = Backup(
        path, began, __version__, path.stat().st_size, (datetime.now(UTC) - began).total_seconds(),
        {table: rows for table, (rows, _) in digests.items()}, studio or {}, _beside(config, studio), removed,
    )  # fmt: skip
    _write_down(config, done)
    return done


def _made(target: Path) -> Path:
    target.mkdir(mode=0o700, parents=True, exist_ok=True)
    return target


def _write_down(config: Config, done: Backup) -> None:
    about = {"path": str(done.path.resolve()), "made_at": done.made_at.isoformat(), "bytes": done.bytes}
    state.prepare(config.state_dir)
    files.write(config.state_dir / state.BACKUP, json.dumps(about))


@contextmanager
def _named_if_full(target: Path) -> Iterator[None]:
    """Name the folder of the backups where the disk is full or may not be written."""
    try:
        yield
    except OSError as error:
        what = ": ".join(str(part) for part in (error.filename, error.strerror or error) if part)
        raise LsloopError(
            f"The backup could not be written to {target}: {what}.",
            "Make room or choose another folder; what was there before is as it was.",
        ) from error


def _save_ledger(config: Config, file: Path) -> saving.Digests:
    with closing(ledger.connect(config.database_url)) as opened, saving.moment(opened) as moment:
        saving.dump(postgres.binary("pg_dump"), opened.address, moment.snapshot, file)
        return moment.digests


def _save_studio(config: Config, target: Path, say: Say) -> store.Counts | None:
    data = config.state_dir / "label-studio"
    if config.environment.label_studio_url or not (data / studio_env.STORE).is_file():
        return None
    say("Saving Label Studio")
    return store.copy(data, target)


def _save_settings(config: Config, parts: Path) -> None:
    for base, names, folder in (
        (config.project_dir, KEPT, SETTINGS),
        (config.state_dir, KEPT_STATE, STATE),
    ):
        for name in names:
            _copy(base / name, parts / folder / name)
    for pattern in ("*.dvc", "data/**/*.dvc", "models/*.dvc", "label_studio_templates/*"):
        for path in config.project_dir.glob(pattern):
            _copy(path, parts / SETTINGS / path.relative_to(config.project_dir))


def _copy(path: Path, target: Path) -> None:
    if path.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)


def _hashed(parts: Path) -> dict[str, dict[str, Any]]:
    found = [path for path in sorted(parts.rglob("*")) if path.is_file()]
    return {
        str(path.relative_to(parts)): {"bytes": path.stat().st_size, "sha256": sha256(path)} for path in found
    }  # fmt: skip


def _pack(parts: Path, file: Path) -> None:
    with tarfile.open(file, "w:gz", compresslevel=3) as packed:
        packed.add(parts / PARTS, PARTS)
        for path in sorted(parts.rglob("*")):
            if path.is_file() and path.name != PARTS:
                packed.add(path, str(path.relative_to(parts)))


def _prove(file: Path, folder: Path) -> None:
    """Unpack the backup, put the ledger back, and compare every table.

    Each is compared with what it was. Raises LsloopError naming what differs.
    """
    about = unpacked(file, folder)
    with scratch.running(folder / "postgres") as url:
        put_back_ledger(url, folder, about)
        migrations.upgrade(url)
    if about["label_studio"] is not None and store.look_through(folder / STUDIO) != about["label_studio"]:
        raise LsloopError("Label Studio's store differs in the backup.", "Run again.")


def _thin(target: Path, config: Config, keep: int) -> list[Path]:
    """Remove the oldest backups of this project, so that `keep` are left."""
    ours = sorted(target.glob(f"{config.project_dir.resolve().name}-????????T??????Z{ENDING}"))
    for path in ours[:-keep]:
        path.unlink()
    return ours[:-keep]


def _beside(config: Config, studio: store.Counts | None) -> list[str]:
    """Tell what is not in a backup, and who has it."""
    said = (
        [] if studio is not None else ["Label Studio: it is not the embedded one; back it up where it runs"]
    )
    for name in NOT_IN_IT:
        folder = config.project_dir / name
        found = [path for path in folder.rglob("*") if path.is_file()] if folder.is_dir() else []
        if found:
            has_dvc = folder.with_name(f"{folder.name}.dvc").is_file() or _is_out(config.project_dir, name)
            whose = (
                "DVC has it; `dvc push` keeps a copy elsewhere"
                if has_dvc
                else "nothing else has it: `dvc add` it"
            )
            said.append(f"{name}: {counted(len(found), 'file')} ({whose})")
    return said


def _is_out(project: Path, name: str) -> bool:
    stages = project / "dvc.yaml"
    return stages.is_file() and name in stages.read_text(encoding="utf-8", errors="replace")
