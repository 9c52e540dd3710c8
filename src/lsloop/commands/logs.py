"""`lsloop logs`: what the services that `lsloop up` runs have written."""

import time
from collections import deque
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from lsloop.commands._call import Call
from lsloop.commands._output import Table
from lsloop.config import STATE
from lsloop.errors import UsageError
from lsloop.secrecy import without_secrets
from lsloop.values.text import counted

GLANCE = 0.2  # seconds between two looks at a log that is followed
SHOWN = 50  # lines
ALIASES = {
    "label_studio": "label-studio",
    "studio": "label-studio",
    "postgresql": "postgres",
    "serve": "server",
}

ServiceArg = Annotated[
    str | None,
    typer.Argument(
        metavar="SERVICE", help="up, label-studio, postgres, server or worker.", show_default=False
    ),
]


def logs(
    ctx: typer.Context,
    service: ServiceArg = None,
    follow: Annotated[
        bool, typer.Option("--follow", help="Go on with what is written, until Ctrl-C.")
    ] = False,
    lines: Annotated[
        int | None,
        typer.Option("--lines", metavar="N", min=0, help="How many of the last lines; 50 if not said."),
    ] = None,
) -> None:
    """Show the last lines of a service's log; without SERVICE, which logs there are.

    The logs are in .lsloop/logs. `up` is that of the command itself, when it runs in the background: it says
    which service ended and was started again.

    Example:
      lsloop logs
      lsloop logs label-studio --lines 100
      lsloop logs worker --follow
    """
    call = Call.of(ctx)
    folder = call.project / STATE / "logs"
    if service is None:
        if follow or lines is not None:
            raise UsageError("--lines and --follow are for the log of one service.", _which(folder))
        return _list(call, folder)
    path = _path(folder, service)
    with path.open("rb") as file:
        last = [_line(text) for text in deque(file, maxlen=SHOWN if lines is None else lines)]
        if not follow:
            return call.out.result({"service": path.stem, "path": path, "lines": last}, *last)
        for text in last:
            call.out.again({"line": text}, text)
        for text in _more(path, file.tell()):
            call.out.again({"line": text}, text)
    return None


def _list(call: Call, folder: Path) -> None:
    found = [(path.stem, path, path.stat()) for path in sorted(folder.glob("*.log"))]
    document = [{"service": name, "path": path, "bytes": at.st_size} for name, path, at in found]
    if not found:
        return call.out.result({"logs": []}, "No logs yet: `lsloop up` starts the services that write them.")
    rows = [(name, counted(at.st_size, "byte"), _when(at.st_mtime), str(path)) for name, path, at in found]
    return call.out.result({"logs": document}, Table(("service", "size", "last written", "file"), rows))


def _when(moment: float) -> str:
    return datetime.fromtimestamp(moment).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _path(folder: Path, service: str) -> Path:
    names = [path.stem for path in sorted(folder.glob("*.log"))]
    name = ALIASES.get(service.lower(), service.lower())
    if name not in names:
        raise UsageError(f"There is no log of {service!r} here.", _which(folder))
    return folder / f"{name}.log"


def _which(folder: Path) -> str:
    names = [path.stem for path in sorted(folder.glob("*.log"))]
    return f"Use one of: {', '.join(names)}." if names else "Run `lsloop up`, which starts the services."


def _more(path: Path, begin: int) -> Iterator[str]:
    """Yield the lines that are written after `begin`, without end.

    A log that was put aside goes on with its successor.
    """
    while True:
        if path.is_file() and path.stat().st_size < begin:
            begin = 0
        if path.is_file():
            with path.open("rb") as file:
                file.seek(begin)
                for text in file:
                    if not text.endswith(b"\n"):  # half a line: the next look has all of it
                        break
                    begin += len(text)
                    yield _line(text)
        time.sleep(GLANCE)


def _line(text: bytes) -> str:
    return without_secrets(text.decode("utf-8", "replace").rstrip("\r\n"))
