"""Events of the demo as they really were, beside what the ledger says of them.

These are the two sides that are compared.
"""

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from lsloop.demo.crawler import Change
from lsloop.demo.shift import Submission
from lsloop.ledger import Ledger, queries
from lsloop.values import agreement


@dataclass(frozen=True)
class Check:
    """One promise, and the first thing that breaks it: empty when it holds."""

    promise: str
    broken: str = ""


@dataclass
class World:
    """Record of what really happened.

    Texts are by external id; lists are in the order in which things were done.

    `came` is what upstream said first, `upstream` what it says now. Answers with this mean `agreement` decide
    their task. `submitted` has every version of every annotation. `changes` came from upstream while people
    worked, those in `before_start` to tasks that nobody had begun. `received`: how many versions of answers
    were in the ledger after the last sweep.
    """

    task_type: str
    field: str
    agreement: float
    came: dict[str, str]
    upstream: dict[str, str]
    submitted: list[Submission] = dataclasses.field(default_factory=list)
    changes: list[Change] = dataclasses.field(default_factory=list)
    before_start: list[str] = dataclasses.field(default_factory=list)
    received: int = 0


@dataclass(frozen=True)
class Seen:
    """Rows of `sql/queries/proof.sql`: what the ledger says of the world."""

    tasks: Sequence[Any]
    annotation_versions: Sequence[Any]
    revisions: Sequence[Any]
    current: Sequence[Any]
    conflicts: Sequence[Any]

    @property
    def values(self) -> dict[str, str]:
        """Return what people gave, or upstream where nobody did, by clip.

        A sample sent again stands in for its parent.
        """
        return {origin(row.external_id): row.value for row in self.current if not row.is_gold_standard}


def look(ledger: Ledger, world: World) -> Seen:
    """Read the ledger in one transaction."""
    statements, of = queries.named("proof"), {"task_type": world.task_type, "field": world.field}
    with ledger.transaction() as transaction:
        return Seen(**{name: transaction.rows(statement, **of) for name, statement in statements.items()})


def origin(external_id: str) -> str:
    """The clip of a sample: one that goes round again is called after its parent."""
    return external_id.partition("#")[0]


def agree(world: World, answers: Sequence[Submission]) -> bool:
    """Tell whether these are several answers that agree.

    They must be near enough to each other to decide their task.
    """
    near = agreement.mean_pairwise([one.text or "" for one in answers], agreement.word_agreement)
    return near is not None and near >= world.agreement


def first(broken: Iterable[str]) -> str:
    """Return one thing of those that break a promise, the same each time.

    It is empty when nothing does.
    """
    return min(broken, default="")
