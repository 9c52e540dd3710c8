"""`lsloop setup`: the Label Studio projects."""

from dataclasses import asdict
from typing import Annotated

import typer

from lsloop import loop, task_types
from lsloop.commands._call import Call
from lsloop.commands._options import TaskTypeOpt
from lsloop.commands._output import Output, Table
from lsloop.commands._services import both
from lsloop.errors import LsloopError, Unreachable, UsageError
from lsloop.loop.job import resolved
from lsloop.steps.ml_backend import Attached
from lsloop.steps.project import Setup


def setup(
    ctx: typer.Context,
    task_type: TaskTypeOpt = None,
    recreate: Annotated[
        bool, typer.Option("--recreate", help="Make a project anew that was deleted in Label Studio.")
    ] = False,
    also_here: Annotated[
        bool,
        typer.Option(
            "--also-here", help="Make a project here, too, although its tasks are in another Label Studio."
        ),
    ] = False,
    lost: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="The Label Studio met under this name is lost for good, "
            "with the answers in it that were not pulled: send its tasks again.",
        ),
    ] = None,
    test_predict: Annotated[
        bool, typer.Option("--test-predict", help="Have Label Studio ask each model about a task.")
    ] = False,
) -> None:
    """Create or verify the Label Studio project of each task type, and its webhook; says what differs. Safe
    to repeat.

    Says what it understood of each job: which sample fields it reads and writes, and how answers are
    measured.

    Where a task type has a model, Label Studio is told to ask it, through `lsloop serve`, which must be
    running.

    Example:
      lsloop setup
      lsloop setup --task-type transcript_correction --test-predict
    """
    call = Call.of(ctx)
    names = [task_type] if task_type else list(call.config.params.task_types)
    flags = {"--recreate": recreate, "--also-here": also_here, "--lost": lost is not None}
    if not task_type and any(flags.values()):
        flag = next(name for name, given in flags.items() if given)
        raise UsageError(f"{flag} needs to be told which project.", "Add --task-type T.")
    failed: dict[str, LsloopError] = {}
    done: dict[str, Setup] = {}
    asked: dict[str, Attached | None] = {}
    with both(call.config) as (ledger, studio):
        for name in names:
            try:
                done[name] = found = loop.setup(
                    ledger,
                    studio,
                    call.config,
                    name,
                    recreate=recreate,
                    also_here=also_here,
                    lost=lost,
                    verify_webhook=True,
                )
                asked[name] = loop.attach_model(ledger, studio, call.config, found.project, test=test_predict)
            except (
                LsloopError
            ) as error:  # one template's fault must not keep the others' projects from being made
                if len(names) == 1 or isinstance(error, Unreachable):
                    raise
                failed[name] = error
    understood = {name: task_types.described(resolved(call.config, name)[2]) for name in done}
    url = call.config.label_studio_url
    rows = [
        (name, str(s.project.ls_project_id), "created" if s.created else "verified",
         "; ".join(s.drift) or "none",
         "not registered" if s.no_events else "registered", f"{url}/projects/{s.project.ls_project_id}/")
        for name, s in done.items()
    ]  # fmt: skip
    call.out.result(
        {
            name: {
                "project": s.project.ls_project_id,
                "created": s.created,
                "drift": s.drift,
                "no_events": s.no_events,
                "model": asked.get(name),
                **asdict(understood[name]),
            }
            for name, s in done.items()
        },
        Table(("task type", "project", "state", "drift", "webhook", "URL"), rows),
        _jobs(understood, asked),
        *_models(asked, test_predict),
    )
    _tell_models(call.out, asked)
    for why in sorted({s.no_events for s in done.values() if s.no_events}):
        call.out.note(f"Label Studio sends no events. {why}")
    for name, trouble in failed.items():
        call.out.warn(f"{name}: {trouble.problem.removeprefix(f'{name}: ')} {trouble.fix}")
    if failed:
        raise typer.Exit(max(trouble.exit_code for trouble in failed.values()))
    if any(found and found.problem and (found.url or test_predict) for found in asked.values()):
        raise typer.Exit(1)


def _jobs(understood: dict[str, task_types.Described], asked: dict[str, Attached | None]) -> Table:
    """Tabulate what lsloop understood of each job.

    That is what annotators see and answer, how answers are measured, and which model answers.
    """
    models = {name: found.model_version for name, found in asked.items() if found}
    rows = [
        (name, ", ".join(job.reads), ", ".join(job.writes), job.measure, models.get(name) or "none")
        for name, job in understood.items()
    ]
    return Table(("task type", "reads", "writes", "measure", "model"), rows)


def _models(asked: dict[str, Attached | None], tested: bool) -> list[Table]:
    """The models that Label Studio asks."""
    rows = [
        (name, found.model_version, "; ".join(found.drift) or "none", *((found.tested,) if tested else ()))
        for name, found in asked.items()
        if found and found.ls_backend_id is not None
    ]
    columns = (
        "task type",
        "model that Label Studio asks",
        "drift",
        *(("test prediction",) if tested else ()),
    )
    return [Table(columns, rows)] if rows else []


def _tell_models(out: Output, asked: dict[str, Attached | None]) -> None:
    for name, found in asked.items():
        if found and found.problem:
            out.warn(f"The model of {name} does not pre-annotate on the page. {found.problem}")
