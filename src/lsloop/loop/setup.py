"""Label Studio projects, one for each task type: made and verified.

Each is told where to send events and which model to ask.
"""

from lsloop import resources
from lsloop.config import ML_USER, Config
from lsloop.errors import Skipped, UsageError
from lsloop.labelstudio import ml, webhooks
from lsloop.labelstudio.client import LabelStudio
from lsloop.ledger import Ledger, servers
from lsloop.ledger import projects as ledger_projects
from lsloop.loop.job import resolved, template
from lsloop.loop.predict import models_in_order
from lsloop.records import Project
from lsloop.steps import (
    event,
    ml_backend,
    project,
)
from lsloop.task_types import Kind


def setup(
    ledger: Ledger,
    studio: LabelStudio,
    config: Config,
    task_type: str,
    *,
    recreate: bool = False,
    also_here: bool = False,
    lost: str | None = None,
    verify_webhook: bool = False,
    reading: bool = False,
) -> project.Setup:
    """Make or verify the Label Studio project of a task type.

    Its webhook is made with it, and verified when asked. Only to read answers (`reading`), a label config
    will do that some of them cannot be understood by.
    """
    wanted, kind = _wanted(config, task_type, reading=reading)
    done = project.setup(ledger, studio, wanted, kind, recreate=recreate, also_here=also_here, lost=lost)
    if not done.created:
        done.drift += project.adopt(ledger, studio, done.project, kind, wanted.settings.overlap)
    if hook := _hook(config):
        project.register_webhook(ledger, studio, done, hook, verify=verify_webhook)
    else:
        done.no_events = NO_URL
    return done


def inspect(ledger: Ledger, studio: LabelStudio, config: Config, task_type: str) -> str:
    """Report what `setup` would find, and change nothing.

    Raises LsloopError where something is not as it should be.
    """
    wanted, kind = _wanted(config, task_type)
    return project.inspect(ledger, studio, wanted, kind, _hook(config))


def _wanted(config: Config, task_type: str, *, reading: bool = False) -> tuple[project.Wanted, Kind]:
    name, settings, kind = resolved(config, task_type)
    wanted = project.Wanted(
        task_type=name,
        settings=settings,
        label_config=template(config, name, settings),
        server=config.label_studio_server,
        ls_project_id=config.configured_ls_project(name),
        settle=config.params.push.settle_seconds,
        reading=reading,
        instruction=resources.instruction(settings.template or name, config.project_dir),
    )
    return wanted, kind


def _hook(config: Config) -> webhooks.Webhook | None:
    """Return how Label Studio is to send events; None when nobody said where to."""
    url = config.webhook_url
    return webhooks.Webhook(url, config.webhook_secret, event.ACTIONS) if url else None


def attach_model(
    ledger: Ledger,
    studio: LabelStudio,
    config: Config,
    there: Project,
    *,
    test: bool = False,
    patience: float = 60,
) -> ml_backend.Attached | None:
    """Have Label Studio ask the model of a task type, through `lsloop serve`.

    None where there is no model.
    """
    name = there.task_type
    if not models_in_order(ledger, config, name):
        return None
    if config.ml_url is None:
        return ml_backend.Attached("", problem=NO_URL)
    return ml_backend.attach(ledger, studio, there, _backend(config, name), test=test, patience=patience)


def inspect_model(ledger: Ledger, studio: LabelStudio, config: Config, task_type: str) -> str:
    """Check that Label Studio asks the model of a task type, and change nothing.

    It must get an answer that fits.
    """
    name, _, _ = resolved(config, task_type)
    if not models_in_order(ledger, config, name):
        raise Skipped("there is no model for it")
    if config.ml_url is None:
        raise Skipped(NO_URL)
    return ml_backend.inspect(studio, pushed(ledger, config, name), _backend(config, name))


def _backend(config: Config, name: str) -> ml.Backend:
    return ml.Backend(f"{config.ml_url}/{name}", f"lsloop {name}", ML_USER, config.ml_password)


NO_URL = (
    "Set LSLOOP_WEBHOOK_URL to where Label Studio reaches `lsloop serve`; until then, pulls bring everything."
)


def known(
    ledger: Ledger, studio: LabelStudio, config: Config, task_type: str, *, dry_run: bool = False
) -> project.Setup:
    """Find the project to pull from, verified.

    Answers to a label config that does not fit cannot be understood. With `dry_run` it is only looked at:
    nothing is written, neither in Label Studio nor in the ledger.
    """
    wanted, kind = _wanted(config, task_type, reading=True)
    if dry_run:
        return project.Setup(project.look_up(ledger, studio, wanted, kind))
    place = project.recognise(ledger, studio, wanted.server)
    if wanted.task_type not in ledger_projects.pushed(ledger, place.server.name):
        project.refuse_another(ledger, studio, place, wanted.task_type)
        raise _nothing_pushed(wanted.task_type)
    return setup(ledger, studio, config, task_type, reading=True)


def _nothing_pushed(name: str) -> UsageError:
    return UsageError(f"Nothing was pushed for {name} yet.", f"Run `lsloop push --task-type {name}` first.")


def pushed(ledger: Ledger, config: Config, task_type: str) -> Project:
    """Return the project as the ledger knows it.

    Raises UsageError when nothing was pushed yet.
    """
    name, _, _ = resolved(config, task_type)
    found = ledger_projects.find(ledger, name, servers.spelled(ledger, config.label_studio_server))
    if found is None or found.ls_project_id is None:
        raise _nothing_pushed(name)
    return found


def task_types_here(ledger: Ledger, studio: LabelStudio, config: Config) -> list[str]:
    """List the task types that were pushed to the Label Studio at hand.

    Raises UsageError where tasks are at work in another one and nothing in this one.
    """
    place = project.recognise(ledger, studio, config.label_studio_server)
    found = ledger_projects.pushed(ledger, place.server.name)
    if not found:
        project.refuse_another(ledger, studio, place)
    return found
