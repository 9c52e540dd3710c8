"""One run of the command line: where it works, how it speaks, and its settings.

The settings are read when first asked for.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

import typer

from lsloop.commands import _folder
from lsloop.commands._output import Output

if TYPE_CHECKING:
    from lsloop.config import Config


@dataclass
class Call:
    """Context of every command, filled by the shared options before it runs."""

    directory: Path = Path()
    json: bool = False
    quiet: bool = False
    verbose: bool = False

    @classmethod
    def of(cls, ctx: typer.Context) -> Self:
        """The call that a command belongs to."""
        found: Self = ctx.find_root().obj
        return found

    @cached_property
    def out(self) -> Output:
        """Place where results, notes and progress go."""
        return Output(json=self.json, quiet=self.quiet)

    @cached_property
    def project(self) -> Path:
        """Find the project folder: the current one or the nearest above it.

        Raises UsageError.
        """
        return _folder.project(self.directory)

    @cached_property
    def config(self) -> "Config":
        """The settings of the project folder.

        Raises UsageError.
        """
        from lsloop import config

        found = config.load(self.project)
        for one in found.odd:
            self.out.warn(one)
        return found

    def path(self, given: Path) -> Path:
        """Resolve a path that the user typed.

        It is relative to where the command was called, as `git -C` does.
        """
        return self.directory / given
