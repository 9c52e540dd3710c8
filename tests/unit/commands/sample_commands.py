"""Commands that behave and misbehave, for the tests of the command line's face."""

import signal
from typing import Any

import typer

from lsloop.commands import Row
from lsloop.commands._call import Call
from lsloop.commands._options import LimitOpt, OrderOpt, TaskTypeOpt, YesOpt
from lsloop.commands._output import Table
from lsloop.errors import LsloopError, Unreachable, UsageError

PROBLEMS: dict[str, Exception] = {
    "refused": LsloopError("Label Studio refused\nthe tasks.", "Look at\nits log."),
    "wrong": UsageError("params.yaml is wrong.", "Correct it."),
    "unreachable": Unreachable("PostgreSQL does not answer.", "Run `lsloop up`."),
    "leaky": LsloopError("postgresql://me:hunter2@db/x said no; Token abcdef0123456789.", ""),
    "denied": PermissionError(13, "Permission denied", "/data/raw"),
    "bug": KeyError("sample_id"),
}

GROUP = typer.Typer(help="Two of them.", no_args_is_help=True)


def fail(ctx: typer.Context, how: str) -> None:
    """Fail."""
    raise PROBLEMS[how]


def report(
    ctx: typer.Context, task_type: TaskTypeOpt = None, limit: LimitOpt = None, order: OrderOpt = None
) -> None:
    """Answer, with a table.

    Example:
      lsloop report --limit 5
      lsloop report --order random
    """
    call = Call.of(ctx)
    call.out.note("looking")
    call.out.warn("one thing is odd")
    document = {
        "limit": limit,
        "order": order,
        "task_type": task_type,
        "directory": call.directory,
        "text": "giữa và 😀",
    }
    call.out.result(document, "giữa", Table(("name", "count"), [("[red]a\x1b[2J", 1234), ("b", None)]))


def part(ctx: typer.Context) -> None:
    """Answer although a part failed."""
    Call.of(ctx).out.result({"failed": ["b"]}, "b failed")
    raise typer.Exit(1)


def ask(ctx: typer.Context, yes: YesOpt = False) -> None:
    """Ask first."""
    if not yes:
        typer.confirm("Really?", abort=True)


def flood(ctx: typer.Context) -> None:
    """Say more than a pipe holds."""
    Call.of(ctx).out.result({}, "\n".join(["word"] * 200_000))


def wait(ctx: typer.Context) -> None:
    """Wait to be interrupted."""
    call = Call.of(ctx)
    with call.out.progress("Waiting", total=9) as progress:
        progress.advance(3)
        call.out.show("waiting")
        signal.pause()


def work(ctx: typer.Context) -> None:
    """Make progress."""
    with Call.of(ctx).out.progress("Sending", total=3) as progress:
        for _ in range(3):
            progress.advance()


@GROUP.command()
def one(ctx: typer.Context) -> None:
    """Do the one."""
    Call.of(ctx).out.result({"did": "one"}, "one")


@GROUP.command()
def two(ctx: typer.Context) -> None:
    """Do the other."""


_FUNCTIONS: tuple[Any, ...] = (fail, report, part, ask, flood, wait, work)

ROWS = (
    *(Row(f.__name__, f"sample_commands:{f.__name__}", "Samples", str(f.__doc__)) for f in _FUNCTIONS),
    Row("group", "sample_commands:GROUP", "Samples", "Two of them."),
    Row("missing", "no_such_module:missing", "Samples", "Not there."),
)
