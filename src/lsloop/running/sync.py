"""One cycle of everything that keeps the loop moving.

The steps are dvc pull → ingest → pull → accept → push.

One cycle at a time on a ledger, whoever starts it and wherever. A step that fails keeps none of the others
from their work; what came of each is written down as soon as it is known.
"""

import logging
import os
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from typing import Literal, NamedTuple

from lsloop import dvc, loop
from lsloop.config import Config
from lsloop.dvc import Skipped
from lsloop.errors import LsloopError, Unreachable
from lsloop.labelstudio.client import LabelStudio
from lsloop.ledger import Ledger, Turn, overview, projects, servers, syncs
from lsloop.ledger.syncs import Run
from lsloop.secrecy import without_secrets
from lsloop.steps import sample

log = logging.getLogger(__name__)

Counts = dict[str, int]


class Came(NamedTuple):
    """Result of a step.

    `problems` are parts of it that could not be done, although the step was.
    """

    counts: Counts
    problems: list[str]


@dataclass(frozen=True)
class Step:
    """Outcome of a step.

    `reason` says why it failed or was skipped; `exit_code` is what a command would answer.
    """

    name: str
    task_type: str | None
    state: Literal["done", "skipped", "failed"]
    reason: str | None = None
    counts: Counts = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    exit_code: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Cycle:
    """Outcome of the wish for a cycle.

    It ran, somebody else was at it, or it was not due for `due_in` seconds.
    """

    became: Literal["ran", "busy", "not due"]
    run: Run | None = None
    due_in: float = 0.0

    @property
    def exit_code(self) -> int:
        """3 when a service could not be reached, 1 when something else failed."""
        steps = self.run.steps if self.run and self.became == "ran" else []
        codes = {step["exit_code"] for step in steps} | {1 for step in steps if step["problems"]}
        return 3 if 3 in codes else int(bool(codes - {0}))


@dataclass(frozen=True)
class Wanted:
    """Surroundings of a cycle.

    `push`: samples of every task type are sent, not only where params.yaml says so; `send_files`: also export
    and `dvc push`; `stopping`: whether it was asked to end.
    """

    ledger: Ledger
    config: Config
    label_studio: Callable[[], AbstractContextManager[LabelStudio]]
    push: bool = False
    send_files: bool = False
    stopping: Callable[[], bool] = lambda: False
    told: Callable[[Step], None] = lambda step: None


def cycle(wanted: Wanted, *, every: float | None = None) -> Cycle:
    """Run a cycle, unless another is at work or a recent one succeeded.

    A recent one began less than `every` seconds ago.

    Asked to stop, it ends after the step it is at. Raises Unreachable when PostgreSQL does not answer.
    """
    with syncs.only_one(wanted.ledger) as turn:
        if turn is None:
            return Cycle("busy", next(iter(syncs.last(wanted.ledger)), None))
        age = syncs.age(turn) if every is not None else None
        if every is not None and age is not None and age < every:
            return Cycle("not due", due_in=every - age)
        run = _run(wanted, turn)
    return Cycle("ran", run, due_in=max(0.0, (every or 0.0) - (run.seconds or 0.0)))


def _run(wanted: Wanted, turn: Turn) -> Run:
    run_id = syncs.begin(turn, f"{platform.node()}:{os.getpid()}")
    down: set[str] = set()  # steps whose service did not answer: no use asking it for the next task type
    for name, task_type, work in _steps(wanted):
        if wanted.stopping():
            return syncs.end(turn, run_id, stopped=True)
        done = _done(name, task_type, _gone if name in down else work)
        if done.exit_code == Unreachable.exit_code:
            down.add(name)
        syncs.record(turn, run_id, asdict(done))
        wanted.told(done)
    return syncs.end(turn, run_id, stopped=False)


def _gone() -> Came:
    raise Skipped("the service did not answer for the task type before")


def _done(name: str, task_type: str | None, work: Callable[[], Came]) -> Step:
    """Do a step; whatever goes wrong is told, and is this step's alone."""
    began = time.monotonic()
    log.info("%s begins", f"{name} {task_type}" if task_type else name)
    try:
        came = work()
        done = Step(name, task_type, "done", counts=came.counts, problems=came.problems[:_TOLD])
    except Skipped as why:
        done = Step(name, task_type, "skipped", str(why))
    except LsloopError as error:
        done = Step(
            name, task_type, "failed", f"{error.problem} {error.fix}".strip(), exit_code=error.exit_code
        )
    except Exception as error:
        log.exception("%s failed", name)
        done = Step(name, task_type, "failed", f"{type(error).__name__}: {error}", exit_code=1)
    reason = without_secrets(done.reason) if done.reason else None
    return Step(**{**asdict(done), "reason": reason, "seconds": round(time.monotonic() - began, 3)})


