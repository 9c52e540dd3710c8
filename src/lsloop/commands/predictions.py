"""`lsloop predictions`: what models elsewhere said, brought into the ledger."""

from pathlib import Path
from typing import Annotated

import typer

from lsloop import loop
from lsloop.commands._call import Call
from lsloop.commands._options import NeededTaskTypeOpt
from lsloop.commands._services import opened_ledger
from lsloop.errors import UsageError
from lsloop.values.text import counted

app = typer.Typer(
    no_args_is_help=True,
    help="""Bring predictions of other tools into the ledger; the next push shows them to annotators.

Example:
  lsloop predictions import said.jsonl -t transcript_correction
""",
)


@app.callback()
def predictions() -> None:
    """Carries the help text of the group."""


@app.command("import")
def import_(
    ctx: typer.Context,
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE…", help="JSON lines, also gzip.", show_default=False)
    ],
    task_type: NeededTaskTypeOpt,
    version: Annotated[
        str | None, typer.Option("--version", metavar="V", help="The model version of lines that have none.")
    ] = None,
) -> None:
    """Write down the predictions of files, checked as a model's own are; the same again changes nothing.

    A line is {"external_id": "…", "model_version": "…", "score": 0.9} with a "value" (an object of fields) or
    a "result" as Label Studio has it; "source" or "sample_id" where an external id is not enough. A line that
    cannot be taken is named, the others go on, and the exit code is 1.

    Example:
      lsloop predictions import said.jsonl -t transcript_correction
      lsloop predictions import *.jsonl.gz -t candidates --version gpt-5
    """
    call = Call.of(ctx)
    paths = [call.path(file) for file in files]
    for path in paths:
        if not path.is_file():
            raise UsageError(f"There is no file {path}.", "Give files of JSON lines.")
    with opened_ledger(call.config) as ledger, call.out.progress("Reading lines") as progress:
        done = {
            str(path): loop.import_predictions(
                ledger, call.config, task_type, path, version, progress.advance
            )
            for path in paths
        }
    new, changed, same, failed = (
        sum(getattr(one, name) for one in done.values()) for name in ("new", "changed", "same", "failed")
    )
    told = (
        f"{counted(new, 'new prediction')}, {changed:,} changed, {same:,} known already, "
        f"{failed:,} not taken."
    )
    call.out.result({"files": done}, told)
    for path_, one in done.items():
        for problem in one.problems[:5]:
            call.out.warn(f"{path_}, {problem}.")
    if failed:
        raise typer.Exit(1)
