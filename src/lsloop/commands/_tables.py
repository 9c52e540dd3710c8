"""Tables and lines for people: whole where there is room, else narrower.

They are never folded in the middle of a word.

A table that is too wide for the terminal first loses the columns in which every value is 0 or empty; then its
texts are wrapped at blanks and its names shortened in the middle; and when that is not enough, each row
becomes a block of lines, one per column. Where no terminal reads it, nothing is left out.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from lsloop.values.text import visible

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

NAME = 14  # characters that are left of a name where there is little room
WORD = 40  # characters: what is longer than that in a sentence may be folded
SENTENCE = 22  # characters a line: narrower than that a long text is hard to read
TALL = 6  # lines of a cell: a row that is higher is shown as a block
_GAP = 2  # between the columns of a table that has little room


@dataclass(frozen=True)
class Marked:
    """Text in pieces of (mark, text): `-` was taken out, `+` was put in.

    It is in colour on a terminal, else written `[-out-] {+in+}`.
    """

    pieces: Sequence[tuple[str, str]]
    between: str = " "

    def __str__(self) -> str:
        shown = {"-": "[-{}-]", "+": "{{+{}+}}"}
        return self.between.join(shown.get(mark, "{}").format(text) for mark, text in self.pieces)


@dataclass(frozen=True)
class Table:
    """Rows that people read.

    Numbers stand on the right, with thousands marked and two decimals; None is empty.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    title: str = ""


