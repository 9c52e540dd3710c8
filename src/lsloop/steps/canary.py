"""The canary: a project with one task that goes out and one annotation that returns.

It is a project of its own in Label Studio. It never touches the real projects, and nothing of it stays: not
when a check fails, and when it is killed, the next one removes what is left.
"""

import contextlib
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import httpx

from lsloop import web
from lsloop.errors import Refused, Unauthorised, Unreachable
from lsloop.labelstudio import answers, projects, tasks
from lsloop.labelstudio.client import LabelStudio

TITLE = "lsloop doctor"
MARK = "a canary of lsloop doctor; it removes itself"
LABEL_CONFIG = """<View>
  <Text name="text" value="$text"/>
  <TextArea name="answer" toName="text" maxSubmissions="1"/>
</View>"""
TEXT = "xin chào, canary"

FORGOTTEN = timedelta(hours=1)
ARRIVAL_SECONDS = 2.0  # Label Studio sends before it answers, and waits one second
_POLL = 0.1  # seconds


@dataclass
class Canary:
    """A canary in Label Studio.

    `owner` says whose it is, so that an earlier one of the same owner is known to be a leftover.
    """

    studio: LabelStudio
    owner: str
    key: str = field(default_factory=lambda: str(uuid.uuid4()))
    ls_project_id: int | None = None
    ls_task_id: int | None = None
    ls_annotation_id: int | None = None

    def out(self) -> str:
        """Make the project and send the task with its pre-annotation.

        It looks whether the task is there as it was sent.
        """
        removed = self._sweep()
        description = f"{MARK} ({self.owner}, {self.key})"
        self.ls_project_id = int(projects.create(self.studio, TITLE, LABEL_CONFIG, description)["id"])
        prediction = {"model_version": "canary", "score": 0.5, "result": _result(TEXT)}
        task = {"data": {"text": TEXT, tasks.KEY: self.key}, "predictions": [prediction]}
        (self.ls_task_id,) = tasks.import_batch(self.studio, self.ls_project_id, [task])
        if not tasks.carry(self.studio, self.ls_project_id, [(self.ls_task_id, self.key)]):
            raise Refused("The task is not in Label Studio as it was sent.", "Look at Label Studio's log.")
        left = f"; {removed} left by an earlier doctor removed" if removed else ""
        return f"arrived in project {self.ls_project_id}{left}"

    def heard(self, url: str, arrived: Callable[[], bool]) -> str:
        """Have Label Studio send the annotation to `url`.

        `arrived` asks our server whether something came.
        """
        body = {"project": self.ls_project_id, "url": url, "actions": ["ANNOTATION_CREATED"],
                "send_payload": True, "send_for_all_actions": False}  # fmt: skip
        place = url.partition("?")[0].rpartition("/canary/")[0]
        try:
            self.studio.post("api/webhooks/", json=body)
        except Unauthorised as error:
            raise Refused(
                f"Label Studio does not send to {place}. {error.problem}",
                "Start Label Studio with SSRF_PROTECTION_ENABLED=false, or give the server a public address.",
            ) from error
        self._submit()
        ends = time.monotonic() + ARRIVAL_SECONDS
        while not arrived():
            if time.monotonic() > ends:
                raise Refused(
                    f"Label Studio sent an event to {place}, and it did not arrive within "
                    f"{ARRIVAL_SECONDS:g} s.",
                    "Set LSLOOP_WEBHOOK_URL to where Label Studio reaches `lsloop serve`, "
                    "then run `lsloop setup`.",
                )
            time.sleep(_POLL)
        return f"Label Studio's event arrived at {place}"

    def back(self) -> str:
        """Submit an annotation, unless done, and read it back with the task."""
        self._submit()
        assert self.ls_project_id is not None
        assert self.ls_task_id is not None
        (task,) = tasks.fetch(self.studio, self.ls_project_id, [self.ls_task_id])
        texts = [one["value"]["text"] for a in task["annotations"] for one in a["result"]]
        if task["data"].get(tasks.KEY) != self.key or texts != [[f"{TEXT}!"]]:
            raise Refused(
                "The annotation did not come back as it was submitted.", "Look at Label Studio's log."
            )
        return f"annotation {self.ls_annotation_id} came back as it was submitted"

    def end(self) -> str:
        """Remove the project with all that is in it.

        This removes, too, a project whose making was never answered.
        """
        if self.ls_project_id is None:
            found = projects.find_by_description(self.studio, self.key)
            self.ls_project_id = int(found[0]["id"]) if found else None
        if self.ls_project_id is not None:
            _remove(self.studio, self.ls_project_id)
            self.ls_project_id = None
        if projects.find_by_description(self.studio, self.key):
            raise Refused(
                "The canary's project is still there.", f"Delete the project {TITLE!r} in Label Studio."
            )
        return "the canary's project is gone"

    def _submit(self) -> None:
        assert self.ls_task_id is not None
        if self.ls_annotation_id is None:
            made = tasks.annotate(self.studio, self.ls_task_id, _result(f"{TEXT}!"), lead_time=1.0)
            self.ls_annotation_id = int(made["id"])

    def _sweep(self) -> int:
        """Remove what earlier canaries left.

        They are our own, and anybody's that is forgotten; never one that people have used.
        """
        there = projects.find_by_description(self.studio, MARK)
        found = [projects.get(self.studio, one["id"]) for one in there if one["title"] == TITLE]
        leftovers = [one["id"] for one in found if one and one["task_number"] <= 1 and self._is_left(one)]
        for ls_project_id in leftovers:
            _remove(self.studio, ls_project_id)
        return len(leftovers)

    def _is_left(self, there: dict[str, str]) -> bool:
        age = datetime.now(UTC) - datetime.fromisoformat(there["created_at"])
        return f"({self.owner}, " in there["description"] or age > FORGOTTEN


