"""What an export has to do: how each task type's folder differs from the ledger."""

from lsloop.dataset import indexes
from lsloop.ledger import Ledger, Transaction, exports
from lsloop.steps.export.wanted import Exported, Part, Wanted

Differences = dict[str, indexes.Difference | None]
"""By task type. None: nothing is there yet, so everything is written, and need not be compared first."""


def differences(transaction: Transaction, wanted: Wanted, state: str, *, in_one_go: bool) -> Differences:
    """Tell how each folder differs.

    `in_one_go`: a folder that is not there yet is not looked at; not possible with a limit.
    """
    left, found = wanted.limit, Differences()
    before = exports.states(transaction, wanted.destination)
    for name in wanted.kinds:
        if in_one_go and wanted.limit is None and not (wanted.target / name / indexes.FILE).is_file():
            found[name] = None
            continue
        is_known = before.get(name) == _now(wanted, name, state) and not wanted.again
        difference = (is_known and _unchanged(wanted, name)) or _difference(transaction, wanted, name, left)
        left = None if left is None else left - difference.added
        found[name] = difference
    return found


def _now(wanted: Wanted, name: str, state: str) -> exports.Before:
    return exports.Before(wanted.layout_of(name), state, indexes.sha256(wanted.target / name) or "")


def _unchanged(wanted: Wanted, name: str) -> indexes.Difference | None:
    """Compare a folder with its index, since which nothing happened in the ledger.

    The index says what is to be there. None: not all is there.
    """
    folder = wanted.target / name
    old = indexes.read(folder)
    found = indexes.compare(folder, old, old, wanted.layout.unit)
    return found if found.is_current else None


def _difference(transaction: Transaction, wanted: Wanted, name: str, limit: int | None) -> indexes.Difference:
    folder = wanted.target / name
    exports.gather(transaction, name, wanted.layout_of(name))
    now = exports.lines(transaction, name)
    return indexes.compare(
        folder, indexes.read(folder), now, wanted.layout.unit, limit=limit, again=wanted.again
    )


def planned(wanted: Wanted, found: Differences) -> Exported:
    """What is to be done.

    Nothing is said yet of what is not looked at before it is written.
    """
    parts = {
        name: Part(len(d.now), d.added, d.changed, len(d.removed), len(d.to_write), d.beyond) if d else Part()
        for name, d in found.items()
    }
    return Exported(wanted.target, parts)


def remember(ledger: Ledger, wanted: Wanted, done: Exported, state: str) -> None:
    """Note that the next export has nothing to do as long as the ledger is like this.

    Nothing is noted where something was left out.
    """
    with ledger.transaction() as transaction:
        before = exports.states(transaction, wanted.destination)
    for name, part in done.task_types.items():
        now = _now(wanted, name, state)
        if not part.waiting and not part.problems and before.get(name) != now:
            exports.remember_state(ledger, wanted.destination, name, now)
