"""A model proposes: which one answers, and what it says of the samples that wait."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from lsloop import dvc
from lsloop.asking import Asking, Chosen, Loaded, Model, first
from lsloop.config import Config
from lsloop.errors import LsloopError, UsageError
from lsloop.ledger import Ledger, predictions, servers, versions
from lsloop.ledger import projects as ledger_projects
from lsloop.loop.job import resolved, template
from lsloop.models import Job
from lsloop.progress import SILENT, Progress
from lsloop.steps import imported, prediction


def model_in_use(ledger: Ledger, config: Config, task_type: str, named: str | None = None) -> Model | None:
    """The first choice of `models_to_ask`."""
    return next(iter(models_to_ask(ledger, config, task_type, named)), None)


def models_to_ask(ledger: Ledger, config: Config, task_type: str, named: str | None = None) -> list[Model]:
    """Return the models that may answer for a task type.

    That is the one named, else the promoted one, else a base of params.yaml. Of several bases the first that
    can be used answers.
    """
    name, _, _ = resolved(config, task_type)
    wanted = config.model(name)
    promoted = None if named else versions.promoted(ledger, name)
    if promoted:
        return [Model(str(config.project_dir / promoted.path), promoted.version, wanted.predicting)]
    return _bases(config, name, [named] if named else wanted.bases)


def models_that_answer(
    ledger: Ledger, config: Config, task_type: str, named: str | None = None
) -> list[Model]:
    """Return `models_to_ask`; raise UsageError where there is none."""
    if models := models_to_ask(ledger, config, task_type, named):
        return models
    raise UsageError(
        f"There is no model for {task_type}.",
        f"Name one with --model, or as models.{task_type}.base in params.yaml; `lsloop retrain` makes one.",
    )


def _bases(config: Config, name: str, places: list[str]) -> list[Model]:
    return [Model(config.model_path(place), None, config.model(name).predicting) for place in places]


def load_model(ledger: Ledger, config: Config, task_type: str, model: Model) -> Loaded:
    """Load a model of a task type.

    A folder that is not here is fetched if DVC tracks it.
    """
    dvc.fetch(config.project_dir, model.place)
    return asking(ledger, config, task_type).load(model)


def models_in_order(ledger: Ledger, config: Config, task_type: str) -> list[Model]:
    """List the models that can answer for a task type, the best first.

    These are the promoted one, what it replaced, and the base.
    """
    name, _, _ = resolved(config, task_type)
    known = {one.version: one for one in versions.listed(ledger, name)}
    now = next((one for one in known.values() if one.in_use), None)
    found: list[Model] = []
    while now:
        found.append(Model(str(config.project_dir / now.path), now.version, config.model(name).predicting))
        del known[now.version]  # two versions may have replaced each other
        now = known.get(now.replaces or "")
    return found + _bases(config, name, config.model(name).bases)


def asking(ledger: Ledger, config: Config, task_type: str) -> Asking:
    """Return how a model is asked for a task type.

    Its answers must fit the label config of the project, or the template.
    """
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
    """Have a model answer for the samples of a task type that wait for it.

    What it said before `since` does not count.
    """
    name, _, kind = resolved(config, task_type)
    models = models_that_answer(ledger, config, name, model)
    asked = asking(ledger, config, name)
    backlog = predictions.Backlog(name, kind.READS, "", since)

    def choose() -> Chosen:
        chosen = first(models, lambda one: load_model(ledger, config, name, one))
        if model is None:  # whoever names another model for once does not change what is wanted
            versions.stands_in(ledger, name, chosen.loaded.version, chosen.fallback)
        return chosen

    version, chosen = _version(config, models, asked), None
    # Of one model that is known, loading can wait until it has something to do.
    if not version or (
        len(models) > 1 and predictions.count(ledger, replace(backlog, model_version=version))
    ):
        chosen = choose()
        version = chosen.loaded.version
    return prediction.predict(
        ledger,
        replace(backlog, model_version=version),
        asked,
        lambda: (chosen or choose()).loaded,
        fallback=chosen.fallback if chosen else None,
        limit=limit,
        expect=progress.expect,
        advance=progress.advance,
    )


def _version(config: Config, models: list[Model], asked: Asking) -> str | None:
    """The version of the first choice, where it can be told without loading it."""
    try:
        dvc.fetch(config.project_dir, models[0].place)
        return models[0].known_version(asked.job)
    except LsloopError:
        if len(models) == 1:
            raise
        return None


def placed(config: Config, called: str) -> str:
    """Resolve where a model is.

    It is a folder of the project, fetched if DVC tracks it and it is not here, or else a hub's id.
    """
    dvc.fetch(config.project_dir, called)
    return config.model_path(called)


def import_predictions(
    ledger: Ledger,
    config: Config,
    task_type: str,
    path: Path,
    version: str | None,
    advance: Callable[[int], None],
) -> imported.Imported:
    """Write down what a model elsewhere said; see `steps.imported.read_in`."""
    name, _, _ = resolved(config, task_type)
    return imported.read_in(ledger, name, asking(ledger, config, name), path, version, advance)
