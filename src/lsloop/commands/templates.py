"""`lsloop templates`: the gallery of label configs to begin a job from."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any

import typer

from lsloop import config, task_types
from lsloop.commands import _folder
from lsloop.commands._call import Call
from lsloop.commands._output import Table
from lsloop.stack import gallery, services

SHOWN = 1  # fields of a template that people are told; some have dozens

COLUMNS = ("template", "group", "reads", "writes", "measure", "predictions")


def templates(
    ctx: typer.Context,
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="Print the label config of this one.", show_default=False),
    ] = None,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="As a page in Markdown: docs/templates.md.")
    ] = False,
) -> None:
    """List the templates of Label Studio's own gallery, and what a job made of each reads, writes and is
    measured by.

    Example:
      lsloop templates
      lsloop templates image-classification
      lsloop init --task-type weather --template image-classification
    """
    call = Call.of(ctx)
    env = services.environment_dir(config.load(_folder.nearest(call.directory) or call.directory))
    if name is not None:
        one = gallery.template(env, name)
        return call.out.result(asdict(one) | _described(one), one.config.rstrip())
    found = [asdict(one) | _described(one) for one in gallery.templates(env).values()]
    shown = [_page(list(map(_row, found)))] if markdown else _tables(found)
    return call.out.result({"templates": found}, *shown)


def _described(one: gallery.Template) -> dict[str, Any]:
    return asdict(task_types.described(task_types.from_template(one.name, one.config)))


def _row(one: dict[str, Any]) -> tuple[str, ...]:
    reads, writes = ", ".join(one["reads"]), ", ".join(one["writes"])
    return one["name"], one["group"], reads, writes, one["measure"], "yes" if one["predictions"] else "no"


def _tables(found: Sequence[dict[str, Any]]) -> list[str | Table]:
    """A table for each group; --json names all that a template reads and writes."""
    parts: list[str | Table] = []
    for group in dict.fromkeys(one["group"] for one in found):
        rows = [
            (one["name"], _few(one["reads"]), _few(one["writes"]), one["measure"].rpartition(" ")[2])
            for one in found
            if one["group"] == group
        ]
        parts.append(Table(("template", "reads", "writes", "errors in"), rows, title=group))
    return parts


def _few(names: Sequence[str]) -> str:
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")


def _page(rows: Sequence[tuple[str, ...]]) -> str:
    columns = [column for column in COLUMNS if column != "group"]
    lines = [PAGE, ""]
    for group in dict.fromkeys(row[1] for row in rows):
        lines += [f"## {group}", "", _line(columns), _line(["---"] * len(columns))]
        lines += [_line((f"`{row[0]}`", *row[2:])) for row in rows if row[1] == group] + [""]
    return "\n".join(lines).rstrip()


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


PAGE = """\
# Templates

What `lsloop templates` lists: the label configs of Label Studio's own gallery, each of which is a job by

    lsloop init --task-type NAME --template TEMPLATE

*Reads* are the sample fields that an annotator is shown (`media`: the media file), *writes* those that an
answer sets, *measure* how an answer is held against gold and against other answers, *predictions* whether a
model may answer all of it. How answers look and are compared: [jobs](guides/jobs.md). Made by
`make templates`; a test holds that it is up to date."""
