"""YAML file that people write: each key once, not nested without end.

The line of each key is kept, to point at.
"""

import re
from pathlib import Path
from typing import Any

import yaml

from lsloop.errors import UsageError

DEEPEST = 30
MOST = 10_000  # values, aliases written out
Keys = tuple[Any, ...]


def read(path: Path) -> tuple[dict[str, Any], dict[Keys, int]]:
    """Read the mapping in a file, and the line of each key.

    Raises UsageError naming file, line and what is wrong.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise UsageError(f"{path.name}, line {line} is not UTF-8.", f"Save {path} as UTF-8.") from error
    try:
        _check_depth(path, text)
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        lines = _lines(path, node) if node else {}
        found = loader.construct_document(node) if node else {}
    except yaml.YAMLError as error:
        raise _told(path, text, error) from error
    except (ValueError, TypeError, OverflowError) as error:  # a date that is none, a key that cannot be one
        raise UsageError(
            f"{path.name} holds a value that is none: {error}.", f"Correct {path} and run again."
        ) from error
    if found is None:
        return {}, {}
    if not isinstance(found, dict):
        what = f"{path.name}: {kind(found)} was found, where keys with values are due."
        raise UsageError(what, "Write it as `key: value`, one a line.")
    return found, lines


def kind(value: Any) -> str:
    """Name the sort of a value, in words."""
    if value is None:
        return "nothing"
    names = {
        bool: "true or false",
        int: "a number",
        float: "a number",
        str: "a text",
        list: "a list",
        dict: "a mapping",
    }
    return names.get(type(value), f"a {type(value).__name__}")


def _check_depth(path: Path, text: str) -> None:
    """Read as events, which need no stack: thousands of brackets end nothing."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > DEEPEST:
                where = f"{path.name}, line {_line(event.start_mark)}"
                raise UsageError(
                    f"{where}: nested more than {DEEPEST} levels deep.", f"Correct {path} and run again."
                )
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _lines(path: Path, top: yaml.Node) -> dict[Keys, int]:
    """Find the line of each key.

    Raises UsageError for a key that stands twice, and for aliases that grow without end.
    """
    found: dict[Keys, int] = {}
    left: list[tuple[Keys, yaml.Node, int]] = [((), top, 0)]
    seen = 0
    while left:
        keys, node, depth = left.pop()
        seen += 1
        if seen > MOST or depth > 2 * DEEPEST:
            what = f"{path.name} holds more than {MOST:,} values, or refers to itself."
            raise UsageError(what, f"Write {path} shorter, and without anchors.")
        if isinstance(node, yaml.MappingNode):
            _check_keys(path, node)
            for key, value in node.value:
                inner = (*keys, getattr(key, "value", "?"))
                found[inner] = key.start_mark.line + 1
                left.append((inner, value, depth + 1))
        elif isinstance(node, yaml.SequenceNode):
            for number, value in enumerate(node.value):
                found[(*keys, number)] = value.start_mark.line + 1
                left.append(((*keys, number), value, depth + 1))
    return found


def _check_keys(path: Path, node: yaml.MappingNode) -> None:
    first: dict[str, int] = {}
    for key, _ in node.value:
        line, name = key.start_mark.line + 1, key.value
        if not isinstance(key, yaml.ScalarNode):
            raise UsageError(
                f"{path.name}, line {line}: a key must be a text.", f"Correct {path} and run again."
            )
        if name in first and key.tag != "tag:yaml.org,2002:merge":
            what = f"{path.name}: the key {name} stands twice, in lines {first[name]} and {line}."
            raise UsageError(what, f"Keep one of them in {path}, and run again.")
        first[name] = line


def _line(mark: Any) -> int:
    return int(mark.line) + 1


def _told(path: Path, text: str, error: yaml.YAMLError) -> UsageError:
    mark = getattr(error, "problem_mark", None)
    where = f"{path.name}, line {mark.line + 1}, column {mark.column + 1}" if mark else path.name
    if isinstance(error, yaml.reader.ReaderError):
        line = text.count("\n", 0, error.position) + 1
        what = f"{path.name}, line {line}: a character that YAML does not take."
        return UsageError(what, f"Correct {path} and run again.")
    why = str(getattr(error, "problem", None) or "it is no YAML")
    if "'\\t'" in why:
        why = "YAML is indented with blanks, and a tab was found"
    why = re.sub(r"^found undefined alias", "no anchor is called", why)
    return UsageError(f"{where}: {why}.", f"Correct {path} and run again.")
