"""Training: fine-tune on what people accepted, measure, and keep the better model.

Old and new model are measured on the frozen test split.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from lsloop import config, task_types
from lsloop.asking import Answer, Asking, Model, first
from lsloop.dataset import reviewed, trees
from lsloop.dataset.reviewed import Case, Data
from lsloop.errors import LsloopError, Unreachable, UsageError
from lsloop.ledger import Ledger, versions
from lsloop.ledger.versions import Version
from lsloop.models import folders
from lsloop.models.choosing import trainable
from lsloop.models.training import process
from lsloop.records import Value
from lsloop.secrecy import without_secrets
from lsloop.task_types import Kind
from lsloop.values import evaluation, promotion
from lsloop.values.evaluation import Measure, Verdict
from lsloop.values.text import counted

_AT_ONCE = 256  # test rows that are looked at together


class AlreadyAtWork(LsloopError):
    """An error: somebody else is training this task type."""


@dataclass(frozen=True)
class Wanted:
    """What to train, and how.

    `base` of None: the model in use, else the base of the settings.
    """

    task_type: str
    asking: Asking
    settings: config.Model
    project_dir: Path
    data_dir: Path  # the reviewed tree of the task type
    work_dir: Path  # where checkpoints of the task type are until a run has ended
    find_model: Callable[[str], str]  # where a model is, of what params.yaml or a person calls it
    code_version: str
    actor: str
    reason: str | None = None
    base: str | None = None
    rule: promotion.Rule = "if_better"
    must_resume: bool = False
    processes: int | None = None  # under torchrun; None: this one

    @property
    def models_dir(self) -> Path:
        """The folder of the task type's versions, a folder each."""
        return self.project_dir / "models" / self.task_type

    @property
    def metrics_dir(self) -> Path:
        """The folder where DVC finds metrics and plots."""
        return self.project_dir / "metrics" / self.task_type


@dataclass
class Done:
    """What a training did; `why` is one sentence.

    `trained` is False where there was nothing new to train on.
    """

    training_id: int
    version: str
    promoted: bool
    why: str
    trained: bool = True
    metrics: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Progress:
    """The way a training tells how far it is.

    `say` what begins, `log` what is measured at which step.
    """

    say: Callable[[str], None] = lambda text: None
    log: Callable[[Mapping[str, float]], None] = lambda metrics: None


SILENT = Progress()


def retrain(ledger: Ledger, wanted: Wanted, progress: Progress = SILENT) -> Done:
    """Train, measure, and promote what is better beyond chance.

    A killed run goes on from its last checkpoint. Raises AlreadyAtWork while somebody else trains the task
    type, LsloopError for what keeps a run from its end: then the ledger says why, and nothing is promoted.
    """

    def busy() -> None:
        raise AlreadyAtWork(
            f"{wanted.task_type} is being trained already.", "`lsloop models list` shows how it ends."
        )

    with ledger.in_turn(versions.turn(wanted.task_type), busy):
        run = _Run(ledger, wanted, progress)
        if wanted.must_resume:
            run.require_unfinished()
        number = versions.begin(ledger, wanted.task_type, wanted.actor, wanted.reason, run.identity)
        try:
            return run.to_its_end(number)
        except Unreachable:
            # The ledger went away: the training reads as interrupted, and goes on when it is asked for again.
            raise
        except LsloopError as error:
            versions.end(ledger, number, None, None, without_secrets(error.problem))
            shutil.rmtree(run.work, ignore_errors=True)  # the same run would come to the same end
            raise
        except Exception as error:  # written down before it goes on up: nothing is swallowed
            versions.end(ledger, number, None, None, without_secrets(f"{type(error).__name__}: {error}"))
            raise


def require_whole(project_dir: Path, version: Version) -> None:
    """Raise UsageError for a version whose files are missing or altered.

    Files that are not in the project are missing.
    """
    folders.require_whole(version.version, project_dir / version.path, version.weights)


def no_base(task_type: str) -> UsageError:
    """Say that there is nothing to begin from or compare with, and the cure."""
    return UsageError(
        f"No base model is configured for {task_type}.",
        f"Set models.{task_type}.base in params.yaml, or give --base.",
    )


class _Base(NamedTuple):
    """A model to begin with or to compare with.

    It says where the model is, what it is called, and whether that is a version.
    """

    path: str
    name: str
    version: str | None = None


