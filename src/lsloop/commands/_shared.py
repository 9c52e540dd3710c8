"""The options that every command takes, before or after its name."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.main import get_command

from lsloop.commands._call import Call


def shared_options() -> list[Any]:
    """Return the parameters to add to a command.

    What they are given is found in its `Call`.
    """
    only = typer.Typer(add_completion=False)
    only.command()(_shared)
    return list(get_command(only).params)


def _remember(name: str) -> Callable[[typer.Context, Any], None]:
    def remember(ctx: typer.Context, value: Any) -> None:
        if value and not ctx.resilient_parsing:
            setattr(Call.of(ctx), name, value)

    return remember


def _be_verbose(ctx: typer.Context, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        from lsloop.commands import _logs

        _logs.show()
        Call.of(ctx).verbose = True


def _flag(
    *names: str,
    told: Callable[[typer.Context, bool], None],
    help: str,  # noqa: A002 - Typer's word
) -> Any:
    return typer.Option(*names, help=help, callback=told, expose_value=False)


_directory = typer.Option(
    "-C",
    "--directory",
    metavar="DIR",
    exists=True,
    file_okay=False,
    help="Work in this project folder.",
    callback=_remember("directory"),
    expose_value=False,
)


def _shared(
    directory: Annotated[Path | None, _directory] = None,
    verbose: Annotated[
        bool, _flag("-v", "--verbose", told=_be_verbose, help="Show logs and tracebacks.")
    ] = False,
    quiet: Annotated[
        bool, _flag("-q", "--quiet", told=_remember("quiet"), help="No progress and no notes.")
    ] = False,
    json: Annotated[bool, _flag("--json", told=_remember("json"), help="Print one JSON document.")] = False,
) -> None:
    """Carries the options; never runs."""
