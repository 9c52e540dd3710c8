"""A task type more in params.yaml: it is there, and every other line and comment is as it was."""

import difflib

import pytest
import yaml

from lsloop import resources
from lsloop.config import adding
from lsloop.errors import UsageError

ENTRY = "title: Vehicles\nreads: {image: media}\n"
JOB = {"title": "Vehicles", "reads": {"image": "media"}}
SHIPPED = resources.path("params.yaml").read_text(encoding="utf-8")

TEXTS = {
    "as shipped": SHIPPED,
    "no section": "push: {limit: 7}  # mine\n",
    "nothing at all": "",
    "an empty section": "task_types:\npush: {limit: 7}\n",
    "empty braces": "# top\ntask_types: {}  # none yet\npush: {limit: 7}\n",
    "null": "task_types: null\n",
    "last in the file, without a line break": (
        "push: {limit: 7}\ntask_types:\n    a: {title: A}  # four blanks"
    ),
    "entries without settings": "task_types:\n  a:\n  b: # soon\n\n# about pushes\npush: {limit: 7}\n",
    "a text of several lines": "task_types:\n  a:\n    title: |\n      A\n# end\npush: {limit: 7}\n",
    "lines that end as on Windows": "task_types:\r\n  a:\r\n    title: A # mine\r\n",
    "a list": "task_types:\n  a:\n    x:\n    - 1\n    - {b: 2}\n\nmodels: {}\n",
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_an_entry_is_added_and_nothing_else_changes(text: str) -> None:
    added = adding.with_entry(text, "vehicles", ENTRY)
    before, after = yaml.safe_load(text) or {}, yaml.safe_load(added)
    assert after == {**before, "task_types": {**(before.get("task_types") or {}), "vehicles": JOB}}
    gone = [
        line[2:] for line in difflib.ndiff(text.splitlines(), added.splitlines()) if line.startswith("- ")
    ]
    assert all(line.startswith("task_types:") for line in gone)
    assert all(
        comment in added for comment in (line.partition("#")[2] for line in text.splitlines()) if comment
    )


def test_where_there_is_no_certain_place_the_entry_is_told_instead() -> None:
    with pytest.raises(UsageError, match="in a form that nothing can be added to") as refused:
        adding.with_entry("task_types: {a: {title: A}}\n", "vehicles", ENTRY)
    assert "vehicles: {reads: {image: media}, title: Vehicles}" in refused.value.fix
