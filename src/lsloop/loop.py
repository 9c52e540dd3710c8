"""The loop on one page: ingest → push → (people annotate in Label Studio) → pull, or an event → conflict → revision.

Each function here is one turn of it for one task type: it puts the steps together, which never know each other.
"""

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from lsloop import __version__, layouts, pipeline, promotion, resources, task_types
from lsloop.config import ML_USER, Config, TaskType
from lsloop.errors import UsageError
from lsloop.labelstudio import conversion, ml, webhooks
from lsloop.labelstudio.client import LabelStudio
from lsloop.ledger import Ledger, Transaction, annotations, events, exports, gold, models, predictions
from lsloop.ledger import projects as ledger_projects
from lsloop.ledger.tasks import Plan
from lsloop.records import Claim, Order, Project, Sample
from lsloop.steps import (
    annotation,
    conflict,
    consensus,
    event,
    ml_backend,
    prediction,
    project,
    refresh,
    task,
    training,
)
from lsloop.steps import export as steps_export
from lsloop.steps import gold as steps_gold
from lsloop.task_types import Kind


@dataclass(frozen=True)
class Progress:
    """How a long step tells how far it is: once `expect`, then `advance`; `waiting` when somebody else is at it."""

    expect: Callable[[int], None] = lambda total: None
    advance: Callable[[int], None] = lambda done: None
    waiting: Callable[[], None] = lambda: None


SILENT = Progress()


def setup(
    ledger: Ledger,
    studio: LabelStudio,
    config: Config,
    task_type: str,
    *,
    recreate: bool = False,
    verify_webhook: bool = False,
) -> project.Setup:
    """Make or verify the Label Studio project of a task type; its webhook is made with it, and verified when asked."""
    wanted, kind = _wanted(config, task_type)
    done = project.setup(ledger, studio, wanted, kind, recreate=recreate)
    if hook := _hook(config):
        project.register_webhook(ledger, studio, done, hook, verify=verify_webhook)
    else:
        done.no_events = _NO_URL
    return done


def inspect(ledger: Ledger, studio: LabelStudio, config: Config, task_type: str) -> str:
    """What `setup` would find; changes nothing. Raises LsloopError where something is not as it should be."""
    wanted, kind = _wanted(config, task_type)
    return project.inspect(ledger, studio, wanted, kind, _hook(config))


def _wanted(config: Config, task_type: str) -> tuple[project.Wanted, Kind]:
    name, settings, kind = _resolved(config, task_type)
    wanted = project.Wanted(
        task_type=name,
        settings=settings,
        label_config=_template(config, name, settings),
        server=config.label_studio_server,
        ls_project_id=config.configured_ls_project(name),
        settle=config.params.push.settle_seconds,
    )
    return wanted, kind


def _hook(config: Config) -> webhooks.Webhook | None:
    """How Label Studio is to send events; None when nobody said where to."""
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
    """Have Label Studio ask the model of a task type, through `lsloop serve`; None where there is no model."""
    name = there.task_type
    if not models_in_order(ledger, config, name):
        return None
    if config.ml_url is None:
        return ml_backend.Attached("", problem=_NO_URL)
    wanted = ml.Backend(f"{config.ml_url}/{name}", f"lsloop {name}", ML_USER, config.ml_password)
    return ml_backend.attach(ledger, studio, there, wanted, test=test, patience=patience)


_NO_URL = "Nobody said where Label Studio reaches `lsloop serve`: set LSLOOP_WEBHOOK_URL. Pulls bring everything."


def plan_push(
    ledger: Ledger,
    config: Config,
    task_type: str,
    *,
    limit: int | None = None,
    order: Order | None = None,
    seed: str = "",
) -> list[Sample]:
    """The samples that `push` would send now, in order."""
    choice = _choice(config, task_type, order, seed)
    return task.plan(ledger, choice, config.params.push.limit if limit is None else limit)


def push(
    ledger: Ledger,
    studio: LabelStudio,
    config: Config,
    task_type: str,
    *,
    limit: int | None = None,
    order: Order | None = None,
    seed: str = "",
    progress: Progress = SILENT,
) -> task.Pushed:
    """Send samples to Label Studio, each exactly once; the project is made or verified first."""
    there = setup(ledger, studio, config, task_type).project
    _, _, kind = _resolved(config, task_type)
    done = _refreshed(ledger, studio, config, there, kind)
    pushed = task.push(
        ledger,
        studio,
        there,
        kind,
        _choice(config, task_type, order, seed),
        limit=config.params.push.limit if limit is None else limit,
        params=config.params.push,
        media=_media(config),
        advance=progress.advance,
        waiting=progress.waiting,
    )
    pushed.refreshed = done.refreshed
    pushed.unfit += done.problems
    return pushed


