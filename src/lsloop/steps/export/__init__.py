"""Export what people accepted, into a folder that changes as a whole.

It changes only where something changed.
"""

from lsloop.dataset import trees
from lsloop.ledger import Ledger, exports
from lsloop.progress import SILENT, Progress
from lsloop.steps.export.differing import differences, planned, remember
from lsloop.steps.export.manifest import write_down, write_manifest
from lsloop.steps.export.wanted import Exported, Part, Wanted, require_replaceable
from lsloop.steps.export.writing import bring_up

__all__ = ["Exported", "Part", "Wanted", "export", "plan", "write_manifest"]


def plan(ledger: Ledger, wanted: Wanted) -> Exported:
    """What `export` would do now; nothing is written anywhere."""
    require_replaceable(wanted)
    with ledger.transaction() as transaction:
        exports.assign_splits(transaction, wanted.validation, wanted.test)
        found = differences(transaction, wanted, exports.state(transaction), in_one_go=False)
        transaction.undo()
    return planned(wanted, found)


def export(ledger: Ledger, wanted: Wanted, progress: Progress = SILENT) -> Exported:
    """Bring the folder up to the ledger.

    Killed at any moment, it is as it was before, or as it is after. Raises UsageError when the folder holds
    what no export made.
    """
    require_replaceable(wanted)
    with ledger.in_turn(f"lsloop export {wanted.destination}", progress.waiting):
        trees.mend(wanted.target)
        with ledger.transaction() as transaction:
            exports.assign_splits(transaction, wanted.validation, wanted.test)
        with exports.as_it_stands(ledger) as transaction:
            state = exports.state(transaction)
            found = differences(transaction, wanted, state, in_one_go=True)
            done = planned(wanted, found)
            manifest = bring_up(transaction, wanted, found, done, progress)
        write_down(ledger, wanted, done, manifest)
        for name, part in done.task_types.items():
            exports.set_aside(
                ledger, wanted.destination, name, part.left_out, all_looked_at=wanted.limit is None
            )
        remember(ledger, wanted, done, state)
    return done