class _Run:
    """One training, from what it is made of to what became of it."""

    def __init__(self, ledger: Ledger, wanted: Wanted, progress: Progress) -> None:
        self.ledger, self.wanted, self.progress = ledger, wanted, progress
        self.in_use = versions.promoted(ledger, wanted.task_type)
        self.base = self._base()
        self.params = self._params()
        self.identity = {
            "data": _sha256(wanted.data_dir / "index.jsonl"),
            "settings": self.params,
            "model in use": self.in_use.version if self.in_use else None,
        }
        digest = hashlib.sha256(json.dumps(self.identity, sort_keys=True).encode()).hexdigest()
        self.work = wanted.work_dir / digest[:16]
        self.left_out: dict[str, str] = {}  # by sample: why

    def _base(self) -> str | None:
        """The base that is fine-tuned.

        It is the one named, else of those in the settings the first that can be trained.
        """
        if self.wanted.base:
            return self.wanted.base
        bases = self.wanted.settings.bases
        return next(filter(self._can_be_trained, bases[:-1]), bases[-1]) if bases else None

    def _can_be_trained(self, base: str) -> bool:
        try:
            trainable(self.wanted.asking.job, self.wanted.find_model(base))
        except LsloopError:
            return False
        return True

    def _params(self) -> dict[str, Any]:
        """Every setting that changes what comes out.

        Which weights the base has now is among them.
        """
        wanted, settings = self.wanted, self.wanted.settings
        base = self.base
        return {
            "base": base,
            "base_weights": self._weights(base) if base else None,
            "start": "base" if wanted.base else settings.start,
            "seed": settings.seed,
            "training": settings.training,
            "processes": wanted.processes or 1,
        }

    def _weights(self, base: str) -> str | None:
        """The fingerprint of a base's weights; None of a hub's model.

        The id of a hub's model stands for it. None, too, of what is not there: that is told when it is
        needed.
        """
        try:
            path = Path(self.wanted.find_model(base))
            return folders.fingerprint(path) if path.is_dir() else None
        except LsloopError:
            return None

    def require_unfinished(self) -> None:
        """Raise UsageError unless a killed run is there that is the same run."""
        name, was = self.wanted.task_type, versions.unfinished(self.ledger, self.wanted.task_type)
        if was is None:
            raise UsageError(
                f"There is no unfinished training of {name}.", "Run it without --resume to start one."
            )
        changed = [key for key in self.identity if was.get(key) != self.identity[key]]
        if changed:
            raise UsageError(
                f"The unfinished training of {name} cannot go on: {', '.join(changed)} changed since.",
                "Run it without --resume to start anew.",
            )

    def to_its_end(self, number: int) -> Done:
        """Train, measure, decide, write down."""
        data = reviewed.read(self.wanted.data_dir)
        if known := self._trained_before(data):
            shutil.rmtree(self.wanted.work_dir, ignore_errors=True)  # killed when all but this was done
            return self._nothing_new(known, number)
        start, before = self._bases()
        trained = self._fit(data, start)
        version = self._version(data, start, trained)
        names = f"{without_secrets(before.name)}, then {version.version}"
        self.progress.say(f"Measuring on {counted(len(data.splits['test']), 'sample')}: {names}.")
        done = self._judge(data, before, trained, version, number)
        self._prune()
        shutil.rmtree(self.work, ignore_errors=True)
        return done

    def _trained_before(self, data: Data) -> Version | None:
        """The last version, if it is of the same data and settings, and still there."""
        for one in versions.listed(self.ledger, self.wanted.task_type)[:1]:
            same = (one.data_sha256, one.params) == (data.sha256, self.params)
            if same and folders.is_whole(self.wanted.project_dir / one.path, one.weights):
                return one
        return None

    def _nothing_new(self, known: Version, number: int) -> Done:
        why = f"Nothing to train: {known.version} was made of this data with these settings."
        promoted = self.wanted.rule == "always" and not known.in_use
        if promoted:
            why = f"{why} It is in use now, by force ({self.wanted.reason or 'no reason given'})."
        elif not known.in_use:
            why = f"{why} It is not in use; `lsloop models promote {known.version}` changes that."
        reason = self.wanted.reason if promoted else None
        versions.conclude(self.ledger, number, known, why, self.wanted.actor if promoted else None, reason)
        return Done(number, known.version, promoted, why, trained=False, metrics=known.metrics)

    def _bases(self) -> tuple[_Base, _Base]:
        """What is fine-tuned, and what the result is compared with.

        Raises UsageError for what is not there, or altered.
        """
        wanted, in_use = self.wanted, self.in_use
        configured = self._named(self.base)
        before = self._named(in_use.version) if in_use else configured
        follows = before if wanted.base is None and wanted.settings.start == "promoted" else configured
        if follows is None or before is None:
            raise no_base(wanted.task_type)
        trainable(wanted.asking.job, follows.path)
        return follows, before

    def _named(self, name: str | None) -> _Base | None:
        if name is None:
            return None
        for one in versions.listed(self.ledger, self.wanted.task_type):
            if one.version == name:
                require_whole(self.wanted.project_dir, one)
                return _Base(str(self.wanted.project_dir / one.path), name, name)
        return _Base(self.wanted.find_model(name), name)

    def _fit(self, data: Data, start: _Base) -> Path:
        wanted = self.wanted
        for other in wanted.work_dir.glob("*"):
            if other != self.work:  # a killed run of data or settings that are no more
                shutil.rmtree(other)
        if not data.splits["train"]:
            raise LsloopError(
                f"The train split of {wanted.task_type} is empty: {wanted.data_dir} has nothing to train on.",
                "Have more annotations accepted, then run `lsloop export`.",
            )
        self.progress.say(
            f"Training on {counted(len(data.splits['train']), 'sample')}, from {without_secrets(start.name)}."
        )
        order = process.Order(
            job=wanted.asking.job, base=start.path, data=str(data.folder), data_sha256=data.sha256,
            out=str(self.work),
            settings=wanted.settings.training, seed=wanted.settings.seed,
        )  # fmt: skip
        try:
            if wanted.processes:
                return process.train_with_torchrun(order, wanted.processes)
            return process.train(order, self.progress.log)
        finally:
            self.left_out = {one["sample_id"]: _named(one) for one in process.left_out(self.work)}
            self._set_aside(len(data.splits["train"]) + len(data.splits["validation"]))

    def _set_aside(self, among: int) -> None:
        """Name what nothing could be learnt from, or measured on.

        The rest is trained and measured.
        """
        versions.set_aside(self.ledger, self.wanted.task_type, self.left_out)
        if self.left_out:
            first = next(iter(self.left_out.values()))
            told = f"{len(self.left_out):,} of {counted(among, 'sample')} left out; the first: {first}"
            self.progress.say(f"{told} `lsloop problems` lists them.")

    def _version(self, data: Data, start: _Base, trained: Path) -> Version:
        wanted, weights = self.wanted, folders.fingerprint(trained)
        name = f"{weights}-{data.sha256[:6]}"
        return Version(
            version=name, task_type=wanted.task_type, path=f"models/{wanted.task_type}/{name}",
            weights=weights, base=start.name, base_version=start.version,
            data_sha256=data.sha256, params=self.params, seed=wanted.settings.seed,
            code_version=wanted.code_version, metrics={},
        )  # fmt: skip

    def _judge(self, data: Data, before: _Base, trained: Path, version: Version, number: int) -> Done:
        """Measure both, decide, and write all of it down at once."""
        wanted = self.wanted
        settings = wanted.settings.predicting
        both = self._in_use(before), [Model(str(trained), version.version, settings)]
        tested = self._tested(data, both)
        reports, verdict = _compared(wanted.asking.kind, tested, wanted.settings.seed)
        decision = promotion.decide(
            verdict, len(tested.cases), wanted.settings.minimum_test, wanted.rule, wanted.reason
        )
        counts = {split: len(ids) for split, ids in data.splits.items()}
        version.metrics.update(promotion.metrics(*reports, verdict, decision.promote, counts))
        if self.left_out:
            version.metrics["left_out"] = len(self.left_out)
        folders.keep(trained, wanted.project_dir / version.path)
        _write_metrics(wanted.metrics_dir, version.metrics, self.work / "live" / "plots" / "metrics")
        actor = wanted.actor if decision.promote else None
        versions.conclude(self.ledger, number, version, decision.why, actor, wanted.reason or decision.why)
        return Done(number, version.version, decision.promote, decision.why, metrics=version.metrics)

    def _in_use(self, before: _Base) -> list[Model]:
        """What answered until now: the version in use, or the base.

        Of several bases it is the first that can be used.
        """
        wanted, settings = self.wanted, self.wanted.settings
        if before.version or wanted.base or len(settings.bases) < 2:
            return [Model(before.path, before.version, settings.predicting)]
        return [Model(base, None, settings.predicting) for base in settings.bases]

    def _tested(self, data: Data, models: Sequence[Sequence[Model]]) -> "_Tested":
        """The test samples that can be read, and what each of the models says of them.

        The models are asked as they are served.
        """
        cases, broken = data.cases("test")
        answers = [self._answers(data, choice, cases) for choice in models]
        unread = {i: one for said in answers for i, one in enumerate(said) if one.unreadable}
        self.left_out |= broken | {
            str(cases[i].sample.sample_id): one.problem or "" for i, one in unread.items()
        }
        if broken or unread:
            self._set_aside(sum(len(ids) for ids in data.splits.values()))
        kept = [i for i in range(len(cases)) if i not in unread]
        groups = [data.groups.get(str(cases[i].sample.sample_id)) for i in kept]
        return _Tested(
            [cases[i] for i in kept], groups, [[said[i].value or {} for i in kept] for said in answers]
        )

    def _answers(self, data: Data, choice: Sequence[Model], cases: Sequence[Case]) -> list[Answer]:
        """What the first usable model of a choice answers.

        It is not shown what people said.
        """
        if not cases:
            return []
        asking = replace(self.wanted.asking, media_dir=data.folder)
        loaded = first(
            choice, lambda one: asking.load(replace(one, place=self.wanted.find_model(one.place)))
        ).loaded
        parts = [cases[start : start + _AT_ONCE] for start in range(0, len(cases), _AT_ONCE)]
        return [answer for part in parts for answer in asking.ask(loaded, [one.sample for one in part])]

    def _prune(self) -> None:
        """Keep the newest versions, the one in use and the one to roll back to."""
        wanted, there = self.wanted, versions.listed(self.ledger, self.wanted.task_type)
        needed = {one.version for one in there[: wanted.settings.keep]}
        needed |= {name for one in there if one.in_use for name in (one.version, one.replaces) if name}
        folders.prune(wanted.models_dir, needed)