def pull(
    ledger: Ledger,
    studio: LabelStudio,
    config: Config,
    task_type: str,
    *,
    full: bool = False,
    dry_run: bool = False,
    progress: Progress = SILENT,
) -> annotation.Pulled:
    """Bring the answers of a task type back: annotations, and what follows from them: revisions, conflicts, decisions."""
    there, (_, _, kind) = _known(ledger, studio, config, task_type), _resolved(config, task_type)
    court = _court(config, there)
    pulled = annotation.pull(
        ledger,
        studio,
        there,
        kind,
        params=config.params.pull,
        judge=court.judge,
        full=full,
        dry_run=dry_run,
        expect=progress.expect,
        advance=progress.advance,
        waiting=progress.waiting,
        meet_twins=lambda twins: task.remove_seen_twins(ledger, studio, there, twins),
    )
    if not dry_run:
        _follow(ledger, studio, config, there, court, pulled)
        done = _refreshed(ledger, studio, config, there, kind)
        pulled.refreshed, pulled.not_refreshed = done.refreshed, done.problems
    pulled.problems += sorted(set(court.problems))
    return pulled


def look(
    ledger: Ledger, studio: LabelStudio, config: Config, there: Project, ls_task_ids: Collection[int]
) -> annotation.Pulled:
    """Do for some tasks of a project what a pull does for all that changed: read them, and let follow what follows.

    The project is not verified and the cursor stays where it is.
    """
    _, _, kind = _resolved(config, there.task_type)
    court = _court(config, there)
    looked = annotation.look(
        ledger, studio, there, kind, ls_task_ids, params=config.params.pull, judge=court.judge
    )
    _follow(ledger, studio, config, there, court, looked)
    looked.problems += sorted(set(court.problems))
    return looked


def _follow(
    ledger: Ledger, studio: LabelStudio, config: Config, there: Project, court: "_Court", pulled: annotation.Pulled
) -> None:
    """What follows from answers that came in."""
    done = _accepted(ledger, config, there, court)
    pulled.received.include(done.received)
    pulled.decided, pulled.parked, pulled.training = done.decided, done.parked, done.training
    consensus.remove_needless(ledger, studio, there)


def process_events(ledger: Ledger, studio: LabelStudio, config: Config) -> event.Processed:
    """Look at the tasks that stored events name, those of a burst once; answers when no event is due any more."""
    with ledger.in_turn("lsloop events"):  # two at once would look at the same tasks
        return event.process(
            ledger,
            config.label_studio_server,
            lambda there, ids: look(ledger, studio, config, there, ids),
            tries=config.params.events.tries,
        )


def attend(ledger: Ledger, studio: LabelStudio, config: Config, stop: Callable[[], bool]) -> None:
    """Process events as they arrive, until `stop()`. Raises Unreachable when PostgreSQL goes away."""
    with events.arriving(ledger) as wait:
        forget_at = 0.0
        while not stop():
            process_events(ledger, studio, config)
            if time.monotonic() > forget_at:
                events.forget(ledger, config.params.events.keep_days)
                forget_at = time.monotonic() + _HOUR
            due_again = time.monotonic() + _PATIENCE
            while not stop() and not wait(_GLANCE) and time.monotonic() < due_again:
                pass


_HOUR = 3600.0
_PATIENCE = 1.0  # seconds until events are looked for that are due again
_GLANCE = 0.2  # seconds until a stop is noticed


@dataclass
class Accepted:
    """What followed, in the ledger alone, from what had come in: see `annotation.Pulled`."""

    received: annotations.Received
    decided: dict[str, int]
    parked: int
    problems: list[str]
    training: int | None  # that was asked for because of how many annotations are accepted


def accept(ledger: Ledger, config: Config, task_type: str) -> Accepted:
    """Score, settle and decide what is in the ledger, also while Label Studio does not answer. Raises UsageError."""
    there = _pushed(ledger, config, task_type)
    return _accepted(ledger, config, there, _court(config, there))


