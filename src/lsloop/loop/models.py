"""Models: which one answers, what it says of what waits, a better one, and the way back."""

from datetime import datetime

from lsloop import __version__, pipeline, promotion
from lsloop.config import Config
from lsloop.errors import UsageError
from lsloop.ledger import Ledger, models, predictions, servers
from lsloop.ledger import projects as ledger_projects
from lsloop.loop.given import resolved, template
from lsloop.progress import SILENT, Progress
from lsloop.steps import (
    prediction,
    training,
)


def model_in_use(ledger: Ledger, config: Config, task_type: str, named: str | None = None) -> prediction.Model | None:
    """The model that answers for a task type: the one named, else the promoted one, else the base of params.yaml."""
    name, _, _ = resolved(config, task_type)
    wanted = config.model(name)
    promoted = None if named else models.promoted(ledger, name)
    if promoted:
        return prediction.Model(str(config.project_dir / promoted.path), promoted.version, wanted.predicting)
    place = named or wanted.base
    return prediction.Model(_model(config, place), None, wanted.predicting) if place else None


def load_model(config: Config, task_type: str, model: prediction.Model) -> prediction.Loaded:
    """Load a model of a task type; a folder that is not here is fetched if DVC tracks it."""
    _, settings, _ = resolved(config, task_type)
    pipeline.fetch(config.project_dir, model.place)
    return prediction.load(settings.kind, model)


def models_in_order(ledger: Ledger, config: Config, task_type: str) -> list[prediction.Model]:
    """The models that can answer for a task type, the best first: the promoted one, what it replaced, and the base."""
    name, _, _ = resolved(config, task_type)
    known = {one.version: one for one in models.versions(ledger, name)}
    now = next((one for one in known.values() if one.in_use), None)
    found: list[prediction.Model] = []
    while now:
        found.append(prediction.Model(str(config.project_dir / now.path), now.version, config.model(name).predicting))
        del known[now.version]  # two versions may have replaced each other
        now = known.get(now.replaces or "")
    if base := config.model(name).base:
        found.append(prediction.Model(config.model_path(base), None, config.model(name).predicting))
    return found


def asking(ledger: Ledger, config: Config, task_type: str) -> prediction.Asking:
    """How a model is asked for a task type; its answers must fit the label config of the project, or the template."""
    name, settings, kind = resolved(config, task_type)
    there = ledger_projects.find(ledger, name, servers.spelled(ledger, config.label_studio_server))
    label_config = there.label_config if there else None
    return prediction.Asking(kind, label_config or template(config, name, settings), config.raw_dir)


def predict(
    ledger: Ledger,
    config: Config,
    task_type: str,
    *,
    limit: int | None = None,
    since: datetime | None = None,
    model: str | None = None,
    progress: Progress = SILENT,
) -> prediction.Predicted:
    """Have a model answer for the samples of a task type that wait for it; what it said before `since` does not count."""
    name, _, kind = resolved(config, task_type)
    found = model_in_use(ledger, config, name, model)
    if found is None:
        raise UsageError(
            f"There is no model for {name}.",
            f"Name one with --model, or as models.{name}.base in params.yaml; `lsloop retrain` makes one.",
        )
    version = found.known_version()
    loaded = None if version else load_model(config, name, found)
    return prediction.predict(
        ledger,
        predictions.Backlog(name, kind.READS, version or loaded.version, since),  # type: ignore[union-attr]
        asking(ledger, config, name),
        lambda: loaded or load_model(config, name, found),
        limit=limit,
        expect=progress.expect,
        advance=progress.advance,
    )


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
    progress: training.Progress = training.SILENT,
) -> training.Done:
    """Fine-tune on what was exported, and take the result into use if it is better on the frozen test split."""
    name, settings, kind = resolved(config, task_type)
    commit = pipeline.head(config.project_dir)
    wanted = training.Wanted(
        task_type=name,
        kind_name=settings.kind,
        kind=kind,
        settings=config.model(name),
        project_dir=config.project_dir,
        data_dir=config.reviewed_dir / name,
        work_dir=config.state_dir / "trainings" / name,
        find_model=lambda called: _model(config, called),
        code_version=f"lsloop {__version__}" + (f", project at {commit}" if commit else ""),
        actor=actor,
        reason=reason,
        base=base,
        rule=rule,
        must_resume=resume,
        processes=processes,
    )
    return training.retrain(ledger, wanted, progress)


def _model(config: Config, called: str) -> str:
    """Where a model is: a folder of the project, fetched if DVC tracks it and it is not here; else a hub's id."""
    pipeline.fetch(config.project_dir, called)
    return config.model_path(called)


def promote(ledger: Ledger, config: Config, version: str, *, actor: str, reason: str | None) -> models.Version:
    """Take a model version into use, whose files must be here and whole; what it is called in full."""
    found = models.find(ledger, version)
    training.require_whole(config.project_dir, found)
    models.promote(ledger, found.version, actor, reason)
    return found


def roll_back(
    ledger: Ledger, config: Config, task_type: str, *, actor: str, reason: str | None
) -> models.RolledBack:
    """Take back into use what the model version in use replaced; its files must be here and whole."""
    name, _, _ = resolved(config, task_type)
    in_use = models.promoted(ledger, name)
    if in_use and in_use.replaces:
        training.require_whole(config.project_dir, models.find(ledger, in_use.replaces))
    return models.roll_back(ledger, name, actor, reason)
