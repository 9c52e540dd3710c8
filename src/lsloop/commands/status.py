"""`lsloop status`: connections, counts and locks at a glance."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from lsloop import ledger
from lsloop.commands import _status
from lsloop.commands._call import Call
from lsloop.commands._models import decisive
from lsloop.commands._options import TaskTypeOpt
from lsloop.config import Config, read_stack
from lsloop.errors import LsloopError
from lsloop.labelstudio import client, people
from lsloop.ledger import overview, servers, syncs, versions
from lsloop.secrecy import without_secrets
from lsloop.stack.state import last_backup


def status(
    ctx: typer.Context,
    task_type: TaskTypeOpt = None,
    watch: Annotated[
        bool,
        typer.Option(
            "--watch", "-w", help="Show it again every 2 seconds, until Ctrl-C; --json: a line each time."
        ),
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
        call.out.again(document, *_status.shown(document))
        time.sleep(2)
    document = _looked(call.config, name)
    call.out.result(document, *_status.shown(document))
    if any("problem" in service for service in document["services"].values()):
        raise typer.Exit(3)


def _looked(config: Config, task_type: str | None) -> dict[str, Any]:
    """Collect everything there is to show.

    What cannot be reached is told, and does not keep the rest from being shown.
    """
    found: dict[str, Any] = {"services": {}, "tasks": [], "counts": {}}
    found["services"]["label_studio"] = _asked(lambda: _label_studio(config))
    found["services"]["postgresql"] = _asked(lambda: _ledger(config, task_type, found))
    found["services"] |= _left_down(config.project_dir, found["services"])
    found["backup"] = last_backup(config.state_dir)
    return found


def _left_down(project_dir: Path, answers: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
    """List services that `lsloop up` gave up restarting, and that do not answer.

    It is read anew each time: it may happen under --watch.
    """
    said: dict[str, str] = read_stack(project_dir).get("left_down") or {}
    named = {
        "postgresql" if name == "postgres" else name: (name.replace("_", "-"), why)
        for name, why in said.items()
    }
    fix = "Read `lsloop logs {}`, then run `lsloop down` and `lsloop up`."
    return {
        name: {"problem": why, "fix": fix.format(log)}
        for name, (log, why) in named.items()
        if "answer" not in answers.get(name, {})
    }


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
    found["tasks"] = overview.tasks(opened, servers.spelled(opened, config.label_studio_server), task_type)
    found["counts"] = overview.counts(opened)
    found["models"] = _models(opened, config, task_type)
    found["sync"] = next(iter(syncs.last(opened)), None)
    opened.close()
    return opened.place


def _models(opened: ledger.Ledger, config: Config, task_type: str | None) -> list[dict[str, Any]]:
    """List the model in use per task type that has one.

    Its training that waits or runs is listed with it.
    """
    at_work = {
        one["task_type"]: one
        for one in versions.trainings(opened, task_type, limit=100)
        if one["state"] in _AT_WORK
    }
    names = [name for name in config.params.task_types if task_type in (None, name)]
    shown, instead = [], versions.stand_ins(opened, task_type)
    for name in names:
        used, bases = versions.promoted(opened, name), config.model(name).bases
        if used or bases:
            training = at_work.get(name)
            shown.append(
                {"task_type": name, "version": used.version if used else None,
                 "base": without_secrets(bases[0]) if bases else None,
                 "stands_in": _stand_in(instead.get(name)),
                 "measured": decisive(used.metrics) if used else "",
                 "since": used.promoted_at if used else None,
                 "training": f"{training['training_id']} {training['state']}" if training else None}
            )  # fmt: skip
    return shown


def _stand_in(found: versions.StandIn | None) -> dict[str, Any] | None:
    """Tell which model answers in place of the first choice, and why."""
    return {"version": found.version, "reason": found.reason, "since": found.since} if found else None


_AT_WORK = ("queued", "running", "interrupted")
