"""Entry added under `task_types` in the text of a params.yaml.

All that stands there, comments too, stays as it is.
"""

import yaml

from lsloop.errors import UsageError

SECTION = "task_types"


def with_entry(text: str, name: str, entry: str) -> str:
    """Add `entry` to `text` as the last task type.

    The lines of `entry` are as they stand below the name. Raises UsageError.
    """
    document = yaml.safe_load(text) or {}
    added = _added(text, name, entry)
    if added and "\r\n" in text:
        added = added.replace("\n", "\r\n")
    wanted = {**document, SECTION: {**(document.get(SECTION) or {}), name: yaml.safe_load(entry)}}
    if added is None or yaml.safe_load(added) != wanted:
        raise UsageError(
            f"params.yaml has {SECTION} in a form that nothing can be added to.",
            f"Add it by hand: {name}: "
            f"{yaml.safe_dump(yaml.safe_load(entry), default_flow_style=True).strip()}",
        )
    return added


def _added(text: str, name: str, entry: str) -> str | None:
    """None where there is no place for it that is certain."""
    lines = text.splitlines()
    found = _section(text)
    if found is None:
        return "\n".join([*lines, f"{SECTION}:", *_indented(name, entry, 2), ""])
    key, value = found
    line, indent = key.end_mark.line, 2
    if isinstance(value, yaml.MappingNode) and not value.flow_style and value.value:
        line, indent = _last_line(value), value.start_mark.column
    elif not _is_empty(value):
        return None
    elif value.end_mark.index > value.start_mark.index:  # {} or null
        lines[line] = lines[line][: value.start_mark.column].rstrip() + lines[line][value.end_mark.column :]
    return "\n".join([*lines[: line + 1], *_indented(name, entry, indent), *lines[line + 1 :], ""])


def _section(text: str) -> tuple[yaml.Node, yaml.Node] | None:
    top = yaml.compose(text, Loader=yaml.SafeLoader)
    pairs = top.value if isinstance(top, yaml.MappingNode) else []
    return next(((key, value) for key, value in pairs if key.value == SECTION), None)


def _is_empty(value: yaml.Node) -> bool:
    return not value.value if isinstance(value, yaml.MappingNode) else value.tag == "tag:yaml.org,2002:null"


def _last_line(node: yaml.Node) -> int:
    """Return the number of the last line that says something of a value.

    A block ends where the next thing begins.
    """
    if not isinstance(node, yaml.CollectionNode) or node.flow_style or not node.value:
        end: int = node.end_mark.line
        return end - 1 if node.end_mark.column == 0 and end > node.start_mark.line else end
    last = node.value[-1]
    return _last_line(last[1] if isinstance(node, yaml.MappingNode) else last)


def _indented(name: str, entry: str, indent: int) -> list[str]:
    return [" " * indent + f"{name}:", *(" " * (indent + 2) + line for line in entry.splitlines())]
