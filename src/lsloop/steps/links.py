"""Links to media in tasks that people may still open follow their source.

The source is the address, the secret, the expiry and the file's place. Only the links in a task's data are
replaced, in place: nothing else that a task shows is touched, so a page that is open goes on, and an answer
that was begun is not disturbed. As long as nothing changed, this costs one look at a small table.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import urlsplit
from uuid import UUID

from lsloop.errors import Refused, Uncertain
from lsloop.labelstudio import answers, tasks
from lsloop.labelstudio.client import LabelStudio
from lsloop.ledger import Ledger, links
from lsloop.ledger.links import Linked
from lsloop.records import Project
from lsloop.signing import Link, Media, links_in

# Tasks that are read at a time: what somebody changes by hand between a read and a write would be lost.
_PIECE = 100
MOST = 3
"""Tasks in a row for which Label Studio fails: then it is not they that fail."""

_LOOKS = 20  # so many times the limit is looked at in one run

_LOCAL = ("localhost", "127.0.0.1", "::1")


@dataclass
class Renewed:
    """The number of tasks that got new links.

    `problems` says why others did not.
    """

    renewed: int = 0
    problems: list[str] = field(default_factory=list)


def renew(
    ledger: Ledger,
    studio: LabelStudio,
    project: Project,
    media: Media,
    *,
    limit: int,
    works: Callable[[str], bool],
) -> Renewed:
    """Renew the links of up to `limit` tasks, in Label Studio's order.

    `works` asks the media server whether a link is good. Raises Unreachable; what was done until then stays
    done.
    """
    done = Renewed()
    links.remember(ledger, project, media.made_of, media.expires)
    if limit and links.stale(ledger, project, media.made_of, media.renewed_until):
        with ledger.in_turn(f"lsloop refresh {project.project_id}"):  # both write a task's data
            _Run(ledger, studio, project, media, works, done).go(limit)
    return done


class _Run:
    """One pass over tasks whose links may be stale."""

    def __init__(
        self,
        ledger: Ledger,
        studio: LabelStudio,
        project: Project,
        media: Media,
        works: Callable[[str], bool],
        done: Renewed,
    ) -> None:
        assert project.ls_project_id is not None
        self.ledger, self.studio, self.project, self.media = ledger, studio, project, media
        self.ls_project_id, self.works, self.done = project.ls_project_id, works, done
        self.failing = 0  # tasks in a row that Label Studio failed for
        self.judged: dict[
            tuple[str, str], bool
        ] = {}  # whether links of a base with a fault are left as they are

    def go(self, limit: int) -> None:
        made = self.media.made_of, self.media.renewed_until
        stale = links.stale(self.ledger, self.project, *made)
        if stale and self._renew(stale.listed) and stale.seen_to is not None:
            self._go_through(stale.seen_to, limit, made)

    def _go_through(self, seen_to: int, limit: int, made: tuple[str, int]) -> None:
        looks = limit * _LOOKS
        while (left := limit - self.done.renewed) > 0 and looks > 0:
            some = links.after(self.ledger, self.project, seen_to, min(left, _PIECE))
            if not some:
                links.forget(self.ledger, self.project, *made)
                return
            if not self._renew(some):
                return  # they are looked at again when what keeps them is mended
            seen_to, looks = some[-1].ls_task_id, looks - len(some)
            links.seen(self.ledger, self.project, *made, seen_to)

    def _renew(self, some: Sequence[Linked]) -> bool:
        """Return whether all of these tasks were dealt with.

        None is then left as it is because of a doubt about the settings.
        """
        there = tasks.data_of(self.studio, self.ls_project_id, [task.ls_task_id for task in some])
        taken, refused = list[UUID](), list[UUID]()
        for task in some:
            data = there.get(task.ls_task_id, {})
            # Else gone, or its id is another task's now: the next pull finds out.
            is_ours = data.get(tasks.KEY) == str(task.task_key)
            if is_ours and any(self._doubt(link) for link in links_in(data)):
                continue
            new = self.media.renewed(data, task.path) if is_ours else data
            (taken if new == data or self._put(task, new) else refused).append(task.task_key)
        links.settle(self.ledger, taken, refused)
        return len(taken) + len(refused) == len(some)

    def _put(self, task: Linked, data: dict[str, object]) -> bool:
        try:
            tasks.update_data(self.studio, task.ls_task_id, data)
        except (
            Refused,
            answers.Failing,
            Uncertain,
        ) as trouble:  # this one task: the others go on, and it is tried again
            if isinstance(trouble, Uncertain) and not trouble.answered:
                raise
            self.failing += not isinstance(trouble, Refused)
            if self.failing == MOST:
                raise
            self.done.problems.append(
                f"the link of task {task.ls_task_id} was not renewed: {trouble.problem}"
            )
            return False
        self.failing = 0
        self.done.renewed += 1
        return True

    def _doubt(self, link: Link) -> bool:
        """Return whether links like this one are left as they are.

        They are left where the settings here may be the wrong ones.
        """
        fault = self.media.fault(link)
        if fault in ("address", "secret") and (link.base, fault) not in self.judged:
            doubt = self._elsewhere(link) if fault == "address" else self._unknown(link)
            self.judged[link.base, fault] = doubt is not None
            self.done.problems += [doubt] if doubt else []
        return self.judged.get((link.base, fault or ""), False)

    def _elsewhere(self, link: Link) -> str | None:
        if not _is_local(self.media.url) or _is_local(link.base):
            return None
        return (
            f"links to media lead to {link.base}; those of this machine would lead to {self.media.url}, "
            "which nobody else reaches. Set AUDIO_SERVER_URL to where annotators reach media."
        )

    def _unknown(self, link: Link) -> str | None:
        if not self.works(link.url):
            return None
        return (
            f"the media server at {link.base} takes links that were signed with another LSLOOP_SECRET "
            "than this machine's. Set the one that the server has."
        )


def _is_local(url: str) -> bool:
    return urlsplit(url).hostname in _LOCAL


def first(ledger: Ledger, studio: LabelStudio, project: Project, media: Media) -> str | None:
    """The link in the task that people are most likely to open next.

    None where no open task shows media. Raises Refused for a link that does not follow its source.
    """
    assert project.ls_project_id is not None
    task = links.open_task(ledger, project)
    data = (
        tasks.data_of(studio, project.ls_project_id, [task.ls_task_id]).get(task.ls_task_id) if task else None
    )
    for link in links_in(data):
        if why := _stale(link, media, task.path if task else None):
            which = f"task {task.ls_task_id if task else ''} of {project.task_type}"
            raise Refused(
                f"The link to the recording in {which} is stale: {why}.",
                f"Run `lsloop push --task-type {project.task_type}` or `lsloop pull`: "
                "they renew the links of open tasks.",
            )
        return link.url
    return None


def _stale(link: Link, media: Media, path: str | None) -> str | None:
    return {
        "address": f"it leads to {link.base}, and media are at {media.url} now",
        "secret": "it was signed with another LSLOOP_SECRET",
        "expiry": f"it ends on {datetime.fromtimestamp(link.expires, UTC):%Y-%m-%d at %H:%M} UTC",
        "path": f"the recording was {link.path} and is {path} now",
    }.get(media.fault(link, path) or "")