class _Tested(NamedTuple):
    """Samples of the test split, their groups, and what each model answered of them."""

    cases: list[Case]
    groups: list[str | None]
    answers: list[list[Value]]


def _compared(
    kind: Kind, tested: _Tested, seed: int
) -> tuple[tuple[dict[str, Any], dict[str, Any]], Verdict | None]:
    """What is measured of the new model and of the old one, overall and per language.

    Where no language is known, it is measured per group.
    """
    if not tested.cases:
        return ({}, {}), None
    old, new = tested.answers
    references = [case.value for case in tested.cases]
    measures = task_types.measures(kind)
    languages = [case.language for case in tested.cases]
    groups = languages if any(languages) else tested.groups
    reports = tuple(_report(measures, answers, references, groups) for answers in (new, old))
    decisive = measures[0]
    assert isinstance(decisive, Measure)
    try:
        return (reports[0], reports[1]), evaluation.compare(decisive, old, new, references, seed=seed)
    except ValueError:  # nothing in them that can be measured
        return (reports[0], reports[1]), None


def _report(
    measures: evaluation.Measures, answers: list[Value], references: list[Value], groups: Sequence[str | None]
) -> dict[str, Any]:
    by = evaluation.by_group(measures, answers, references, groups)
    unanswered = sum(not answer for answer in answers)
    return {
        **evaluation.report(measures, answers, references),
        **({"unanswered": unanswered} if unanswered else {}),
        **({"by": by} if by else {}),
    }


def _named(left_out: Mapping[str, str]) -> str:
    name, reason = left_out["name"], left_out["reason"]
    return reason if name in reason else f"{name}: {reason}"


def _write_metrics(folder: Path, metrics: dict[str, Any], curves: Path) -> None:
    """Write `metrics.json` and the curves of the training, where DVC finds them."""
    plots = folder / "plots"
    shutil.rmtree(plots, ignore_errors=True)
    plots.mkdir(parents=True)
    for file in sorted(curves.glob("*.tsv")):
        shutil.copyfile(file, plots / file.name)
    trees.write_whole(folder / "metrics.json", json.dumps(metrics, indent=2, sort_keys=True).encode() + b"\n")


def _sha256(file: Path) -> str | None:
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else None
