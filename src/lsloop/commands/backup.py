"""`lsloop backup` and `lsloop restore`: people's work in one file, and back from it."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from lsloop.commands._call import Call
from lsloop.commands._options import DryRunOpt
from lsloop.commands._output import Table
from lsloop.config import STATE
from lsloop.running import backup as backups
from lsloop.running import restore as restoring
from lsloop.values.text import counted

HERE = Path(STATE) / "backups"


def backup(
    ctx: typer.Context,
    to: Annotated[
        Path | None, typer.Option("--to", metavar="DIR", help="Where to; .lsloop/backups when not given.")
    ] = None,
    keep: Annotated[
        int | None,
        typer.Option("--keep", metavar="N", min=1, help="Remove all but the newest N of this project."),
    ] = None,
) -> None:
    """Save the ledger, Label Studio and the settings into one file, while everything runs.

    A backup counts as made only when it was unpacked, put back into a PostgreSQL of its own and found equal,
    row for row. The file holds secrets: only you may read it. Media and models are not in it; it says who has
    them.

    Example:
      lsloop backup
      lsloop backup --to /mnt/backups --keep 7
    """
    call = Call.of(ctx)
    target = call.path(to) if to else call.config.project_dir / HERE
    done = backups.make(call.config, target, keep, call.out.note)
    rows = [("ledger", f"{_rows(done.rows)} in {counted(len(done.rows), 'table')}, put back and equal")]
    if done.label_studio:
        there = " and ".join(
            counted(done.label_studio.get(table, 0), name) for table, name in _PEOPLES.items()
        )
        rows.append(("Label Studio", f"{there}, looked through"))
    rows += [("not in it", said) for said in done.beside]
    rows += [("removed", path.name) for path in done.removed]
    title = f"{done.path} ({done.bytes / 1e6:.1f} MB, {done.seconds:.0f} s)"
    call.out.result({**vars(done), "proven": True}, Table(("what", "which"), rows, title=title))


_PEOPLES = {"task": "task", "task_completion": "annotation"}
"""Tables of Label Studio's store, and what a row of them is."""


def _rows(tables: dict[str, int]) -> str:
    return counted(sum(tables.values()), "row")


def restore(
    ctx: typer.Context,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="What `lsloop backup` made.", show_default=False)
    ],
    into: Annotated[
        Path | None,
        typer.Option("--into", metavar="DIR", help="The project folder; this one when not given."),
    ] = None,
    dry_run: DryRunOpt = False,
) -> None:
    """Put a backup into a folder that has no ledger yet; nothing that is there is overwritten.

    Settings that are there already stay; those of the backup are put beside them. Afterwards `lsloop up`
    starts it, and what people answered since the backup comes in by `lsloop pull`.

    Example:
      lsloop restore speech-20261127T120000Z.lsloop.tar.gz --into speech
    """
    call = Call.of(ctx)
    done = restoring.restore(
        call.path(file), call.path(into) if into else call.project, dry_run=dry_run, say=call.out.note
    )
    rows = [
        ("made", f"{datetime.fromisoformat(done.made_at):%Y-%m-%d %H:%M} UTC by lsloop {done.version}"),
        ("ledger", f"{_rows(done.rows)}, in {done.ledger}"),
        ("Label Studio", "the embedded one, as saved" if done.has_studio else "not in it; where it was"),
        *(("written", name) for name in done.written),
        *(("kept as it was", f"{name}; the one of the backup is beside it") for name in done.kept),
    ]
    title = f"{'would be ' if dry_run else ''}restored into {done.target}"
    following = [] if dry_run else ["Next: `lsloop up`, then `lsloop pull --full` and `lsloop doctor`."]
    call.out.result(done, Table(("what", "which"), rows, title=title), *following)
