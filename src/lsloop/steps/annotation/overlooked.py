"""Find what a cursor does not show.

These are tasks that Label Studio has otherwise than the ledger last read them. A task's moment of change is
of the clock of the machine of Label Studio that wrote it. That clock may be put back, two such machines may
differ, and a slow transaction is seen later than it says. So moments are only ever compared for being the
same.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from lsloop.labelstudio import tasks
from lsloop.labelstudio.client import LabelStudio
from lsloop.labelstudio.keyset import Page
from lsloop.ledger import Ledger, projects
from lsloop.ledger import tasks as ledger_tasks
from lsloop.records import Project

COMPARED = 2000
"""Tasks that a pull compares, whatever the clocks say, going on where the last one ended: two requests of
50 ms."""


@dataclass
class Lookout:
    """One pull's view of a project.

    `newest` is the latest change there was before anything was read.
    """

    ledger: Ledger
    studio: LabelStudio
    project: Project
    ls_project_id: int
    read: projects.Read
    newest: tasks.Newest | None
    overlap: timedelta
    batch: int
    compared_to: int = 0

    @property
    def cursor(self) -> datetime | None:
        """The cursor where the next pull begins."""
        if self.newest is None:
            return None
        return self.newest.server_time if self.newest.is_ahead else self.newest.moment

    @property
    def _is_in_doubt(self) -> bool:
        """Return whether a clock was put back.

        What is changed now is then stamped as if it had been there before.
        """
        since = self.read.cursor
        if self.newest is None or since is None:
            return False
        return self.newest.is_ahead or self.newest.moment < since

    def parts(self, everything: bool) -> Iterator[Iterator[Page]]:
        """All tasks, or those that changed, in parts with their annotations.

        Each part is to be written down before the next.
        """
        since = self.read.cursor
        if everything or since is None:
            yield tasks.changed(self.studio, self.ls_project_id, None, self.batch)
            return
        between = since - self.overlap, since
        there = None if self.read.is_quiet else tasks.count_between(self.studio, self.ls_project_id, *between)
        if self._is_in_doubt:
            yield self._as_they_are(tasks.moments_after(self.studio, self.ls_project_id, since))
        else:
            yield tasks.changed(self.studio, self.ls_project_id, since, self.batch)
        if there is not None:
            yield self._late(between, there)
        yield self._compared()

    def _late(self, between: tuple[datetime, datetime], there: int) -> Iterator[Page]:
        """The tasks last updated just before the cursor that are new to the ledger.

        The ledger does not have them as they are. `there` of them were counted before anything else was read.
        When as many stand just as the ledger has seen them, none is new: two requests then do for what would
        be read again whole.
        """
        seen = ledger_tasks.seen_between(self.ledger, self.project, *between)
        if tasks.count_as_seen(self.studio, self.ls_project_id, seen, salt=str(between)) != there:
            yield from self._as_they_are(tasks.moments_between(self.studio, self.ls_project_id, *between))

    def _compared(self) -> Iterator[Page]:
        """The next tasks in the order of their numbers.

        When a clock was put back, these are all.
        """
        above, going_on = (0, True) if self._is_in_doubt else (self.read.compared_to, False)
        while True:
            seen = ledger_tasks.seen_above(self.ledger, self.project, above, COMPARED)
            yield from self._differing(seen)
            above = max(seen) if len(seen) == COMPARED else 0
            if not going_on or above == 0:
                break
        self.compared_to = above

    def _differing(self, seen: Mapping[int, datetime | None]) -> Iterator[Page]:
        """Those of some tasks that are there otherwise, or were never read."""
        dated = {number: moment for number, moment in seen.items() if moment is not None}
        if len(dated) < len(seen):
            yield from self._read([number for number in seen if number not in dated])
        if tasks.count_as_seen(self.studio, self.ls_project_id, dated, salt=str(self.read)) != len(dated):
            now = tasks.moments_of(self.studio, self.ls_project_id, list(dated))
            yield from self._read([number for number, moment in now.items() if dated[number] != moment])

    def _as_they_are(self, now: Mapping[int, datetime]) -> Iterator[Page]:
        seen = ledger_tasks.seen_of(self.ledger, self.project, list(now))
        yield from self._read([number for number, moment in now.items() if seen.get(number) != moment])

    def _read(self, ids: list[int]) -> Iterator[Page]:
        yield from tasks.of_ids(self.studio, self.ls_project_id, ids, self.batch)