def _remove(studio: LabelStudio, ls_project_id: int) -> None:
    for hook in studio.get("api/webhooks/", params={"project": ls_project_id}):
        studio.delete(f"api/webhooks/{hook['id']}/")
    with contextlib.suppress(answers.NotFound):
        projects.delete(studio, ls_project_id)


def _result(text: str) -> list[dict[str, object]]:
    value = {"text": [text]}
    return [{"id": "canary", "from_name": "answer", "to_name": "text", "type": "textarea", "value": value}]


def has_arrived(url: str) -> bool:
    """Return whether our server took a delivery at a canary's link.

    Raises Unreachable, Refused.
    """
    return bool(_asked(url).json()["arrived"])


def served(url: str) -> str:
    """Raise Unreachable unless our server answers at `url` and reaches PostgreSQL."""
    _asked(f"{url}/health")
    return f"answers at {url}"


def opened(link: str, origin: str) -> str:
    """Check that a browser on a page of `origin` may play a signed link's file.

    Raises Unreachable, Refused.
    """
    part = _get(link, {"Origin": origin, "Range": "bytes=0-0"})
    if part.status_code in (403, 404):
        told = "the signing secret differs" if part.status_code == 403 else "the file is not there"
        raise Refused(
            f"The server does not give out {_name(link)}: {told}.",
            "Let the server run with this project's data/raw (run `dvc pull`) and the same LSLOOP_SECRET.",
        )
    if part.status_code != 206 or len(part.content) != 1:
        raise Refused(
            f"A range of {_name(link)} was answered {part.status_code}, not 206.",
            "Players cannot seek: let the proxy before the server pass Range on.",
        )
    if part.headers.get("access-control-allow-origin") != origin:
        raise Refused(
            f"Pages of {origin} may not read media.",
            "Start the server with the LABEL_STUDIO_URL that annotators use.",
        )
    return f"{_name(link)}: can be played"


def playable(link: str, expired: str, origin: str) -> str:
    """Check that the file of a signed link plays in a browser on `origin`'s page.

    Nobody without a good link may play it. Raises Unreachable, and Refused for what a browser or a stranger
    would meet.
    """
    opened(link, origin)
    stranger = _get(link, {"Origin": "http://elsewhere.invalid"}, head=True)
    if "access-control-allow-origin" in stranger.headers:
        raise Refused(
            "Pages of any origin may read media.", "Let the proxy before the server add no CORS headers."
        )
    for wrong, what in ((expired, "An expired"), (f"{link}0", "An altered")):
        if (status := _get(wrong, {}, head=True).status_code) != 403:
            raise Refused(
                f"{what} link was answered {status}, not 403.",
                "Let nothing before the server answer for /media.",
            )
    return f"{_name(link)}: range, origin and expiry hold"


def gives_out(link: str) -> bool:
    """Return whether the media server gives out what is behind a link.

    False, too, where no server answers.
    """
    try:
        return _get(link, {"Range": "bytes=0-0"}).is_success
    except Unreachable:
        return False


def _name(link: str) -> str:
    return httpx.URL(link).path.removeprefix("/media/")


def _asked(url: str) -> httpx.Response:
    answer = _get(url, {})
    if not answer.is_success:
        where = url.partition("?")[0]
        what = f"The server answered {answer.status_code} at {where}."
        raise Unreachable(what, "Look at .lsloop/logs/server.log; `lsloop up` starts the server.")
    return answer


def _get(url: str, headers: dict[str, str], head: bool = False) -> httpx.Response:
    try:
        with web.client(url, timeout=10) as client:
            return client.request("HEAD" if head else "GET", url, headers=headers)
    except httpx.HTTPError as error:
        where = url.partition("?")[0].partition("/media/")[0].partition("/canary/")[0]
        raise Unreachable(
            f"The server at {where} does not answer{web.way(url)}: {error or type(error).__name__}.",
            "Start it with `lsloop up` or `lsloop serve`, or correct AUDIO_SERVER_URL.",
        ) from error
