"""Command line: its commands, and the one place where errors become two lines.

An error becomes two lines and an exit code.

To add a command, write `commands/<name>.py` and one row in `COMMANDS`. The row points at a function, or at a
`typer.Typer()` where the command has subcommands. The module is imported only when its command runs (or shows
its own help), so it may import what it needs at the top; `lsloop --help` and shell completion read only the
table. A command

- begins `def status(ctx: typer.Context, task_type: TaskTypeOpt = None) -> None:` and takes its surroundings
  from `call = Call.of(ctx)`: `call.config`, `call.out`, `call.path(given)`; options come from `_options.py`;
- answers once, with `call.out.result(document, "text", Table(...))`, and raises `errors.LsloopError` when it
  cannot;
- when part of the work failed, still answers, naming what failed, then `raise typer.Exit(1)`;
- ends its docstring with a paragraph `Example:` and indented command lines below it.

Every command also takes -C, -v, --quiet and --json, before or after its name, without doing anything for it.
"""

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from lsloop import __version__
from lsloop.commands import _logs
from lsloop.commands._call import Call
from lsloop.commands._errors import explain, trouble_with_stdout
from lsloop.commands._lazy import Headed, Row, build

COMMANDS = (
    Row("init", "lsloop.commands.init:init", "Start", "Make a project folder ready to run."),
    Row(
        "templates", "lsloop.commands.templates:templates", "Start", "List label configs to begin a job from."
    ),
    Row("up", "lsloop.commands.up:up", "Start", "Start PostgreSQL, Label Studio, server and worker here."),
    Row("down", "lsloop.commands.up:down", "Start", "Stop what `up` started; the data stays."),
    Row("logs", "lsloop.commands.logs:logs", "Start", "Show what the services wrote."),
    Row("open", "lsloop.commands.open:open_", "Start", "Open Label Studio in the browser."),
    Row("demo", "lsloop.commands.demo:demo", "Start", "Run the whole loop on a small made-up dataset."),
    Row("ingest", "lsloop.commands.ingest:ingest", "The loop", "Read data/raw into the ledger."),
    Row(
        "predict", "lsloop.commands.predict:predict", "The loop", "Have a model pre-annotate waiting samples."
    ),
    Row("predictions", "lsloop.commands.predictions:app", "The loop", "Bring in what other models said."),
    Row("push", "lsloop.commands.push:push", "The loop", "Send samples to Label Studio."),
    Row("pull", "lsloop.commands.pull:pull", "The loop", "Bring annotations back into the ledger."),
    Row(
        "sync", "lsloop.commands.sync:sync", "The loop", "Run one cycle: files in, answers back, samples out."
    ),
    Row(
        "export", "lsloop.commands.export:export", "The loop", "Write what people accepted to data/reviewed."
    ),
    Row(
        "retrain", "lsloop.commands.retrain:retrain", "The loop", "Fine-tune a model; use it if it is better."
    ),
    Row("models", "lsloop.commands.models:app", "The loop", "See model versions; promote and roll back."),
    Row(
        "accuracy",
        "lsloop.commands.accuracy:accuracy",
        "The loop",
        "Show how right models are, held against people.",
    ),
    Row("loop", "lsloop.commands.loop:loop", "The loop", "Run rounds: predict, push, wait, pull, retrain."),
    Row("status", "lsloop.commands.status:status", "The loop", "Show connections, counts and locks."),
    Row("problems", "lsloop.commands.problems:problems", "The loop", "Show what was left out, and why."),
    Row(
        "conflicts", "lsloop.commands.conflicts:app", "People", "Decide where upstream and annotators differ."
    ),
    Row("locks", "lsloop.commands.locks:locks", "People", "Show who holds what, and why."),
    Row("gold", "lsloop.commands.gold:app", "People", "Keep samples with known answers, to measure people."),
    Row("annotators", "lsloop.commands.annotators:app", "People", "Show the accuracy of annotators."),
    Row("setup", "lsloop.commands.setup:setup", "Keep it running", "Create or verify Label Studio projects."),
    Row(
        "doctor",
        "lsloop.commands.doctor:doctor",
        "Keep it running",
        "Prove the round trip; say what is wrong.",
    ),
    Row(
        "backup",
        "lsloop.commands.backup:backup",
        "Keep it running",
        "Save people's work; prove it can be put back.",
    ),
    Row(
        "restore",
        "lsloop.commands.backup:restore",
        "Keep it running",
        "Put a backup into an empty project folder.",
    ),
    Row("db", "lsloop.commands.db:app", "Keep it running", "Upgrade or check the ledger's schema."),
    Row(
        "sync-daemon",
        "lsloop.commands.sync_daemon:daemon",
        "Keep it running",
        "Run a cycle every few minutes.",
    ),
    Row("watermark", "lsloop.commands.export:watermark", "Keep it running", "Tell DVC whether to export."),
    Row(
        "manifest",
        "lsloop.commands.export:manifest",
        "Keep it running",
        "Write the manifest of what was exported.",
    ),
    Row(
        "events",
        "lsloop.commands.events:events",
        "Keep it running",
        "Show the events that Label Studio sent.",
    ),
    Row("worker", "lsloop.commands.worker:worker", "Keep it running", "Handle events and do queued jobs."),
    Row("serve", "lsloop.commands.serve:serve", "Keep it running", "Serve health and media over HTTP."),
)

_HELP = """Close the loop between a dataset, its annotators and its models.

Example:
  lsloop init speech && lsloop -C speech up
  lsloop ingest && lsloop push --task-type transcript_correction
  lsloop pull && lsloop status
"""

app = typer.Typer(
    name="lsloop",
    cls=Headed,
    help=_HELP,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"lsloop {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """Carries --version; the help text is the application's."""


def main(args: Sequence[str] | None = None, rows: Sequence[Row] = COMMANDS) -> int:
    """Run one command line (default: this process's) and return its exit code.

    Every error ends here; a traceback is shown only with -v.
    """
    args = list(sys.argv[1:] if args is None else args) or ["--help"]
    call = Call(
        json="--json" in args, verbose="-v" in args or "--verbose" in args
    )  # for errors before parsing ends
    with trouble_with_stdout():
        _logs.blank()
        try:
            answer = build(app, rows).main(args, prog_name="lsloop", standalone_mode=False, obj=call)
            return answer if isinstance(answer, int) else 0
        except KeyboardInterrupt:
            return 130
        except Exception as error:  # the edge: whatever it is, it ends as two lines and an exit code
            return explain(error, call)
    return 1
