"""Results on stdout, everything else on stderr. Rich is imported only to draw something."""

import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, is_dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO
from uuid import UUID

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.text import Text

_CONTROL = {code: f"\\x{code:02x}" for code in (*range(32), 127, *range(128, 160)) if chr(code) not in "\n\t"}
"""Escape sequences in data must not reach the terminal."""


@dataclass(frozen=True)
class Marked:
    """Text in pieces, (mark, text): `-` was taken out, `+` was put in. In colour on a terminal, else `[-out-] {+in+}`."""

    pieces: Sequence[tuple[str, str]]
    between: str = " "

    def __str__(self) -> str:
        shown = {"-": "[-{}-]", "+": "{{+{}+}}"}
        return self.between.join(shown.get(mark, "{}").format(text) for mark, text in self.pieces)


@dataclass(frozen=True)
class Table:
    """Rows that people read. Numbers stand on the right, with thousands marked and two decimals; None is empty."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    title: str = ""


class Output:
    """How a command speaks: `result` once, `note`, `warn` and `progress` on the way."""

    def __init__(self, *, json: bool = False, quiet: bool = False) -> None:
        self.json = json
        self.quiet = quiet
        self._answered = False

    def result(self, document: Any, *shown: str | Table) -> None:
        """Print the answer, once per command: with --json the document, else `shown` in turn.

        Dataclasses, UUIDs, times and paths are fine in the document.
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
        """Print an answer that is given again and again: with --json a line, so that a reader can tell one from the next."""
        if self.json:
            return _line(_as_json(document, indent=None), sys.stdout)
        for part in shown:
            self.show(part)
        return None

    def show(self, part: str | Table) -> None:
        """Print something for people on stdout; nothing with --json."""
        if self.json:
            return None
        if isinstance(part, str):
            return _line(part.translate(_CONTROL), sys.stdout)
        target = console(sys.stdout)
        return target.print(drawn(part, coloured=target.is_terminal and not target.no_color))

    def note(self, text: str) -> None:
        """Say what is going on, on stderr; nothing with --quiet."""
        if not self.quiet:
            _line(text.translate(_CONTROL), sys.stderr)

    def warn(self, text: str) -> None:
        """Say what the user should look at although the command goes on, on stderr; also with --quiet."""
        _line(f"{_styled('Warning:', '33')} {text.translate(_CONTROL)}", sys.stderr)

    def error(self, problem: str, fix: str, exit_code: int) -> None:
        """Two lines on stderr; with --json also a document, so that a reader of stdout always finds one."""
        _line(f"{_styled('Error:', '31')} {problem.translate(_CONTROL)}", sys.stderr)
        if fix:
            _line(f"{_styled('→', '36')} {fix.translate(_CONTROL)}", sys.stderr)
        if self.json and not self._answered:
            self.result({"error": {"problem": problem, "fix": fix, "exit_code": exit_code}})

    def trace(self, text: str) -> None:
        """Show a traceback on stderr."""
        _line(text.rstrip(), sys.stderr)

    @contextmanager
    def progress(self, label: str, total: int | None = None) -> Iterator["Progress"]:
        """A bar on a terminal, else a line every few seconds and one at the end. Give `advance` to the step:

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
    """What has been done so far. This one is silent."""

    def advance(self, done: int = 1) -> None:
        """So many more are done."""

    def expect(self, total: int) -> None:
        """So many there are altogether, once that is known."""


class _Bar(Progress):
    def __init__(self, bars: Any, label: str, total: int | None) -> None:
        self._bars, self._task = bars, bars.add_task(label, total=total)

    def advance(self, done: int = 1) -> None:
        self._bars.advance(self._task, done)

    def expect(self, total: int) -> None:
        self._bars.update(self._task, total=total)


class _Lines(Progress):
    every = 5.0  # seconds

    def __init__(self, label: str, total: int | None) -> None:
        self._label, self._total, self._done, self._said = label, total, 0, time.monotonic()

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
    """A Rich console on `stream`; lines are never cut or folded where no terminal reads them."""
    from rich.console import Console

    width = None if stream.isatty() else 10_000
    return Console(file=stream, highlight=False, markup=False, emoji=False, width=width)


def drawn(table: Table, *, coloured: bool = False) -> "RenderableType":
    """The table as Rich draws it."""
    from rich import box
    from rich.table import Table as Drawing
    from rich.text import Text

    drawing = Drawing(box=box.SIMPLE_HEAD, title=table.title or None, title_justify="left")
    for place, column in enumerate(table.columns):
        numeric = any(_is_number(row[place]) for row in table.rows)
        drawing.add_column(Text(column), justify="right" if numeric else "left", overflow="fold")
    for row in table.rows:
        drawing.add_row(*(_marked(v) if coloured and isinstance(v, Marked) else Text(_cell(v)) for v in row))
    return drawing


def _marked(value: Marked) -> "Text":
    from rich.text import Text

    styles = {"-": "red strike", "+": "bold green"}
    pieces = [Text(text.translate(_CONTROL), styles.get(mark, "")) for mark, text in value.pieces]
    return Text(value.between).join(pieces)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if _is_number(value):
        return f"{value:,}" if isinstance(value, int) else f"{value:,.2f}"
    return str(value).translate(_CONTROL)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


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


def _styled(text: str, code: str) -> str:
    colour = _is_terminal(sys.stderr) and not os.environ.get("NO_COLOR")
    return f"\033[{code}m{text}\033[0m" if colour else text


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