def _accepted(ledger: Ledger, config: Config, there: Project, court: "_Court") -> Accepted:
    _, settings, kind = _resolved(config, there.task_type)
    received = court.examine_all(ledger, there)
    decided = conflict.by_rule(ledger, there, kind, settings.conflicts)
    parked = task.park(ledger, there, config.params.pull.skips)
    return Accepted(received, decided, parked, court.problems, _milestone(ledger, config, there.task_type))


def _milestone(ledger: Ledger, config: Config, task_type: str) -> int | None:
    """The training that is asked for because so many annotations are accepted now; a worker does it."""
    if config.model(task_type).base is None:
        return None
    return models.reach(ledger, task_type, config.params.retrain.milestones, config.params.retrain.every)


def _refreshed(
    ledger: Ledger, studio: LabelStudio, config: Config, there: Project, kind: Kind
) -> refresh.Refreshed:
    """Tasks that nobody has started show what their samples are now."""

    def made(claims: Sequence[Claim], unfit: list[str]) -> list[dict[str, Any]]:
        return task.making(ledger, there, kind, _media(config))(claims, unfit)

    return refresh.refresh(ledger, studio, there, made, params=config.params.push)


def model_in_use(ledger: Ledger, config: Config, task_type: str, named: str | None = None) -> prediction.Model | None:
    """The model that answers for a task type: the one named, else the promoted one, else the base of params.yaml."""
    name, _, _ = _resolved(config, task_type)
    wanted = config.model(name)
    promoted = None if named else models.promoted(ledger, name)
    if promoted:
        return prediction.Model(str(config.project_dir / promoted.path), promoted.version, wanted.predicting)
    place = named or wanted.base
    return prediction.Model(_model(config, place), None, wanted.predicting) if place else None


def load_model(config: Config, task_type: str, model: prediction.Model) -> prediction.Loaded:
    """Load a model of a task type; a folder that is not here is fetched if DVC tracks it."""
    _, settings, _ = _resolved(config, task_type)
    pipeline.fetch(config.project_dir, model.place)
    return prediction.load(settings.kind, model)


def models_in_order(ledger: Ledger, config: Config, task_type: str) -> list[prediction.Model]:
    """The models that can answer for a task type, the best first: the promoted one, what it replaced, and the base."""
    name, _, _ = _resolved(config, task_type)
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
    name, settings, kind = _resolved(config, task_type)
    there = ledger_projects.find(ledger, name, config.label_studio_server)
    label_config = there.label_config if there else None
    return prediction.Asking(kind, label_config or _template(config, name, settings), config.raw_dir)


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
    name, _, kind = _resolved(config, task_type)
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


def release(
    ledger: Ledger,
    config: Config,
    annotator: str,
    task_type: str | None,
    *,
    actor: str,
    reason: str | None = None,
) -> dict[str, dict[str, int]]:
    """Lift an annotator's quarantines and settle what was held; what became of it, per task type."""
    done: dict[str, dict[str, int]] = {}
    with ledger.transaction() as transaction:
        for name, keys in gold.release(transaction, annotator, task_type, actor, reason).items():
            done[name] = annotations.settle(transaction, keys, _jury(config, name).judge)
    return done


def export(
    ledger: Ledger,
    config: Config,
    *,
    task_type: str | None = None,
    target: Path | None = None,
    layout: str = "tree",
    limit: int | None = None,
    again: bool = False,
    with_manifest: bool = True,
    dry_run: bool = False,
    progress: Progress = SILENT,
) -> steps_export.Exported:
    """Bring data/reviewed (or `target`) up to what people accepted; without a task type for all of them."""
    shares = config.params.export
    wanted = steps_export.Wanted(
        target=(target or config.reviewed_dir).resolve(),
        raw_dir=config.raw_dir.resolve(),
        project_dir=config.project_dir,
        layout=layouts.load(layout),
        kinds=_kinds(config, task_type),
        label_configs=_label_configs(config, task_type, layout),
        validation=shares.validation,
        test=shares.test,
        limit=limit,
        again=again,
        with_manifest=with_manifest,
    )
    if dry_run:
        return steps_export.plan(ledger, wanted)
    told = steps_export.Progress(progress.expect, progress.advance, progress.waiting)
    return steps_export.export(ledger, wanted, told)


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
    name, settings, kind = _resolved(config, task_type)
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
    name, _, _ = _resolved(config, task_type)
    in_use = models.promoted(ledger, name)
    if in_use and in_use.replaces:
        training.require_whole(config.project_dir, models.find(ledger, in_use.replaces))
    return models.roll_back(ledger, name, actor, reason)


