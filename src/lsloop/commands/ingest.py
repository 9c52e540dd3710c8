"""`lsloop ingest`: upstream's rows and media into the ledger."""

from pathlib import Path
from typing import Annotated

import typer

from lsloop import dvc, loop
from lsloop.commands._call import Call
from lsloop.commands._options import DryRunOpt
from lsloop.commands._output import Output, Table
from lsloop.commands._services import opened_ledger
from lsloop.progress import Progress
from lsloop.steps import sample
from lsloop.values.text import counted

_SHOWN = 20  # refused lines that people are shown; --json has all


def ingest(
    ctx: typer.Context,
    path: Annotated[
        Path | None,
        typer.Argument(metavar="PATH", help="A metadata.jsonl; data/raw/metadata.jsonl by default."),
    ] = None,
    prune: Annotated[
        bool, typer.Option("--prune", help="Mark samples that are no longer there as deleted.")
    ] = False,
    dry_run: DryRunOpt = False,
) -> None:
    """Read metadata.jsonl and its media into the ledger; only what changed is written.

    Media paths are relative to data/raw. A bad line is refused with its number and reason, the others go in,
    and the exit code is 1.

    Example:
      lsloop ingest
      lsloop ingest data/raw/metadata.jsonl --dry-run
    """
    call = Call.of(ctx)
    file = call.path(path) if path else call.config.raw_dir / "metadata.jsonl"
    with opened_ledger(call.config) as ledger, call.out.progress("Reading lines and media") as progress:
        done = sample.ingest(
            ledger,
            file,
            raw_dir=call.config.raw_dir,
            kinds=loop.kinds_of(call.config),
            links_to=lambda: loop.links_to(call.config),
            prune=prune,
            dry_run=dry_run,
            commit=dvc.data_commit(call.config.project_dir),
            progress=Progress(progress.expect, progress.advance),
        )
    _answer(call.out, done, dry_run)
    if done.refused or done.unread:
        raise typer.Exit(1)


def _answer(out: Output, done: sample.Ingested, dry_run: bool) -> None:
    u = done.upserted
    rows = [
        ("added", u.added), ("changed", u.changed), ("unchanged", u.unchanged),
        ("refused lines", len(done.refused)),
        ("no longer upstream", u.missing), ("marked as deleted", u.pruned), ("media files read", done.hashed),
    ]  # fmt: skip
    refused = Table(("line", "refused because"), [(bad.line, bad.reason) for bad in done.refused[:_SHOWN]])
    more = len(done.refused) - _SHOWN
    out.result(
        {"dry_run": dry_run, **vars(done)},
        Table(("samples", "would be" if dry_run else "now"), rows),
        *([refused] if done.refused else []),
        *(
            [Table(("sample", "media cannot be read because"), list(done.unread.items())[:_SHOWN])]
            if done.unread
            else []
        ),
        *([f"… and {more:,} more; --json has all of them."] if more > 0 else []),
    )
    if u.missing and not u.pruned:
        out.warn(_missing(u.missing, done.prune_refused))


def _missing(count: int, prune_refused: bool) -> str:
    if prune_refused:
        return (
            f"Not in the file: {counted(count, 'sample')}. "
            "Nothing was pruned, because a refused line may be one of them."
        )
    return (
        f"Not in the file: {counted(count, 'sample')} of the ledger. "
        "--prune marks as deleted what is not in the file."
    )