_TOLD = 20  # problems of a step that are written down; its counts say how many there were


def _steps(wanted: Wanted) -> Iterator[tuple[str, str | None, Callable[[], Came]]]:
    """Name, task type and work of each step, in order."""
    config, names = wanted.config, list(wanted.config.params.task_types)
    yield "dvc pull", None, lambda: Came(dvc.pull_raw(config.project_dir), [])
    yield "ingest", None, lambda: _ingest(wanted)
    for step, work in (("pull", _pull), ("accept", _accept), ("push", _push)):
        for name in names:
            yield step, name, lambda work=work, name=name: work(wanted, name)  # type: ignore[misc]
    if wanted.send_files:
        yield "export", None, lambda: _export(wanted)
        yield "dvc push", None, lambda: Came(dvc.push(config.project_dir), [])


def _ingest(wanted: Wanted) -> Came:
    config = wanted.config
    path = config.raw_dir / "metadata.jsonl"
    if not path.exists():
        raise Skipped(f"there is no {path.relative_to(config.project_dir)}")
    commit = dvc.data_commit(config.project_dir)
    done = sample.ingest(
        wanted.ledger, path, raw_dir=config.raw_dir, kinds=loop.kinds_of(config),
        links_to=lambda: loop.links_to(config), commit=commit,
    )  # fmt: skip
    counts = {
        "added": done.upserted.added, "changed": done.upserted.changed, "refused": len(done.refused),
        "no_longer_upstream": done.upserted.missing,
    }  # fmt: skip
    told = [f"Line {bad.line} of {path.name} was refused: {bad.reason}." for bad in done.refused]
    return Came(counts, told + [f"Sample {name}: {why}." for name, why in done.unread.items()])


def _pull(wanted: Wanted, task_type: str) -> Came:
    if task_type not in projects.pushed(
        wanted.ledger
    ):  # to any Label Studio: another one than ours is not to go unnoticed
        raise Skipped("nothing was pushed yet")
    with wanted.label_studio() as studio:
        done = loop.pull(wanted.ledger, studio, wanted.config, task_type)
    received = done.received
    counts = {
        "read": done.read, "new": received.added, "edited": received.edited, "deleted": received.removed,
        "refreshed": done.refreshed, "links_renewed": done.links, "not_understood": len(done.problems),
        **received.outcomes,
        **{f"conflicts_{strategy}": count for strategy, count in done.decided.items()}, "parked": done.parked,
    }  # fmt: skip
    return Came(counts, done.not_renewed)


def _accept(wanted: Wanted, task_type: str) -> Came:
    _require_pushed(wanted, task_type)
    done = loop.accept(wanted.ledger, wanted.config, task_type)
    decided = {f"conflicts_{strategy}": count for strategy, count in done.decided.items()}
    counts = {
        **done.received.outcomes,
        **decided,
        "parked": done.parked,
        "not_understood": len(set(done.problems)),
    }
    return Came(counts, [])


def _require_pushed(wanted: Wanted, task_type: str, why: str = "nothing was pushed yet") -> None:
    if task_type not in projects.pushed(
        wanted.ledger, servers.spelled(wanted.ledger, wanted.config.label_studio_server)
    ):
        raise Skipped(why)


def _push(wanted: Wanted, task_type: str) -> Came:
    """Send as many samples as the backlog has room for.

    Without room, only finish what was cut off.
    """
    config = wanted.config
    if not (wanted.push or config.params.task_types[task_type].sync_push):
        raise Skipped(
            "it sends nothing unless told: `sync_push: true` in params.yaml, or `lsloop sync --send-samples`"
        )
    if not loop.plan_push(wanted.ledger, config, task_type, limit=1).tasks:
        _require_pushed(
            wanted, task_type, "there is nothing to send"
        )  # a project may have work that was cut off
    found = overview.tasks(
        wanted.ledger, servers.spelled(wanted.ledger, config.label_studio_server), task_type
    )
    waiting = sum(row["claimed"] + row["open"] for row in found)
    limit = min(config.params.push.limit, max(0, config.params.sync.backlog - waiting))
    with wanted.label_studio() as studio:
        done = loop.push(wanted.ledger, studio, config, task_type, limit=limit)
    counts = {name: count for name, count in vars(done).items() if isinstance(count, int)}
    return Came({**counts, "without_pre_annotation": len(done.unfit)}, [])


def _export(wanted: Wanted) -> Came:
    """Export what people accepted into data/reviewed, by the stages of dvc.yaml.

    There `dvc push` finds it.
    """
    if not (wanted.config.project_dir / "dvc.yaml").is_file():
        raise Skipped("there is no dvc.yaml")
    said = dvc.repro(wanted.config.project_dir, "generate_manifest")
    return Came({"stages run": said.count("Running stage '")}, [])
