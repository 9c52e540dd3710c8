"""Commands that are imported only when they run.

This keeps `lsloop --help` and completion fast.
"""

import importlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from lsloop.commands._call import Call
from lsloop.commands._shared import shared_options


class Row(NamedTuple):
    """One command: its name, `module:attribute`, its heading, and one line of help."""

    name: str
    target: str
    heading: str
    summary: str


class Lazy(TyperCommand):
    """A command by its row.

    Parsing its arguments is what imports it.
    """

    def __init__(self, row: Row) -> None:
        super().__init__(row.name, help=row.summary, rich_markup_mode=None)
        self.row = row

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        return self.load().make_context(info_name, args, parent, **extra)

    def load(self) -> TyperCommand | TyperGroup:
        """Import the command and give it the options that all commands share."""
        module, _, attribute = self.row.target.partition(":")
        return _dressed(_command(self.row.name, getattr(importlib.import_module(module), attribute)))


class Headed(TyperGroup):
    """A group whose help shows its commands under the headings of their rows."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        rows = [command.row for command in self.commands.values() if isinstance(command, Lazy)]
        width = max(len(row.name) for row in rows)
        for heading in dict.fromkeys(row.heading for row in rows):
            with formatter.section(heading):
                formatter.write_dl(
                    [(row.name.ljust(width), row.summary) for row in rows if row.heading == heading]
                )


class Helpful(TyperGroup):
    """Group that shows its help when none of its commands is named.

    It has no default command of its own.
    """

    def invoke(self, ctx: Any) -> Any:
        alone = not ctx._protected_args and not ctx.args
        if alone and not self.invoke_without_command and not Call.of(ctx).json:
            typer.echo(ctx.get_help())
            return None
        return super().invoke(ctx)


def build(app: typer.Typer, rows: Sequence[Row]) -> TyperGroup:
    """Build the command group of `app`, with one command per row.

    None of them is imported yet.
    """
    group = get_command(app)
    assert isinstance(group, TyperGroup)
    for row in rows:
        group.add_command(Lazy(row), row.name)
    group.help = _lines_kept(group.help)
    group.params.extend(shared_options())
    return group


def _command(name: str, target: typer.Typer | Callable[..., Any]) -> TyperCommand | TyperGroup:
    around = typer.Typer(add_completion=False, rich_markup_mode=None, callback=lambda: None)
    if isinstance(target, typer.Typer):
        around.add_typer(target, name=name, cls=Helpful)
    else:
        around.command(name)(target)
    group = get_command(around)
    assert isinstance(group, TyperGroup)
    made = group.commands[name]
    assert isinstance(made, TyperCommand | TyperGroup)
    return made


def _dressed(command: TyperCommand | TyperGroup) -> TyperCommand | TyperGroup:
    if isinstance(command, TyperGroup):
        command.no_args_is_help = False  # that would be told as an error: see `Helpful`
        for inner in command.commands.values():
            assert isinstance(inner, TyperCommand | TyperGroup)
            _dressed(inner)
    command.help = _lines_kept(command.help)
    command.params.extend(shared_options())
    return command


def _lines_kept(text: str | None) -> str | None:
    """Keep the `Example:` paragraph of help text from being wrapped.

    The mark for that is a line with a backspace.
    """
    return text.replace("\nExample:\n", "\n\b\nExample:\n") if text else text
