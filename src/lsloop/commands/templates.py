"""`lsloop templates`: the gallery of label configs to begin a job from."""

from dataclasses import asdict
from typing import Annotated, Any

import typer

from lsloop import config, task_types
from lsloop.commands import _folder
from lsloop.commands._call import Call
from lsloop.commands._output import Table
from lsloop.stack import gallery, services

COLUMNS = ("template", "group", "reads", "writes", "measure", "predictions")


def templates(
    ctx: typer.Context,
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="Print the label config of this one.", show_default=False)
    ] = None,
) -> None:
    """List the templates of Label Studio's own gallery, and what a job made of each reads, writes and is measured by.

    Example:
      lsloop templates
      lsloop templates image-classification
      lsloop init --task-type vehicles --template object-detection-with-bounding-boxes
    """
    call = Call.of(ctx)
    env = services.environment_dir(config.load(_folder.nearest(call.directory) or call.directory))
    if name is not None:
        one = gallery.template(env, name)
        return call.out.result(asdict(one) | _described(one), one.config.rstrip())
    found = [asdict(one) | _described(one) for one in gallery.templates(env).values()]
    return call.out.result({"templates": found}, Table(COLUMNS, list(map(_row, found))))


def _described(one: gallery.Template) -> dict[str, Any]:
    return asdict(task_types.described(task_types.from_template(one.name, one.config)))


def _row(one: dict[str, Any]) -> tuple[str, ...]:
    reads, writes = ", ".join(one["reads"]), ", ".join(one["writes"])
    return one["name"], one["group"], reads, writes, one["measure"], "yes" if one["predictions"] else "no"
