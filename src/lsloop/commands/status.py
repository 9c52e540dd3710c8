"""`lsloop status`: connections, counts and locks at a glance."""

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Annotated, Any

import typer

from lsloop import __version__, ledger
from lsloop.commands._call import Call
from lsloop.commands._models import decisive
from lsloop.commands._options import TaskTypeOpt
from lsloop.commands._output import Table
from lsloop.config import Config
from lsloop.errors import LsloopError
from lsloop.labelstudio import client, people
from lsloop.ledger import models, overview, syncs
from lsloop.ledger.syncs import Run
from lsloop.secrecy import without_secrets

STATES = (
    "claimed", "open", "annotated", "conflicted", "accepted", "probed", "cancelled", "skipped", "parked", "to decide",
    "to review",
)  # fmt: skip


def status(
    ctx: typer.Context,
    task_type: TaskTypeOpt = None,
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Show it again every 2 seconds, until Ctrl-C; --json: a line each time.")
    ] = False,
) -> None:
    """Show whether the services answer, what is in which state, and who holds locks.

    Exit code 3 when a service does not answer.

    Example:
      lsloop status
      lsloop status --task-type transcript_correction --json
    """
    call = Call.of(ctx)
    name = call.config.task_type(task_type)[0] if task_type else None
    while watch:
        document = _looked(call.config, name)
        call.out.again(document, *_tables(document))
        time.sleep(2)
    document = _looked(call.config, name)
    call.out.result(document, *_tables(document), *_to_do(document))
    if any("problem" in service for service in document["services"].values()):
        raise typer.Exit(3)


def _looked(config: Config, task_type: str | None) -> dict[str, Any]:
    """Everything there is to show; what cannot be reached is told, and does not keep the rest from being shown."""
    found: dict[str, Any] = {"services": {}, "tasks": [], "counts": {}}
    found["services"]["Label Studio"] = _asked(lambda: _label_studio(config))
    found["services"]["PostgreSQL"] = _asked(lambda: _ledger(config, task_type, found))
    return found


def _asked(ask: Callable[[], str]) -> dict[str, str]:
    try:
        return {"answer": ask()}
    except LsloopError as error:
        return {"problem": error.problem, "fix": error.fix}


def _label_studio(config: Config) -> str:
    with client.connect(config.label_studio_url, config.label_studio_api_key, timeout=10) as studio:
        return f"{config.label_studio_url} as {people.whoami(studio)['email']}"


def _ledger(config: Config, task_type: str | None, found: dict[str, Any]) -> str:
    opened = ledger.connect(config.database_url)
    found["now"] = overview.now(opened)
    found["tasks"] = overview.tasks(opened, config.label_studio_server, task_type)
    found["counts"] = overview.counts(opened)
    found["models"] = _models(opened, config, task_type)
    found["sync"] = next(iter(syncs.last(opened)), None)
    opened.close()
    return opened.place


def _models(opened: ledger.Ledger, config: Config, task_type: str | None) -> list[dict[str, Any]]:
    """The model in use per task type that has one, and its training that waits or runs."""
    at_work = {one["task_type"]: one for one in models.trainings(opened, task_type, limit=100) if one["state"] in _AT_WORK}
    names = [name for name in config.params.task_types if task_type in (None, name)]
    shown = []
    for name in names:
        used, base = models.promoted(opened, name), config.model(name).base
        if used or base:
            training = at_work.get(name)
            shown.append(
                {"task_type": name, "version": used.version if used else None,
                 "base": without_secrets(base) if base else None,
                 "measured": decisive(used.metrics) if used else "", "since": used.promoted_at if used else None,
                 "training": f"{training['training_id']} {training['state']}" if training else None}
            )  # fmt: skip
    return shown


_AT_WORK = ("queued", "running", "interrupted")


def _tables(found: dict[str, Any]) -> list[str | Table]:
    services = [
        (
            name,
            "answers" if "answer" in said else "fails",
            said.get("answer") or f"{said['problem']} {said['fix']}",
        )
        for name, said in found["services"].items()
    ]
    shown: list[str | Table] = [Table(("service", "state", "where"), services, title=f"lsloop {__version__}")]
    if found["counts"]:
        counts = [
            (f"{word}: {name.replace('_', ' ')}", n)
            for word, row in found["counts"].items()
            for name, n in row.items()
        ]
        shown.append(Table(("ledger", "count"), counts))
    if found["tasks"]:
        shown.append(_task_table(found["tasks"], found["now"]))
    if found.get("models"):
        columns = ("task type", "model in use", "measured", "since", "training")
        rows = [
            (m["task_type"], m["version"] or f"{m['base']} (base)", m["measured"],
             _ago(m["since"], found["now"]) if m["since"] else "", m["training"])
            for m in found["models"]
        ]  # fmt: skip
        shown.append(Table(columns, rows))
    if found.get("sync"):
        shown.append(_last_sync(found["sync"], found["now"]))
    return shown


def _last_sync(run: Run, now: datetime) -> str:
    failed = [str(step["name"]) for step in run.steps if step["state"] == "failed"]
    became = f"{run.outcome or 'at work'}{': ' + ', '.join(dict.fromkeys(failed)) if failed else ''}"
    return f"Last sync: {became}, begun {_ago(run.started_at, now)} by {run.started_by}."


def _to_do(found: dict[str, Any]) -> list[str]:
    """What somebody should look at, in words."""
    given_up = found["counts"].get("events", {}).get("given_up", 0)
    what = f"{given_up:,} events of Label Studio were given up: `lsloop events --failed` says why, `--retry` tries again."
    aside = sum(found["counts"].get("problems", {}).values())
    left_out = f"{aside:,} left out: `lsloop problems` says what, why, and what to do."
    return [*([what] if given_up else []), *([left_out] if aside else [])]


def _task_table(tasks: list[dict[str, Any]], now: datetime) -> Table:
    rows = [
        (
            row["task_type"],
            row["ls_project_id"],
            *(row[state] for state in STATES),
            _ago(row["pulled_at"], now),
        )
        for row in tasks
    ]
    return Table(("task type", "project", *STATES, "last pull"), rows)


def _ago(then: datetime | None, now: datetime) -> str:
    return "never" if then is None else f"{timedelta(seconds=round((now - then).total_seconds()))} ago"
