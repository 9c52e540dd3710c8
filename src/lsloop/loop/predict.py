"""A model proposes: which one answers, and what it says of the samples that wait."""

from datetime import datetime

from lsloop import dvc
from lsloop.asking import Asking, Loaded, Model
from lsloop.config import Config
from lsloop.errors import UsageError
from lsloop.ledger import Ledger, predictions, servers, versions
from lsloop.ledger import projects as ledger_projects
from lsloop.loop.job import resolved, template
from lsloop.models import Job
from lsloop.progress import SILENT, Progress
from lsloop.steps import prediction


def model_in_use(ledger: Ledger, config: Config, task_type: str, named: str | None = None) -> Model | None:
    """The model that answers for a task type: the one named, else the promoted one, else the base of params.yaml."""
    name, _, _ = resolved(config, task_type)
    wanted = config.model(name)
    promoted = None if named else versions.promoted(ledger, name)
    if promoted:
        return Model(str(config.project_dir / promoted.path), promoted.version, wanted.predicting)
    place = named or wanted.base
    return Model(placed(config, place), None, wanted.predicting) if place else None


def load_model(ledger: Ledger, config: Config, task_type: str, model: Model) -> Loaded:
    """Load a model of a task type; a folder that is not here is fetched if DVC tracks it."""
    dvc.fetch(config.project_dir, model.place)
    return asking(ledger, config, task_type).load(model)


def models_in_order(ledger: Ledger, config: Config, task_type: str) -> list[Model]:
    """The models that can answer for a task type, the best first: the promoted one, what it replaced, and the base."""
    name, _, _ = resolved(config, task_type)
    known = {one.version: one for one in versions.listed(ledger, name)}
    now = next((one for one in known.values() if one.in_use), None)
    found: list[Model] = []
    while now:
        found.append(Model(str(config.project_dir / now.path), now.version, config.model(name).predicting))
        del known[now.version]  # two versions may have replaced each other
        now = known.get(now.replaces or "")
    if base := config.model(name).base:
        found.append(Model(config.model_path(base), None, config.model(name).predicting))
    return found


def asking(ledger: Ledger, config: Config, task_type: str) -> Asking:
    """How a model is asked for a task type; its answers must fit the label config of the project, or the template."""
    name, settings, kind = resolved(config, task_type)
    there = ledger_projects.find(ledger, name, servers.spelled(ledger, config.label_studio_server))
    label_config = there.label_config if there else None
    job = Job(settings.kind, label_config or template(config, name, settings))
    return Asking(job, kind, config.raw_dir)


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
    asked = asking(ledger, config, name)
    version = found.known_version(asked.job)
    loaded = None if version else load_model(ledger, config, name, found)
    return prediction.predict(
        ledger,
        predictions.Backlog(name, kind.READS, version or loaded.version, since),  # type: ignore[union-attr]
        asked,
        lambda: loaded or load_model(ledger, config, name, found),
        limit=limit,
        expect=progress.expect,
        advance=progress.advance,
    )


def placed(config: Config, called: str) -> str:
    """Where a model is: a folder of the project, fetched if DVC tracks it and it is not here; else a hub's id."""
    dvc.fetch(config.project_dir, called)
    return config.model_path(called)
