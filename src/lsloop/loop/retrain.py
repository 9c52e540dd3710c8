"""A better model: fine-tuned on what was exported, taken into use, and the way back."""

from functools import partial

from lsloop import __version__, dvc
from lsloop.config import Config
from lsloop.ledger import Ledger, versions
from lsloop.loop.job import resolved
from lsloop.loop.predict import asking, placed
from lsloop.steps import retraining
from lsloop.values import promotion


def retrain(
    ledger: Ledger,
    config: Config,
    task_type: str,
    *,
    actor: str,
    reason: str | None = None,
    base: str | None = None,
    resume: bool = False,
    rule: promotion.Rule = "if_better",
    processes: int | None = None,
    progress: retraining.Progress = retraining.SILENT,
) -> retraining.Done:
    """Fine-tune on what was exported, and use the result if it is better.

    It must be better on the frozen test split.
    """
    name, _, _ = resolved(config, task_type)
    commit = dvc.head(config.project_dir)
    wanted = retraining.Wanted(
        task_type=name,
        asking=asking(ledger, config, name),
        settings=config.model(name),
        project_dir=config.project_dir,
        data_dir=config.reviewed_dir / name,
        work_dir=config.state_dir / "trainings" / name,
        find_model=partial(placed, config),
        code_version=f"lsloop {__version__}" + (f", project at {commit}" if commit else ""),
        actor=actor,
        reason=reason,
        base=base,
        rule=rule,
        must_resume=resume,
        processes=processes,
    )
    return retraining.retrain(ledger, wanted, progress)


def check_base(ledger: Ledger, config: Config, task_type: str, base: str | None) -> None:
    """Raise UsageError where a training has no model to begin from or compare with."""
    settings = config.model(task_type)
    start = base or settings.bases or (settings.start == "promoted" and versions.promoted(ledger, task_type))
    if not start:
        raise retraining.no_base(task_type)


def promote(
    ledger: Ledger, config: Config, version: str, *, actor: str, reason: str | None
) -> versions.Version:
    """Take a model version into use, and return its full name.

    Its files must be here and whole.
    """
    found = versions.find(ledger, version)
    retraining.require_whole(config.project_dir, found)
    versions.promote(ledger, found.version, actor, reason)
    return found


def roll_back(
    ledger: Ledger, config: Config, task_type: str, *, actor: str, reason: str | None
) -> versions.RolledBack:
    """Take back into use what the model version in use replaced.

    Its files must be here and whole.
    """
    name, _, _ = resolved(config, task_type)
    in_use = versions.promoted(ledger, name)
    if in_use and in_use.replaces:
        retraining.require_whole(config.project_dir, versions.find(ledger, in_use.replaces))
    return versions.roll_back(ledger, name, actor, reason)
