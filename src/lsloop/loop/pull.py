"""Answers that come in, by a pull or an event, and what follows from them.

What follows are scores, decisions, revisions and trainings.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

from lsloop.config import Config
from lsloop.labelstudio.client import LabelStudio
from lsloop.ledger import Ledger, Transaction, annotations, gold, tasks, versions
from lsloop.loop.job import known_media, resolved
from lsloop.loop.push import brought_up
from lsloop.loop.setup import known, pushed
from lsloop.progress import SILENT, Progress
from lsloop.records import Project
from lsloop.steps import (
    annotation,
    conflict,
    consensus,
    project,
    task,
)
from lsloop.steps import gold as steps_gold


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
    """Bring the answers of a task type back, and what follows from them.

    Annotations come; revisions, conflicts and decisions follow.
    """
    found, (_, _, kind) = (
        known(ledger, studio, config, task_type, dry_run=dry_run),
        resolved(config, task_type),
    )
    there, kept = found.project, list[str]()
    court = court_of(config, there)
    pulled = annotation.pull(
        ledger,
        studio,
        there,
        kind,
        params=config.params.pull,
        judge=court.judge,
        full=full,
        dry_run=dry_run,
        prove=lambda: project.prove(ledger, studio, there),
        expect=progress.expect,
        advance=progress.advance,
        waiting=progress.waiting,
        meet_twins=lambda twins: kept.extend(task.put_away_seen_twins(ledger, studio, there, twins).kept),
    )
    pulled.kept, pulled.noticed = kept, found.drift + pulled.noticed
    if not dry_run:
        _follow(ledger, studio, config, there, court, pulled)
        done, linked = brought_up(ledger, studio, config, there, kind, known_media(config))
        pulled.refreshed, pulled.not_refreshed = done.refreshed, done.problems
        pulled.links, pulled.not_renewed = linked.renewed, linked.problems
    pulled.problems += sorted(set(court.problems))
    return pulled


def look(
    ledger: Ledger, studio: LabelStudio, config: Config, there: Project, ls_task_ids: Collection[int]
) -> annotation.Pulled:
    """Do for some tasks of a project what a pull does for all that changed.

    Read them, and let follow what follows. The project is proven to be ours, not verified, and the cursor
    stays where it is. Raises Refused where it is not ours.
    """
    project.prove(ledger, studio, there)
    _, _, kind = resolved(config, there.task_type)
    court = court_of(config, there)
    looked = annotation.look(
        ledger,
        studio,
        there,
        kind,
        ls_task_ids,
        params=config.params.pull,
        judge=court.judge,
        prove=lambda: project.prove(ledger, studio, there),
    )
    # A push at work does it when it ends; else the next pull.
    looked.kept += task.put_away_seen_twins(ledger, studio, there, looked.received.twins, wait=False).kept
    _follow(ledger, studio, config, there, court, looked)
    looked.problems += sorted(set(court.problems))
    return looked


def _follow(
    ledger: Ledger,
    studio: LabelStudio,
    config: Config,
    there: Project,
    court: "Court",
    pulled: annotation.Pulled,
) -> None:
    """Do what follows from answers that came in."""
    done = _accepted(ledger, config, there, court)
    pulled.received.include(done.received)
    pulled.decided, pulled.parked, pulled.training = done.decided, done.parked, done.training
    pulled.kept += task.put_away_needless(ledger, studio, there).kept
    pulled.offered += annotation.offer_again(ledger, studio, there)


@dataclass
class Accepted:
    """Record of what followed, in the ledger alone, from what had come in.

    See `annotation.Pulled`.
    """

    received: annotations.Received
    decided: dict[str, int]
    parked: int
    problems: list[str]
    training: int | None  # that was asked for because of how many annotations are accepted


def accept(ledger: Ledger, config: Config, task_type: str) -> Accepted:
    """Score, settle and decide what is in the ledger.

    This works also while Label Studio does not answer. Raises UsageError.
    """
    there = pushed(ledger, config, task_type)
    return _accepted(ledger, config, there, court_of(config, there))


def _accepted(ledger: Ledger, config: Config, there: Project, court: "Court") -> Accepted:
    _, settings, kind = resolved(config, there.task_type)
    received = court.examine_all(ledger, there)
    received.include(_heard(ledger, there, court))
    decided = conflict.by_rule(ledger, there, kind, settings.conflicts)
    parked = task.park(ledger, there, config.params.pull.skips)
    return Accepted(received, decided, parked, court.problems, milestone(ledger, config, there.task_type))


def _heard(ledger: Ledger, there: Project, court: "Court") -> annotations.Received:
    """Take in answers to tasks that were ended meanwhile: none is without effect."""
    with ledger.transaction() as transaction:
        gold.one_by_one(transaction, there.task_type)
        keys = tasks.hear_ended(transaction, there)
        return annotations.Received(
            outcomes=annotations.settle(transaction, keys, court.judge) if keys else {}
        )


def milestone(ledger: Ledger, config: Config, task_type: str) -> int | None:
    """Ask for a training because so many annotations are accepted now.

    A worker does it.
    """
    if not config.model(task_type).bases:
        return None
    return versions.reach(ledger, task_type, config.params.retrain.milestones, config.params.retrain.every)


def release(
    ledger: Ledger,
    config: Config,
    annotator: str,
    task_type: str | None,
    *,
    actor: str,
    reason: str | None = None,
) -> dict[str, dict[str, int]]:
    """Lift an annotator's quarantines and settle what was held.

    Returns what became of it, per task type.
    """
    done: dict[str, dict[str, int]] = {}
    with ledger.transaction() as transaction:
        for name, keys in gold.release(transaction, annotator, task_type, actor, reason).items():
            done[name] = annotations.settle(transaction, keys, jury_of(config, name).judge)
    return done


def review(
    ledger: Ledger,
    config: Config,
    annotator: str,
    task_type: str | None,
    ls_task_ids: Sequence[int] | None,
    decided: gold.Review,
    *,
    actor: str,
    reason: str | None = None,
) -> dict[str, dict[str, int]]:
    """Decide about an annotator's held answers, all or those to some tasks.

    Returns what became of the tasks, per task type. Released answers count. Rejected ones stay in the history
    and never count; their samples are sent anew by the next push.
    """
    done: dict[str, dict[str, int]] = {}
    with ledger.transaction() as transaction:
        found = gold.review_held(transaction, annotator, task_type, ls_task_ids, decided, actor, reason)
        for name, keys in found.items():
            done[name] = annotations.settle(transaction, keys, jury_of(config, name).judge)
            if decided == "rejected":
                done[name] = {"to be sent anew": gold.send_anew(transaction, keys)}
    return done


@dataclass
class Court:
    """Court that looks at answers before tasks are settled.

    It looks at answers to gold probes, and answers of several annotators.
    """

    jury: consensus.Jury
    examiner: steps_gold.Examiner | None  # None: scoring is switched off

    @property
    def problems(self) -> list[str]:
        return self.examiner.problems if self.examiner else []

    def judge(self, transaction: Transaction, keys: Sequence[UUID] | None) -> list[UUID]:
        """Score, then compare; return the other tasks to be settled anew for it.

        Without keys it scores all probes.
        """
        more = self.examiner.judge(transaction, keys) if self.examiner else []
        self.jury.judge(transaction, [*(keys or ()), *more])
        return more

    def examine_all(self, ledger: Ledger, there: Project) -> annotations.Received:
        """Score what was answered without scoring or before its reference was set.

        The former is what was answered while scoring was switched off.
        """
        if self.examiner is None:
            gold.scoring_is_off(ledger, there)
            return annotations.Received()
        with ledger.transaction() as transaction:
            gold.one_by_one(transaction, there.task_type)
            if not self.examiner.is_due(transaction):
                return annotations.Received()
            more = self.judge(transaction, None)
            return annotations.Received(outcomes=annotations.settle(transaction, more, lambda *_: ()))


def court_of(config: Config, there: Project) -> Court:
    _, settings, kind = resolved(config, there.task_type)
    examiner = steps_gold.Examiner(there, kind, config.params.gold.window, settings.gold_floor)
    return Court(
        jury_of(config, there.task_type), None if config.environment.skip_gold_validation else examiner
    )


def jury_of(config: Config, task_type: str) -> consensus.Jury:
    _, settings, kind = resolved(config, task_type)
    return consensus.Jury(kind, settings.agreement)
