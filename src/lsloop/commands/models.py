"""Command `lsloop models`: versions, what they were made of, and which is in use."""

from typing import Annotated, Any

import typer

from lsloop import loop
from lsloop.commands._call import Call
from lsloop.commands._models import decisive, metrics_table, told
from lsloop.commands._options import ByOpt, NeededTaskTypeOpt, TaskTypeOpt, actor
from lsloop.commands._output import Table
from lsloop.commands._services import opened_ledger
from lsloop.ledger import versions
from lsloop.ledger.versions import Version

app = typer.Typer(
    no_args_is_help=True,
    help="""See model versions with their metrics and lineage; take one into use, or back out of use.

Example:
  lsloop models list
  lsloop models rollback -t transcript_correction --reason "drops short words"
""",
)

ReasonOpt = Annotated[str | None, typer.Option("--reason", metavar="WHY", help="Kept with the decision.")]

VersionArg = Annotated[
    str, typer.Argument(metavar="VERSION", help="A model version, or how it begins.", show_default=False)
]


@app.command("list")
def list_(ctx: typer.Context, task_type: TaskTypeOpt = None) -> None:
    """Show the versions, the newest first, and the last trainings.

    Example:
      lsloop models list --task-type transcript_correction
    """
    call = Call.of(ctx)
    name = call.config.task_type(task_type)[0] if task_type else None
    with opened_ledger(call.config) as ledger:
        there = [told(one) for one in versions.listed(ledger, name)]
        trainings = versions.trainings(ledger, name)
        instead = list(versions.stand_ins(ledger, name).values())
    shown: list[str | Table] = [_versions(there)] if there else ["No model was trained yet."]
    if trainings:
        shown.append(_trainings(trainings))
    shown += [f"For {one.task_type}, {one.version} is asked instead: {one.reason}." for one in instead]
    call.out.result({"versions": there, "trainings": trainings, "stand_ins": instead}, *shown)


@app.command()
def show(ctx: typer.Context, version: VersionArg) -> None:
    """Show a version: what was measured, what it was made of, and who took it into use or out of it.

    Example:
      lsloop models show 3fa9
    """
    call = Call.of(ctx)
    with opened_ledger(call.config) as ledger:
        found = told(versions.find(ledger, version))
        history = versions.history(ledger, found.version)
    lineage = Table(("made of", ""), list(_lineage(found).items()))
    events = [(_when(one["at"]), one["action"], one["actor"], one["reason"] or "") for one in history]
    shown: list[str | Table] = [metrics_table(found.version, found.metrics), lineage]
    shown += [Table(("when", "what", "who", "why"), events)] if events else []
    call.out.result({**vars(found), "history": history}, *shown)


@app.command()
def promote(ctx: typer.Context, version: VersionArg, reason: ReasonOpt = None, by: ByOpt = None) -> None:
    """Take a version into use, in every running server within seconds.

    Example:
      lsloop models promote 3fa9 --reason "checked by ear on 50 clips"
    """
    call = Call.of(ctx)
    with opened_ledger(call.config) as ledger:
        was = loop.promote(ledger, call.config, version, actor=actor(by), reason=reason)
        found = versions.find(ledger, was.version)
    said = f"{found.version} is in use for {found.task_type}" + (" already." if was.in_use else ".")
    call.out.result({"version": found.version, "promoted": not was.in_use, "replaces": found.replaces}, said)


@app.command()
def rollback(
    ctx: typer.Context, task_type: NeededTaskTypeOpt, reason: ReasonOpt = None, by: ByOpt = None
) -> None:
    """Take back into use what the version in use replaced; repeated, further back, at last to the base model.

    Example:
      lsloop models rollback --task-type transcript_correction
    """
    call = Call.of(ctx)
    with opened_ledger(call.config) as ledger:
        done = loop.roll_back(ledger, call.config, task_type, actor=actor(by), reason=reason)
    said = f"{done.now or 'The base model'} is in use again, instead of {done.was}."
    call.out.result(done._asdict(), said)


def _versions(there: list[Version]) -> Table:
    rows = [
        (one.version, one.task_type, _state(one), decisive(one.metrics), _gain(one.metrics), one.base,
         _when(one.created_at))
        for one in there
    ]  # fmt: skip
    return Table(
        ("version", "task type", "state", "measured", "gain (95 %)", "from", "made"), rows, title="Models"
    )


def _trainings(trainings: list[dict[str, Any]]) -> Table:
    rows = [
        (one["training_id"], one["task_type"], one["state"], one["requested_by"], one["reason"] or "",
         _when(one["started_at"] or one["requested_at"]), one["error"] or one["outcome"] or "")
        for one in trainings
    ]  # fmt: skip
    columns = ("training", "task type", "state", "asked by", "why", "when", "what became of it")
    return Table(columns, rows, title="Trainings")


def _state(one: Version) -> str:
    return "in use" if one.in_use else "was in use" if one.promoted_at else "not promoted"


def _gain(metrics: dict[str, Any]) -> str:
    gain = metrics.get("gain")
    return f"{gain['value']:+.3f} ({gain['low']:+.3f} to {gain['high']:+.3f})" if gain else ""


def _lineage(one: Version) -> dict[str, str]:
    settings = one.params.get("training", {})
    samples = one.metrics.get("samples", {})
    return {
        "base": one.base,
        "data": one.data_sha256[:12]
        + "".join(f", {samples[name]:,} {name}" for name in _SPLITS if name in samples),
        "settings": ", ".join(f"{name} {value}" for name, value in settings.items()) or "as they come",
        "seed": str(one.seed),
        "processes": str(one.params.get("processes", 1)),
        "code": one.code_version,
        "weights": one.weights,
        "files": one.path,
        "made": _when(one.created_at),
        "replaced": one.replaces or ("the base model" if one.promoted_at else ""),
    }


_SPLITS = ("train", "validation", "test")


def _when(at: Any) -> str:
    return f"{at:%Y-%m-%d %H:%M}" if at else ""
