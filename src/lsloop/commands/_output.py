"""Results on stdout, everything else on stderr.

Rich is imported only to draw something.
"""

import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO
from uuid import UUID

from lsloop.commands._tables import Marked, Table, drawn, wrapped
from lsloop.values.text import counted, visible

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["Marked", "Output", "Progress", "Table", "console", "drawn"]


class Output:
    """Voice of a command: `result` once, `note`, `warn` and `progress` on the way."""

    def __init__(self, *, json: bool = False, quiet: bool = False) -> None:
        self.json = json
        self.quiet = quiet
        self._answered = False

    def result(self, document: Any, *shown: str | Table) -> None:
        """Print the answer, once per command: with --json the document, else `shown`.

        The items of `shown` are printed in turn. Dataclasses, UUIDs, times and paths are fine in the
        document.
        """
        if self._answered:
            raise RuntimeError("a command answers once")
        self._answered = True
        if self.json:
            return _line(_as_json(document), sys.stdout)
        for part in shown:
            self.show(part)
        return None

    def again(self, document: Any, *shown: str | Table) -> None:
        """Print an answer that is given again and again.

        With --json it is one line, so that a reader can tell one from the next. On a terminal each takes the
        place of the one before, as far as the window is high.
        """
        if self.json:
            return _line(_as_json(document, indent=None), sys.stdout)
        if _is_terminal(sys.stdout):
            return _screen([line for part in shown for line in _lines(part)])
        for part in shown:
            self.show(part)
        return None

    def show(self, part: str | Table) -> None:
        """Print something for people on stdout; nothing with --json."""
        if self.json:
            return None
        if isinstance(part, str):
            return _said(visible(part), sys.stdout)
        target = console(sys.stdout)
        width = target.width if target.is_terminal else None
        return target.print(drawn(part, coloured=target.is_terminal and not target.no_color, width=width))

    def note(self, text: str) -> None:
        """Say what is going on, on stderr; nothing with --quiet."""
        if not self.quiet:
            _said(visible(text), sys.stderr)

    def warn(self, text: str) -> None:
        """Warn on stderr of what the user should look at; the command goes on.

        It is shown also with --quiet.
        """
        _said(visible(text), sys.stderr, "Warning: ", "33")

    def error(self, problem: str, fix: str, exit_code: int) -> None:
        """Print an error as two lines on stderr.

        With --json it is also printed as a document, so that a reader of stdout always finds one.
        """
        _said(visible(problem), sys.stderr, "Error: ", "31")
        if fix:
            _said(visible(fix), sys.stderr, "→ ", "36")
        if self.json and not self._answered:
            self.result({"error": {"problem": problem, "fix": fix, "exit_code": exit_code}})

    def trace(self, text: str) -> None:
        """Show a traceback on stderr."""
        _line(visible(text.rstrip()), sys.stderr)

    @contextmanager
    def progress(self, label: str, total: int | None = None) -> Iterator["Progress"]:
        """Show progress: a bar on a terminal, else a line every few seconds.

        One more line comes at the end. Give `advance` to the step:

        with out.progress("Pushing", total=5000) as progress:
            task.push(..., advance=progress.advance)
        """
        if self.quiet:
            yield Progress()
        elif _is_terminal(sys.stderr):
            with _bars() as bars:
                yield _Bar(bars, label, total)
        else:
            lines = _Lines(label, total)
            yield lines
            lines.end()


class Progress:
    """Record of what has been done so far.

    This one is silent.
    """

    def advance(self, done: int = 1) -> None:
        """So many more are done."""

    def expect(self, total: int) -> None:
        """So many there are altogether, once that is known."""


class _Bar(Progress):
    def __init__(self, bars: Any, label: str, total: int | None) -> None:
        self._bars, self._task = bars, bars.add_task(visible(label), total=total)

    def advance(self, done: int = 1) -> None:
        self._bars.advance(self._task, done)

    def expect(self, total: int) -> None:
        self._bars.update(self._task, total=total)


class _Lines(Progress):
    every = 5.0  # seconds

    def __init__(self, label: str, total: int | None) -> None:
        self._label, self._total, self._done, self._said = visible(label), total, 0, time.monotonic()

    def advance(self, done: int = 1) -> None:
        self._done += done
        if time.monotonic() - self._said >= self.every:
            self.end()

    def expect(self, total: int) -> None:
        self._total = total

    def end(self) -> None:
        of = "" if self._total is None else f" of {self._total:,}"
        _line(f"{self._label}: {self._done:,}{of}", sys.stderr)
        self._said = time.monotonic()


def console(stream: TextIO) -> "Console":
    """Open a Rich console on `stream`.

    Lines are never cut or folded where no terminal reads them.
    """
    from rich.console import Console

    width = None if stream.isatty() else 10_000
    return Console(file=stream, highlight=False, markup=False, emoji=False, width=width)


def _lines(part: str | Table) -> list[str]:
    """Render what `show` would print on a terminal, line by line."""
    target = console(sys.stdout)
    if isinstance(part, str):
        return wrapped(visible(part), target.width).split("\n")
    with target.capture() as drawing:
        target.print(drawn(part, coloured=not target.no_color, width=target.width))
    return drawing.get().removesuffix("\n").split("\n")


def _screen(lines: Sequence[str]) -> None:
    """Draw over what the terminal shows.

    What has no room is counted in the last line.
    """
    room = console(sys.stdout).height - 1
    if len(lines) > room:
        hidden = len(lines) - room + 1
        lines = [*lines[: room - 1], f"… {counted(hidden, 'more line')}: a higher window shows them."]
    sys.stdout.write("\033[H" + "".join(f"{line}\033[K\n" for line in lines) + "\033[J")
    sys.stdout.flush()


def _bars() -> Any:
    from rich import progress

    return progress.Progress(
        progress.TextColumn("{task.description}", markup=False),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TimeRemainingColumn(elapsed_when_finished=True),
        console=console(sys.stderr),
    )


def _is_terminal(stream: TextIO) -> bool:
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def _said(text: str, stream: TextIO, mark: str = "", colour: str = "") -> None:
    """Print lines for people, after a mark in colour.

    On a terminal they are broken at blanks where they are too wide for it.
    """
    if not _is_terminal(stream):
        return _line(mark + text, stream)
    shown = wrapped(mark + text, console(stream).width)
    if mark and not os.environ.get("NO_COLOR"):
        shown = f"\033[{colour}m{mark.rstrip()}\033[0m{shown.removeprefix(mark.rstrip())}"
    return _line(shown, stream)


def _as_json(document: Any, indent: int | None = 2) -> str:
    unicode = (sys.stdout.encoding or "utf-8").lower().replace("-", "").startswith("utf8")
    return json.dumps(document, default=_plain, ensure_ascii=not unicode, indent=indent, allow_nan=False)


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, UUID | Path):
        return str(value)
    if isinstance(value, set | frozenset):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


def _line(text: str, stream: TextIO) -> None:
    stream.write(text + "\n")
    stream.flush()
