"""ML backends of a Label Studio project: attached once, kept right, and tried out."""

from dataclasses import dataclass
from typing import Any

from lsloop.errors import Refused, Unauthorised
from lsloop.labelstudio import webhooks
from lsloop.labelstudio.client import LabelStudio

CONNECTED = "CO"

_FIX = (
    "Start Label Studio with ML_BLOCK_LOCAL_IP=false and SSRF_PROTECTION_ENABLED=false, or "
    "serve lsloop elsewhere."
)


@dataclass(frozen=True)
class Backend:
    """What Label Studio is to ask, under which name, and how it identifies itself."""

    url: str
    title: str
    user: str
    password: str

    def body(self) -> dict[str, Any]:
        """The body as Label Studio takes it."""
        return {
            "url": self.url,
            "title": self.title,
            "is_interactive": True,
            "auth_method": "BASIC_AUTH",
            "basic_auth_user": self.user,
            "basic_auth_pass": self.password,
        }


def of_project(studio: LabelStudio, ls_project_id: int) -> list[dict[str, Any]]:
    """Every ML backend of a project, oldest first.

    Label Studio asks each how it is before it answers.
    """
    found = studio.get("api/ml", params={"project": ls_project_id})
    return sorted(found, key=lambda one: int(one["id"]))


def titles(studio: LabelStudio, ls_project_id: int) -> set[str]:
    """The names of a project's ML backends."""
    return {str(one["title"]) for one in of_project(studio, ls_project_id)}


def attach(studio: LabelStudio, ls_project_id: int, wanted: Backend) -> tuple[dict[str, Any], list[str]]:
    """Attach the backend, or correct what differs.

    Returns the backend as it is now, and what was corrected. Label Studio asks it first. Raises Refused
    when it does not answer or has no model, and Unauthorised where Label Studio asks nobody at such
    addresses.
    """
    ours = [one for one in of_project(studio, ls_project_id) if _is_ours(one, wanted)]
    if not ours:
        _create(studio, ls_project_id, wanted)
        ours = [one for one in of_project(studio, ls_project_id) if _is_ours(one, wanted)]
        drift = []
    else:
        drift = _put_right(studio, ls_project_id, ours[0], wanted)
    for second in ours[1:]:
        studio.delete(f"api/ml/{second['id']}")
    drift += ["a second ML backend was removed"] if ours[1:] else []
    _remove_webhook(studio, ls_project_id, wanted)
    return dict(studio.get(f"api/ml/{ours[0]['id']}")), drift


def ours(studio: LabelStudio, ls_project_id: int, wanted: Backend) -> dict[str, Any] | None:
    """The backend as Label Studio has it; None where it has none.

    Label Studio asks it first how it is.
    """
    return next((one for one in of_project(studio, ls_project_id) if _is_ours(one, wanted)), None)


def test_predict(studio: LabelStudio, ls_backend_id: int) -> list[dict[str, Any]]:
    """Have Label Studio ask the backend about a task that it chooses.

    Returns the answer. Raises Uncertain when none comes.
    """
    told = studio.post(f"api/ml/{ls_backend_id}/predict/test", params={"random": "true"})
    return list(told.get("response") or [])


def _is_ours(there: dict[str, Any], wanted: Backend) -> bool:
    return bool(there["url"] == wanted.url or there["title"] == wanted.title)


def _create(studio: LabelStudio, ls_project_id: int, wanted: Backend) -> None:
    try:
        studio.post("api/ml", json={"project": ls_project_id, **wanted.body()})
    except Unauthorised as error:
        # Where only the webhook beside the backend is forbidden, the backend is made all the same.
        if not any(_is_ours(one, wanted) for one in of_project(studio, ls_project_id)):
            raise Unauthorised(error.problem, _FIX) from error


def _put_right(studio: LabelStudio, ls_project_id: int, there: dict[str, Any], wanted: Backend) -> list[str]:
    """Correct what differs in the backend's settings.

    The password cannot be read back: that it is right is seen from Label Studio reaching the backend.
    """
    changed = [
        name
        for name, value in wanted.body().items()
        if name != "basic_auth_pass" and there.get(name) != value
    ]
    if not changed and there["state"] == CONNECTED:
        return []
    studio.patch(f"api/ml/{there['id']}", json={"project": ls_project_id, **wanted.body()})
    return [f"the ML backend's {', '.join(changed) or 'connection'} put right"]


def _remove_webhook(studio: LabelStudio, ls_project_id: int, wanted: Backend) -> None:
    """Remove the webhook for all actions that Label Studio makes beside each backend.

    With it, making a label fails (1.23).
    """
    for one in webhooks.of_project(studio, ls_project_id):
        if one["url"] == f"{wanted.url}/webhook":
            studio.delete(f"api/webhooks/{one['id']}/")


def is_not_ready(refusal: Refused) -> bool:
    """Tell whether Label Studio reached the backend, and that had no model yet."""
    return "503 Server Error" in refusal.problem  # requests' words; a port may hold these digits, too
