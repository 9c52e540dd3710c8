"""Options that several commands share.

Each has one name, one meaning and one help line.
"""

from typing import Annotated

import typer

from lsloop import machine
from lsloop.records import Order


def _known_task_types(incomplete: str) -> list[str]:
    from pathlib import Path

    from lsloop import config
    from lsloop.commands import _folder
    from lsloop.errors import LsloopError

    try:
        return [
            name
            for name in config.load(_folder.project(Path())).params.task_types
            if name.startswith(incomplete)
        ]
    except LsloopError:  # a completion has no way to complain
        return []


_task_type = typer.Option(
    "--task-type", "-t", metavar="T", help="A task type of params.yaml.", autocompletion=_known_task_types
)

TaskTypeOpt = Annotated[str | None, _task_type]
"""All task types when it is not given."""

NeededTaskTypeOpt = Annotated[str, _task_type]

LimitOpt = Annotated[
    int | None, typer.Option("--limit", "-n", metavar="N", min=1, help="No more than this many.")
]

OrderOpt = Annotated[Order | None, typer.Option("--order", help="Which samples go first.")]

DryRunOpt = Annotated[bool, typer.Option("--dry-run", help="Show what would be done, and do nothing.")]

ByOpt = Annotated[
    str | None,
    typer.Option("--by", metavar="NAME", help="Who decides this; the user of the machine when not given."),
]


def actor(by: str | None) -> str:
    """Name who decides: as given, or the user of the machine."""
    return by or machine.user()


YesOpt = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]

HostOpt = Annotated[str, typer.Option("--host", metavar="ADDRESS", help="The address to listen on.")]

PortOpt = Annotated[
    int, typer.Option("--port", metavar="PORT", min=0, max=65535, help="The port; 0: any free one.")
]