class _Column(NamedTuple):
    """Column to be drawn: its place, heading, cells, and possible widths."""

    place: int
    heading: str
    cells: list[str]
    numeric: bool

    @property
    def natural(self) -> int:
        return max(map(_wide, (self.heading, *self.cells)))

    def least(self, *, shorten: bool) -> int:
        """The narrowest that can still be read."""
        heading = max(map(_wide, self.heading.split()), default=0)
        if self.numeric:
            return max(heading, *map(_wide, self.cells), 0)
        words = [word for cell in self.cells for word in cell.split()]
        if all(_is_name(cell) for cell in self.cells):
            longest = max(map(_wide, words), default=0)
            return max(heading, min(longest, NAME) if shorten else longest)
        whole = max(_wide(word) if "://" in word else min(_wide(word), WORD) for word in words)
        return max(heading, whole, min(SENTENCE, -(-max(map(_wide, self.cells)) // 2)))


def drawn(table: Table, *, coloured: bool = False, width: int | None = None) -> "RenderableType":
    """The table as Rich draws it, not wider than `width`."""
    columns = [_column(table, place) for place in range(len(table.columns))]
    if width is None or sum(column.natural + 3 for column in columns) + 1 <= width:
        return _plain(table, columns, coloured)
    columns = [column for column in columns if any(cell not in _NOTHING for cell in column.cells)] or columns
    for shorten in (False, True):
        least = [column.least(shorten=shorten) for column in columns]
        widths = _shared_out(columns, least, width) if _total(least) <= width else []
        if widths and not _is_tall(columns, widths):
            return _narrow(table, columns, widths, coloured)
    return _blocks(table, columns, width)


_NOTHING = ("", "0")


def _is_tall(columns: Sequence[_Column], widths: Sequence[int]) -> bool:
    """Tell whether a cell needs so many lines that its row is no row any more."""
    cells = ((cell, wide) for column, wide in zip(columns, widths, strict=True) for cell in column.cells)
    return any(len(_wrapped(cell, wide)) > TALL for cell, wide in cells)


def wrapped(text: str, width: int) -> str:
    """Break the lines of `text` at blanks where they are wider than `width`.

    A word is never broken.
    """
    return "\n".join(part for line in text.split("\n") for part in _wrapped(line, width))


def _wrapped(line: str, width: int) -> list[str]:
    if _wide(line) <= width:
        return [line]
    first, *rest = re.findall(r"\s*\S+", line) or [line]
    indent = first[: len(first) - len(first.lstrip())]
    lines = [first]
    for word in rest:
        if _wide(lines[-1] + word) <= width:
            lines[-1] += word
        else:
            lines.append(indent + word.lstrip())
    return lines


def _column(table: Table, place: int) -> _Column:
    values = [row[place] for row in table.rows]
    numeric = any(_is_number(value) for value in values)
    return _Column(place, visible(table.columns[place]), [_cell(value) for value in values], numeric)


def _total(widths: Sequence[int]) -> int:
    """Compute how wide a narrow table is: its columns, and a gap between each two."""
    return sum(widths) + _GAP * (len(widths) - 1)


def _shared_out(columns: Sequence[_Column], least: Sequence[int], width: int) -> list[int]:
    """A width for each column: the wider it would be, the more of it is taken away."""
    room = width - _total([0] * len(columns))
    cap = max(column.natural for column in columns)
    while True:
        widths = [max(low, min(column.natural, cap)) for column, low in zip(columns, least, strict=True)]
        if sum(widths) <= room or cap == 0:
            return widths
        cap -= 1


def _plain(table: Table, columns: Sequence[_Column], coloured: bool) -> "RenderableType":
    from rich import box
    from rich.table import Table as Drawing

    return _filled(Drawing(box=box.SIMPLE_HEAD, **_titled(table)), table, columns, None, coloured)


def _narrow(
    table: Table, columns: Sequence[_Column], widths: Sequence[int], coloured: bool
) -> "RenderableType":
    from rich import box
    from rich.padding import Padding
    from rich.table import Table as Drawing

    around = {"show_edge": False, "pad_edge": False, "padding": (0, 1, 0, 0)}
    drawing = Drawing(box=box.SIMPLE_HEAD, **around, **_titled(table))  # type: ignore[arg-type]
    return Padding(_filled(drawing, table, columns, widths, coloured), (1, 0, 1, 0))


def _titled(table: Table) -> dict[str, Any]:
    from rich.text import Text

    return {"title": Text(visible(table.title)) if table.title else None, "title_justify": "left"}


def _filled(
    drawing: Any, table: Table, columns: Sequence[_Column], widths: Sequence[int] | None, coloured: bool
) -> "RenderableType":
    from rich.text import Text

    for at, column in enumerate(columns):
        wide = widths[at] if widths else None
        justify = "right" if column.numeric else "left"
        drawing.add_column(Text(column.heading), justify=justify, vertical="top", overflow="fold", width=wide)
    for number, row in enumerate(table.rows):
        cells: list[Text] = []
        for at, column in enumerate(columns):
            value, cell = row[column.place], column.cells[number]
            if coloured and isinstance(value, Marked):
                cells.append(_marked(value))
            else:
                cells.append(Text(shortened(cell, widths[at]) if widths and _is_name(cell) else cell))
        drawing.add_row(*cells)
    return drawing  # type: ignore[no-any-return]


def _blocks(table: Table, columns: Sequence[_Column], width: int) -> "RenderableType":
    """Each row as lines, `heading  value`; what is 0 or empty is left out."""
    from rich.text import Text

    label = max((_wide(column.heading) for column in columns), default=0)
    lines = [visible(table.title)] if table.title else []
    for number in range(len(table.rows)):
        lines.append("")
        for column in columns:
            if (cell := column.cells[number]) not in _NOTHING:
                lines += _labelled(column.heading.ljust(label), cell, width)
    return Text("\n".join([*lines, ""]))


def _labelled(heading: str, cell: str, width: int) -> list[str]:
    """Return the lines of a heading with its value beside it.

    The value goes below where a word of it has no room there.
    """
    beside = " " * (len(heading) + _GAP + 1)
    lines = [part for line in cell.split("\n") for part in _wrapped(line, max(width - len(beside), SENTENCE))]
    if max(map(_wide, lines)) > width - len(beside):
        return [f" {heading.rstrip()}", *(f"   {line}" for line in lines)]
    return [f" {heading}{' ' * _GAP}{lines[0]}", *(beside + line for line in lines[1:])]


def shortened(name: str, width: int) -> str:
    """A name of at most `width` characters: its beginning and its end."""
    if _wide(name) <= width or "://" in name:
        return name
    end = (width - 1) // 3
    return f"{name[: width - 1 - end]}…{name[len(name) - end :]}"


def _marked(value: Marked) -> "Text":
    from rich.text import Text

    styles = {"-": "red strike", "+": "bold green"}
    pieces = [Text(visible(text), styles.get(mark, "")) for mark, text in value.pieces]
    return Text(value.between).join(pieces)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if _is_number(value):
        return f"{value:,}" if isinstance(value, int) else f"{value:,.2f}"
    return visible(str(value)).replace("\t", " ")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_name(cell: str) -> bool:
    """Tell whether a cell is one word that may be shortened: a link may not."""
    return not re.search(r"\s", cell) and "://" not in cell


def _wide(text: str) -> int:
    from rich.cells import cell_len

    return max(map(cell_len, text.split("\n")))
