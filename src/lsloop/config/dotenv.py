"""Literal `.env`: what stands behind the `=` is the value.

There are no `${}` and no escapes; `#` ends it only after a blank.

A line that cannot be meant otherwise than for lsloop, and is not read by it, is refused by its number. What
belongs to other programs is left alone.
"""

import difflib
import re
import stat
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lsloop.errors import UsageError

_PAIR = re.compile(r"(?:export\s+)?([A-Za-z_][\w.-]*)\s*=(.*)")
_QUOTED = re.compile(r"""(["'])(.*?)\1(?:\s+#.*)?\s*""")
_OPENED = re.compile(r"""\s*(["'])((?!\1).)*""")
_WORD = re.compile(r"(?:export\s+)?([A-Za-z_][\w.-]*)")
_SET = re.compile(r"(?:^|[\s:$\"'{])([A-Z_]\w*)(?=[\"'}]?\s*[=:])")
"""What a line of another language sets: `set X=…`, `$env:X = …`, `- X=…`, `"X": …`."""

NEAR = 0.87
"""How alike two names are: LABEL_STUDIO_API_TOKEN is meant for LABEL_STUDIO_API_KEY, DATABASE_URL_TEST is
not."""


@dataclass
class Found:
    """Values of known names, in capitals, with their lines.

    It also has what is odd, though nothing is lost by it.
    """

    values: dict[str, str] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)
    odd: list[str] = field(default_factory=list)


def read(path: Path, known: Collection[str], there: Collection[str] = ()) -> Found:
    """Read what `path` says about the known names.

    `there`: those that the environment gives already. Raises UsageError.
    """
    found = Found()
    if not is_there(path):
        return found
    unknown: dict[str, int] = {}
    lines = re.split(r"\r\n|\n|\r", _text(path))
    skip_to = 0
    for number, line in enumerate(lines, 1):
        line = line.strip()
        if number <= skip_to or not line or line.startswith("#"):
            continue
        pair = _PAIR.fullmatch(line)
        name = pair[1].upper() if pair else ""
        if name in known and pair:
            _take(path, found, name, number, pair[2])
        elif pair:
            unknown[pair[1]] = number
            skip_to = _end_of_value(lines, number, pair[2])
        else:
            _refuse_or_note(path, found, number, line, known)
    _refuse_misspelt(path, found, unknown, known, {*found.values, *there})
    return found


def is_there(path: Path) -> bool:
    """Tell whether there is such a file.

    Raises UsageError for what has its name and cannot be read as one. To go on without it would be to use the
    embedded services, or the defaults, though somebody meant others.
    """
    if path.is_file():
        return True
    if path.is_symlink() and not path.exists():
        what = f"{path} is a link to {path.readlink()}, which is not there."
        raise UsageError(what, "Mount or make it, or take the link out.")
    if path.exists():
        raise UsageError(f"{path} is not a file.", "Put a file in its place, or take it out.")
    return False


def is_open(path: Path) -> bool:
    """Tell whether other users of the machine may read it."""
    return sys.platform != "win32" and path.is_file() and bool(stat.S_IMODE(path.stat().st_mode) & 0o077)


def _text(path: Path) -> str:
    data = path.read_bytes()
    try:
        if data.startswith((b"\xff\xfe", b"\xfe\xff")):
            raise UsageError(f"{path} is in UTF-16.", "Save it as UTF-8.")
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        number = data.count(b"\n", 0, error.start) + 1
        raise UsageError(f"{path}, line {number} is not UTF-8.", "Save the file as UTF-8.") from error
    if "\0" in text:
        raise UsageError(f"{path} holds NUL bytes.", "Save it as text in UTF-8.")
    return text


def _take(path: Path, found: Found, name: str, number: int, text: str) -> None:
    if name in found.lines:
        what = f"{path}: {name} stands twice, in lines {found.lines[name]} and {number}."
        raise UsageError(what, "Keep one of them, and run again.")
    found.lines[name] = number
    if value := _value(text):
        found.values[name] = value


def _value(text: str) -> str:
    quoted = _QUOTED.fullmatch(text.strip())
    return quoted[2] if quoted else re.sub(r"\s+#.*", "", text).strip()


def _end_of_value(lines: list[str], number: int, text: str) -> int:
    """Return the number of the last line of somebody else's value.

    It may be quoted over several lines; `number` where it is not.
    """
    opened = _OPENED.fullmatch(text)
    if opened:
        for later in range(number, len(lines)):
            if opened[1] in lines[later]:
                return later + 1
    return number


def _refuse_or_note(path: Path, found: Found, number: int, line: str, known: Collection[str]) -> None:
    word = _WORD.match(line)
    name = word[1].upper() if word else ""
    if name in known or name.startswith("LSLOOP_"):
        raise UsageError(
            f"{path}, line {number}: {name} is not followed by `=`.", f"Write it as {name}=value."
        )
    if meant := difflib.get_close_matches(name, known, 1, NEAR):
        raise UsageError(f"{path}, line {number} is not NAME=value.", f"Write it as {meant[0]}=value.")
    if ours := next((one for one in _SET.findall(line.upper()) if one in known), ""):
        raise UsageError(f"{path}, line {number} is not NAME=value.", f"Write it as {ours}=value.")
    found.odd.append(f"{path}, line {number} is not NAME=value, and is not read.")


def _refuse_misspelt(
    path: Path, found: Found, unknown: Mapping[str, int], known: Collection[str], there: Collection[str]
) -> None:
    """Refuse a name that is nearly one of ours, as it is meant for it.

    It is let pass where that one is given, too.
    """
    for name, number in unknown.items():
        meant = difflib.get_close_matches(name.upper(), sorted(known), 1, NEAR)
        if not meant and not name.upper().startswith("LSLOOP_"):
            continue
        what = f"{path}, line {number}: there is no setting {name}."
        if meant and meant[0] in there:
            found.odd.append(f"{what} It is not read; {meant[0]} is.")
        elif meant:
            raise UsageError(what, f"Did you mean {meant[0]}? Rename it, or take the line out.")
        else:
            raise UsageError(what, "Take the line out; .env.example lists all settings.")


def given_in(environment: Mapping[str, str], names: Collection[str]) -> set[str]:
    """List the names that the environment gives, in whatever case.

    An empty value gives nothing.
    """
    return {name.upper() for name, value in environment.items() if value and name.upper() in names}
