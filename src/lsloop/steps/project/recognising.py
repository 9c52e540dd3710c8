"""Recognise whose Label Studio this is, and which project there is ours.

They are known by what is in them, never by a URL or a number alone.
"""

import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from lsloop.errors import Refused, UsageError
from lsloop.labelstudio import identity, projects, tasks
from lsloop.labelstudio.client import LabelStudio
from lsloop.ledger import Ledger, adopting, servers
from lsloop.ledger import projects as ledger_projects
from lsloop.ledger import tasks as ledger_tasks
from lsloop.ledger.servers import Server
from lsloop.records import Project
from lsloop.values.text import counted

ThereJson = dict[str, Any]


@dataclass(frozen=True)
class Place:
    """The Label Studio at hand.

    `is_proven`: it is the one that the ledger knows under this name, and no other.
    """

    server: Server
    is_proven: bool


def recognise(ledger: Ledger, studio: LabelStudio, spelling: str) -> Place:
    """Find out which of the ledger's Label Studios the one at hand is.

    It writes nothing. It is known by what it says it is. One that the ledger has never asked, or that does
    not say (any more), is known by our projects in it. `spelling` is the setting under which it was reached:
    a name for one that was never met.
    """
    said, known = identity.told(studio), servers.known(ledger)
    found = [one for one in known if said is not None and one.identity == said]
    for one in known:
        is_untold = one.identity is None or said is None
        if is_untold and (not found or one.name == spelling) and _has_ours(ledger, studio, one.name):
            found.append(Server(one.name, said))
    if not found:
        return Place(Server(_new_name(ledger, known, spelling, said), said), False)
    if len(found) == 1:
        return Place(found[0], True)
    # Older versions may have met one under two names: what is at work counts more than how it is reached.
    counts = {one.name: servers.at_work(ledger, one.name) for one in found}
    best = max(found, key=lambda one: (counts[one.name] > 0, one.name == spelling, counts[one.name]))
    return Place(best, True)


def _has_ours(ledger: Ledger, studio: LabelStudio, name: str) -> bool:
    for project in ledger_projects.of_server(ledger, name):
        there = projects.get(studio, project.ls_project_id or 0)
        if there is not None and is_ours(ledger, studio, project, there):
            return True
    return False


def _new_name(ledger: Ledger, known: Sequence[Server], spelling: str, said: str | None) -> str:
    """A name under which nothing is at stake.

    One that does not say what it is keeps the name of its URL.
    """
    taken = {server.name: server.identity for server in known}
    if said is None and taken.get(spelling) is None:
        return spelling
    number, name = 1, spelling
    while name in taken and (taken[name] is not None or servers.at_work(ledger, name)):
        number += 1
        name = f"{spelling} ({number})"
    return name


def refuse_another(ledger: Ledger, studio: LabelStudio, place: Place, task_type: str | None = None) -> None:
    """Raise UsageError where tasks at work are in another Label Studio."""
    there = servers.elsewhere(ledger, place.server.name, task_type)
    if there:
        count, names = sum(there.values()), " and ".join(there)
        raise UsageError(
            f"The Label Studio at {studio.url} is not the one that {counted(count, 'task')}{_of(task_type)} "
            f"went to (met as {names}): nothing in it is ours. They are left alone.",
            "Set LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY to that one; "
            "`lsloop setup --help` says what else can be done.",
        )


def _of(task_type: str | None) -> str:
    return f" of {task_type}" if task_type else ""


def prove(ledger: Ledger, studio: LabelStudio, project: Project) -> None:
    """Raise Refused unless the Label Studio at hand is the project's, and has it.

    Only then does it follow from what is not there that it is gone.
    """
    said = identity.told(studio)
    known = next((one.identity for one in servers.known(ledger) if one.name == project.server), None)
    if said is not None and known is not None and said != known:
        raise Refused(
            f"The Label Studio at {studio.url} is not the one that the tasks of {project.task_type} are in "
            f"(met as {project.server}).",
            "Set LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY to that one.",
        )
    there = projects.get(studio, project.ls_project_id) if project.ls_project_id is not None else None
    if there is None or not is_ours(ledger, studio, project, there):
        raise Refused(
            f"Label Studio's project {project.ls_project_id} is gone, "
            f"or is not the one of {project.task_type}.",
            f"`lsloop setup --task-type {project.task_type}` says what is to be done.",
        )


def is_ours(ledger: Ledger, studio: LabelStudio, project: Project, there: ThereJson) -> bool:
    """Return whether a project in Label Studio is the one that the ledger knows.

    Nobody can change when a project was made. Where that is not known, the keys of our tasks in it tell; only
    where no task was sent, the marker in its description, or the label config, which people edit, will do.
    """
    is_same_number = there["id"] == project.ls_project_id
    if is_same_number and project.ls_created_at and there.get("created_at") == project.ls_created_at:
        return True
    keys, is_marked = (
        ledger_tasks.sent_keys(ledger, project),
        str(project.marker) in (there.get("description") or ""),
    )
    if keys:
        return holds_any(studio, there["id"], keys) or (
            is_same_number and is_marked and not project.ls_created_at
        )
    looks_same = str(there["label_config"]).split() == (project.label_config or "").split()
    return is_marked or (is_same_number and not project.ls_created_at and looks_same)


