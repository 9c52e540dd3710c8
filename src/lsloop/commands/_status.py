"""Status as people read it: services, what needs somebody, and states."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lsloop import __version__
from lsloop.commands._output import Table
from lsloop.ledger.syncs import Run
from lsloop.steps.lock import span
from lsloop.values.text import counted

_NAMES = {"label_studio": "Label Studio", "postgresql": "PostgreSQL", "server": "Server", "worker": "Worker"}

_ALSO = {
    "conflicted": "in conflict", "claimed": "being sent", "to_decide": "to decide", "to_review": "to review",
    "probed": "gold probes answered", "skipped": "skipped", "parked": "parked", "cancelled": "cancelled",
}  # fmt: skip
"""States that few tasks are in: named where there are any."""


def shown(found: Mapping[str, Any]) -> list[str | Table]:
    """The whole status, what is most urgent first."""
    parts: list[str | Table] = ["\n".join([f"lsloop {__version__}", *_services(found["services"])])]
    if needed := list(_needed(found)):
        parts.append("\n".join(["Somebody is needed:", *(f"  {line}" for line in needed)]))
    if found["tasks"]:
        parts.append(_tasks(found["tasks"], found["now"]))
    if found["counts"]:
        parts.append("\n".join(["In the ledger:", *_ledger(found["counts"])]))
    if found.get("models"):
        parts.append(_models(found["models"], found["now"]))
    if found.get("sync"):
        parts.append(_last_sync(found["sync"], found["now"]))
    parts.append(_backup(found.get("backup"), found.get("now")))
    return _apart(parts)


def _apart(parts: list[str | Table]) -> list[str | Table]:
    """A blank line between two texts; tables bring theirs along."""
    before = [None, *parts[:-1]]
    return [
        f"\n{part}" if isinstance(part, str) and isinstance(last, str) else part
        for last, part in zip(before, parts, strict=True)
    ]


def _services(services: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    for key, said in services.items():
        name = f"  {_NAMES.get(key, key):<12}  "
        if "answer" in said:
            yield f"{name}answers   {said['answer']}"
        else:
            yield f"{name}FAILS     {said['problem']}"
            yield from ([f"    → {said['fix']}"] if said["fix"] else [])


def _needed(found: Mapping[str, Any]) -> Iterator[str]:
    """Yield what goes no further until somebody looks at it, and the command."""
    for row in found["tasks"]:
        name = row["task_type"]
        if row["conflicted"]:
            yield f"{counted(row['conflicted'], 'conflict')} of {name} to decide: `lsloop conflicts list`"
        if row["to_review"]:
            yield f"{counted(row['to_review'], 'task')} of {name} held for review: `lsloop annotators`"
        if row["to_decide"]:
            yield (
                f"{counted(row['to_decide'], 'task')} of {name} with answers that differ: "
                f"`lsloop push -t {name}`"
            )
    for model in found.get("models") or ():
        if instead := model["stands_in"]:
            yield f"{model['task_type']} is answered by {instead['version']}: {instead['reason']}"
    if given_up := found["counts"].get("events", {}).get("given_up", 0):
        yield f"{counted(given_up, 'event')} of Label Studio given up: `lsloop events --failed` says why"
    if aside := sum(found["counts"].get("problems", {}).values()):
        yield f"{aside:,} left out, which a step could not take: `lsloop problems` says why"
    if failed := found["counts"].get("jobs", {}).get("failed", 0):
        yield f"{counted(failed, 'job')} failed: the worker's log says why"


def _tasks(tasks: list[dict[str, Any]], now: datetime) -> Table:
    rows = [
        (row["task_type"], row["open"], row["annotated"], row["accepted"], _also(row),
         ago(row["pulled_at"], now))
        for row in tasks
    ]  # fmt: skip
    return Table(("task type", "open", "annotated", "accepted", "also", "last pull"), rows)


def _also(row: Mapping[str, Any]) -> str:
    return ", ".join(f"{row[state]:,} {words}" for state, words in _ALSO.items() if row[state])


def _ledger(counts: Mapping[str, Mapping[str, int]]) -> Iterator[str]:
    """A line for each kind of thing: how many, and of which sort."""
    for kind, row in counts.items():
        said = [f"{row[kind]:,}"] if kind in row else []
        said += [f"{count:,} {_sort(sort, count)}" for sort, count in row.items() if sort != kind and count]
        yield f"  {kind:<12}  {', '.join(said) or 'none'}"


def _sort(name: str, count: int) -> str:
    words = name.replace("_", " ").replace("label studio", "Label Studio")
    return "annotator" if words == "annotators" and count == 1 else words


def _models(models: list[dict[str, Any]], now: datetime) -> Table:
    rows = [
        (m["task_type"], _in_use(m), m["measured"],
         ago(m["since"], now) if m["since"] else "", m["training"])
        for m in models
    ]  # fmt: skip
    return Table(("task type", "model in use", "measured", "since", "training"), rows)


def _in_use(model: Mapping[str, Any]) -> str:
    """The model in use; where another one stands in for it, that one."""
    if instead := model["stands_in"]:
        return f"{instead['version']} (fallback)"
    return model["version"] or f"{model['base']} (base)"


def _last_sync(run: Run, now: datetime) -> str:
    failed = [str(step["name"]) for step in run.steps if step["state"] == "failed"]
    became = f"{run.outcome or 'at work'}{': ' + ', '.join(dict.fromkeys(failed)) if failed else ''}"
    return f"Last sync: {became}, begun {ago(run.started_at, now)} by {run.started_by}."


def _backup(last: Mapping[str, Any] | None, now: datetime | None) -> str:
    if not last:
        return "Last backup: none; `lsloop backup` makes one."
    when = ago(datetime.fromisoformat(last["made_at"]), now or datetime.now(UTC))
    gone = "" if Path(last["path"]).exists() else ", and is not there any more"
    return f"Last backup: {when}, proven ({last['bytes'] / 1e6:.1f} MB, {last['path']}){gone}."


def ago(then: datetime | None, now: datetime) -> str:
    """Tell how long ago something was, in words."""
    return "never" if then is None else f"{span(now - then)} ago"
