"""What a push would do now, counted and in its order.

Nothing is changed, here or in Label Studio.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from lsloop.ledger import Ledger, gold
from lsloop.ledger import tasks as ledger_tasks
from lsloop.records import Claim, Project, Sample
from lsloop.steps.task.content import Making, Unmade


@dataclass
class Planned:
    """What a push would send.

    `unfinished` tasks of one that was cut off, of which Label Studio may have some already; then
    `adjudications`; then `samples`, in this order, with so many gold `probes` at random places among them.
    `left_out` says which samples would not be sent, and why.
    """

    samples: list[Sample] = field(default_factory=list)
    probes: int = 0
    missing_probes: int = 0
    adjudications: int = 0
    unfinished: int = 0
    left_out: list[str] = field(default_factory=list)

    @property
    def tasks(self) -> int:
        """The number of tasks."""
        return len(self.samples) + self.probes + self.adjudications + self.unfinished


def plan(
    ledger: Ledger,
    choice: ledger_tasks.Plan,
    project: Project | None,
    made: Making,
    *,
    limit: int,
    batch: int,
) -> Planned:
    """What `push` would do with these arguments, if nothing happens in between.

    `project` of None: not made yet.
    """
    planned = Planned()
    if project is not None:
        planned.unfinished = sum(task.claimed for task in ledger_tasks.doubtful(ledger, project))
        waiting = ledger_tasks.due_adjudications(ledger, project)
        planned.adjudications = min(waiting, max(limit - planned.unfinished, 0))
    left = limit - planned.unfinished - planned.adjudications
    if left > 0:
        _fill(ledger, choice, planned, made, left, batch)
    return planned


def _fill(
    ledger: Ledger, choice: ledger_tasks.Plan, planned: Planned, made: Making, left: int, batch: int
) -> None:
    """Fill the plan batch by batch, as `ledger.tasks.claim` does it.

    The probes of each batch are rounded by themselves.
    """
    there = ledger_tasks.eligible(ledger, choice, left, made.digest)
    idle = gold.idle(ledger, choice.task_type, choice.reads, choice.writes)
    ratio, chance, taken = choice.gold_ratio, gold.rounding(ledger, choice.task_type), 0
    while left > 0:
        size = min(batch, left)
        due = gold.share(size, ratio, chance)
        probes = min(due, idle - planned.probes)
        ordinary = min(len(there) - taken, size - probes)
        are_short = ordinary + probes < size or taken == len(there)
        due = gold.still_due(due, ordinary, are_short=are_short, ratio=ratio, chance=chance)
        probes = min(probes, due)
        if not ordinary + probes:
            break
        taken, left = taken + ordinary, left - ordinary - probes
        planned.probes += probes
        planned.missing_probes += due - probes
    _make(planned, made, there[:taken])


def _make(planned: Planned, made: Making, there: Sequence[Sample]) -> None:
    """Make tasks; what cannot be made into one is claimed and not sent."""
    for sample, task in zip(there, made([Claim(UUID(int=0), sample) for sample in there], []), strict=True):
        if isinstance(task, Unmade):
            planned.left_out.append(f"{sample.external_id}: {task.reason}")
        else:
            planned.samples.append(sample)