def holds_any(studio: LabelStudio, ls_project_id: int, keys: Sequence[str]) -> bool:
    """Return whether a project in Label Studio has a task of one of these keys.

    The newest are looked for first.
    """
    sizes = [_FEW, *[tasks.MOST] * (len(keys) // tasks.MOST + 1)]
    start = 0
    for size in sizes:
        chunk = keys[start : start + size]
        if chunk and tasks.find_by_key(studio, ls_project_id, chunk):
            return True
        start += size
    return False


_FEW = 50


def find(ledger: Ledger, studio: LabelStudio, project: Project, settle: float = 0) -> ThereJson | None:
    """Find the project as Label Studio has it.

    It is the one we know, the one with our marker, or the one our tasks were moved to.
    """
    there = projects.get(studio, project.ls_project_id) if project.ls_project_id is not None else None
    if there is not None and is_ours(ledger, studio, project, there):
        return there
    marked = [
        one["id"] for one in _marked(ledger, studio, project, settle) if one["id"] != project.ls_project_id
    ]
    keys = ledger_tasks.sent_keys(ledger, project)
    if not keys:
        number = marked[0] if marked else _made_before(ledger, studio, project)
        return projects.get(studio, number) if number is not None else None
    every = [*marked, *(one["id"] for one in projects.every(studio) if one["id"] not in marked)]
    return _only(
        studio, project, (number for number in every if holds_any(studio, number, keys[: tasks.MOST]))
    )


def _made_before(ledger: Ledger, studio: LabelStudio, project: Project) -> int | None:
    """A project that this ledger made and does not know any more.

    There is one after a restore: our samples are in it.
    """
    if project.ls_project_id is not None:
        return None
    for one in projects.every(studio):
        is_such = (one.get("description") or "").startswith(f"{project.task_type}, kept by lsloop (")
        if is_such and _holds_samples_of(ledger, studio, one["id"]):
            return int(one["id"])
    return None


def _only(studio: LabelStudio, project: Project, found: Iterable[int]) -> ThereJson | None:
    numbers = sorted(found)
    if len(numbers) > 1:
        raise UsageError(
            f"The tasks of {project.task_type} are in several projects: {', '.join(map(str, numbers))}.",
            "Set LS_PROJECT_… to the one in which people answer.",
        )
    return projects.get(studio, numbers[0]) if numbers else None


def _marked(ledger: Ledger, studio: LabelStudio, project: Project, settle: float) -> list[ThereJson]:
    """The projects with our marker, once there is one or none can come any more."""
    asked = ledger_projects.asked(ledger, project)
    ends = time.monotonic() + (settle - max(asked.age, 0) if asked.times else 0)
    while True:
        marked = projects.find_by_description(studio, str(project.marker))
        if marked or time.monotonic() >= ends:
            return marked
        time.sleep(_POLL)


_POLL = 0.5  # seconds


def named(ledger: Ledger, studio: LabelStudio, project: Project, ls_project_id: int) -> ThereJson:
    """The project that the environment names.

    Raises UsageError where it is another one than our tasks are in.
    """
    there = projects.get(studio, ls_project_id)
    if there is None:
        raise UsageError(
            f"Label Studio has no project {ls_project_id}, "
            f"which the environment names for {project.task_type}.",
            "Correct LS_PROJECT_…, or remove it to have the project made.",
        )
    home = project.ls_project_id
    if home != ls_project_id:
        _refuse_taken(ledger, project, ls_project_id)
    elif is_ours(ledger, studio, project, there):
        return there
    if not ledger_tasks.sent_keys(ledger, project):
        _refuse_anothers(ledger, studio, project, there)
        return there
    at_home = projects.get(studio, home) if home not in (None, ls_project_id) else None
    if (at_home and is_ours(ledger, studio, project, at_home)) or not is_ours(ledger, studio, project, there):
        raise UsageError(
            f"The environment names Label Studio's project {ls_project_id} for {project.task_type}, "
            f"whose tasks are not in it{f': they are in project {home}' if at_home else ''}.",
            f"Set LS_PROJECT_… to {home}, or take it out."
            if at_home
            else "Take LS_PROJECT_… out, then run `lsloop setup`.",
        )
    return there


def _refuse_anothers(ledger: Ledger, studio: LabelStudio, project: Project, there: ThereJson) -> None:
    """Refuse a project that another ledger keeps.

    Two ledgers in one project would send the same sample twice. After a restore our samples are in it.
    """
    marker = _MARKED.search(there.get("description") or "")
    if (
        not marker
        or marker[1] in ledger_projects.markers(ledger)
        or _holds_samples_of(ledger, studio, there["id"])
    ):
        return
    raise UsageError(
        f"The environment names Label Studio's project {there['id']} for {project.task_type}; "
        f"another ledger keeps it (its description says so: {marker[0]}).",
        "Correct LS_PROJECT_…, or remove it to have a project made. "
        "If nothing uses that project any more, take those words out of its description.",
    )


_MARKED = re.compile(r"kept by lsloop \(([0-9a-f-]{36})\)")


def _holds_samples_of(ledger: Ledger, studio: LabelStudio, ls_project_id: int) -> bool:
    """Return whether tasks in a project are of samples of this ledger."""
    told = [str(task.get("data", {}).get("sample_id")) for task in tasks.some(studio, ls_project_id)]
    return adopting.knows_any(ledger, told)


def _refuse_taken(ledger: Ledger, project: Project, ls_project_id: int) -> None:
    for other in ledger_projects.of_server(ledger, project.server):
        if other.ls_project_id == ls_project_id and other.project_id != project.project_id:
            raise UsageError(
                f"The environment names Label Studio's project {ls_project_id} for {project.task_type}; "
                f"it is the one of {other.task_type}.",
                "Correct LS_PROJECT_…, or remove it to have the project made.",
            )
