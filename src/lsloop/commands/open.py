"""`lsloop open`: the pages of a project, in the browser."""

import os
import sys
import webbrowser
from typing import Annotated

import typer

from lsloop.commands import _services
from lsloop.commands._call import Call
from lsloop.errors import UsageError

WhatArg = Annotated[
    str, typer.Argument(metavar="WHAT", help="studio, server, or a task type of params.yaml.")
]


def open_(ctx: typer.Context, what: WhatArg = "studio") -> None:
    """Print the address of Label Studio (or of lsloop's server, or where people annotate a task type), and
    open it.

    Without a display, or where nobody sits at a terminal, it is printed only.

    Example:
      lsloop open
      lsloop open transcript_correction
      lsloop open server
    """
    call = Call.of(ctx)
    url = _url(call, what)
    opened = _has_display() and not call.json and webbrowser.open(url)
    call.out.result({"url": url, "opened": opened}, url)


def _url(call: Call, what: str) -> str:
    config = call.config
    if what in ("studio", "label-studio", "label_studio"):
        return config.label_studio_url
    if what == "server":
        return config.media_url
    if what not in config.params.task_types and config.params.task_types:
        known = ", ".join(("studio", "server", *config.params.task_types))
        raise UsageError(f"There is no page called {what!r}.", f"Use one of: {known}.")
    name, _ = config.task_type(what)
    with _services.opened_ledger(config) as ledger:
        page = _services.page_of(ledger, config, name)
    if page is None:
        raise UsageError(
            f"{name} has no project in Label Studio yet.", f"Run `lsloop setup --task-type {name}`."
        )
    return page


def _has_display() -> bool:
    seat = (
        sys.platform in ("darwin", "win32") or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    )
    return bool(seat) and sys.stdout.isatty()
