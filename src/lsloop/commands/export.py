"""Command `lsloop export`: what people accepted, for training.

The two small commands that DVC runs around it are here, too.
"""

from pathlib import Path
from typing import Annotated

import orjson
import typer

from lsloop import loop
from lsloop.commands._call import Call
from lsloop.commands._options import DryRunOpt, LimitOpt, TaskTypeOpt
from lsloop.commands._output import Output, Table
from lsloop.commands._services import opened_ledger
from lsloop.dataset import trees
from lsloop.steps import export as step
from lsloop.values.text import counted

OutputDirOpt = Annotated[
    Path | None,
    typer.Option("--output-dir", "-o", metavar="DIR", help="Where to; data/reviewed when not given."),
]


def export(
    ctx: typer.Context,
    task_type: TaskTypeOpt = None,
    limit: LimitOpt = None,
    output_dir: OutputDirOpt = None,
    include_exported: Annotated[
        bool, typer.Option("--include-exported", help="Write again what was exported before, too.")
    ] = False,
    dry_run: DryRunOpt = False,
    no_manifest: Annotated[bool, typer.Option("--no-manifest", help="Leave manifest.json as it is.")] = False,
    layout: Annotated[
        str,
        typer.Option(
            "--format", "-f", metavar="F", help="tree, jsonl, hf, shards, asr, images, coco, voc or yolo."
        ),
    ] = "tree",
) -> None:
    """Write what people accepted and still stands into a folder that changes as a whole.

    Only what changed is written; what was withdrawn goes. --limit bounds how many samples come in new. Gold
    is marked and never among training rows. Without --task-type, every task type of params.yaml.

    Example:
      lsloop export
      lsloop export -t transcript_correction --format hf --output-dir build/data
    """
    call = Call.of(ctx)
    with opened_ledger(call.config) as ledger, call.out.progress("Exporting") as progress:
        done = loop.export(
            ledger,
            call.config,
            task_type=task_type,
            target=call.path(output_dir) if output_dir else None,
            layout=layout,
            limit=limit,
            again=include_exported,
            with_manifest=not no_manifest,
            dry_run=dry_run,
            progress=loop.Progress(
                progress.expect,
                progress.advance,
                lambda: call.out.note("Another export is at work; waiting for it."),
            ),
        )
    _answer(call.out, done, dry_run)
    if any(part.problems for part in done.task_types.values()):
        raise typer.Exit(1)


def _answer(out: Output, done: step.Exported, dry_run: bool) -> None:
    columns = ("task type", "samples", "new", "changed", "removed", "written", "waiting", "left out")
    rows = [
        (name, p.samples, p.added, p.changed, p.removed, p.written, p.waiting, len(p.problems))
        for name, p in done.task_types.items()
    ]
    title = f"would be in {done.target}" if dry_run else f"in {done.target}"
    out.result({"dry_run": dry_run, **vars(done)}, Table(columns, rows, title=title))
    for name, part in done.task_types.items():
        for problem in part.problems[:5]:
            out.warn(f"{name}: {problem}")
        if part.problems:
            out.warn(
                f"{counted(len(part.problems), 'sample')} of {name} left out. "
                "Run `lsloop ingest`, then export again."
            )


def watermark(
    ctx: typer.Context,
    path: Annotated[Path, typer.Argument(help="The file to write.", metavar="FILE")] = Path(
        "data/watermark.json"
    ),
) -> None:
    """Write a small file that changes exactly when an export would: the DVC stage `ledger_watermark`.

    Example:
      lsloop watermark
    """
    call = Call.of(ctx)
    with opened_ledger(call.config) as ledger:
        found = loop.watermark(ledger, call.config)
    file = call.path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    trees.write_whole(file, orjson.dumps(found, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    rows = [(name, said["samples"], said["digest"]) for name, said in found.items()]
    call.out.result(found, Table(("task type", "reviewed", "digest"), rows))


def manifest(ctx: typer.Context, output_dir: OutputDirOpt = None) -> None:
    """Write manifest.json of an exported folder, from what lies there: the DVC stage `generate_manifest`.

    Example:
      lsloop manifest
    """
    call = Call.of(ctx)
    written = step.write_manifest(call.path(output_dir) if output_dir else call.config.reviewed_dir)
    call.out.result(orjson.loads(written.read_bytes()), str(written))