def watermark(ledger: Ledger, config: Config) -> dict[str, Any]:
    """What an export of each task type would hold, in a few words: it changes exactly when the export would."""
    return {name: exports.watermark(ledger, name) for name in sorted(config.params.task_types)}


def _kinds(config: Config, task_type: str | None) -> dict[str, Kind]:
    names = config.params.task_types if task_type is None else [task_type]
    resolved = (_resolved(config, name) for name in names)
    return {name: kind for name, _, kind in resolved}


def _label_configs(config: Config, task_type: str | None, layout: str) -> dict[str, str]:
    """The label configs of the task types that are exported, where the layout is about images. Raises UsageError."""
    if layouts.converted(layouts.load(layout)) is None:
        return {}
    names = [config.task_type(name)[0] for name in (config.params.task_types if task_type is None else [task_type])]
    found = {name: _template(config, name, config.task_type(name)[1]) for name in names}
    for name, label_config in found.items():
        conversion.require_images(label_config, name)
    return found


@dataclass
class _Court:
    """What is looked at before tasks are settled: answers to gold probes, and answers of several annotators."""

    jury: consensus.Jury
    examiner: steps_gold.Examiner | None  # None: scoring is switched off

    @property
    def problems(self) -> list[str]:
        return self.examiner.problems if self.examiner else []

    def judge(self, transaction: Transaction, keys: Sequence[UUID] | None) -> list[UUID]:
        """Score, then compare; the other tasks that are to be settled anew for it. Without keys, all probes."""
        more = self.examiner.judge(transaction, keys) if self.examiner else []
        self.jury.judge(transaction, [*(keys or ()), *more])
        return more

    def examine_all(self, ledger: Ledger, there: Project) -> annotations.Received:
        """Score what was answered while scoring was switched off, or before its reference was set."""
        if self.examiner is None:
            gold.scoring_is_off(ledger, there)
            return annotations.Received()
        with ledger.transaction() as transaction:
            if not self.examiner.is_due(transaction):
                return annotations.Received()
            more = self.judge(transaction, None)
            return annotations.Received(outcomes=annotations.settle(transaction, more, lambda *_: ()))


def _court(config: Config, there: Project) -> _Court:
    _, settings, kind = _resolved(config, there.task_type)
    examiner = steps_gold.Examiner(there, kind, config.params.gold.window, settings.gold_floor)
    return _Court(
        _jury(config, there.task_type), None if config.environment.skip_gold_validation else examiner
    )


def _jury(config: Config, task_type: str) -> consensus.Jury:
    _, settings, kind = _resolved(config, task_type)
    return consensus.Jury(kind, settings.agreement)


def _known(ledger: Ledger, studio: LabelStudio, config: Config, task_type: str) -> Project:
    """The project to pull from, verified: answers to a label config that does not fit cannot be understood."""
    _pushed(ledger, config, task_type)
    return setup(ledger, studio, config, task_type).project


def _pushed(ledger: Ledger, config: Config, task_type: str) -> Project:
    """The project as the ledger knows it. Raises UsageError when nothing was pushed yet."""
    name, _, _ = _resolved(config, task_type)
    found = ledger_projects.find(ledger, name, config.label_studio_server)
    if found is None or found.ls_project_id is None:
        raise UsageError(
            f"Nothing was pushed for {name} yet.", f"Run `lsloop push --task-type {name}` first."
        )
    return found


def _choice(config: Config, task_type: str, order: Order | None, seed: str) -> Plan:
    name, settings, kind = _resolved(config, task_type)
    wanted = config.params.push
    return Plan(
        name, kind.READS, kind.WRITES, settings.overlap, order or wanted.order, seed, wanted.random_share, config.gold_ratio
    )  # fmt: skip


def _resolved(config: Config, task_type: str) -> tuple[str, TaskType, Kind]:
    name, settings = config.task_type(task_type)
    return name, settings, task_types.load(settings.kind)


def _template(config: Config, name: str, settings: TaskType) -> str:
    try:
        return resources.template(settings.template, config.project_dir)
    except FileNotFoundError as error:
        raise UsageError(
            f"There is no template {settings.template}.xml for {name}.",
            "Put it into label_studio_templates/.",
        ) from error


def _media(config: Config) -> task.Media:
    expires = int(time.time() + config.params.media.url_days * 86400)
    return task.Media(config.media_url, config.secret, expires)
