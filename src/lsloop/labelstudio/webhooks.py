"""Webhooks of a Label Studio project: made, kept in order, and never two of ours."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from lsloop.labelstudio.client import LabelStudio

HEADER = "X-Lsloop-Secret"
"""The header in which Label Studio sends the secret. Label Studio signs nothing."""


@dataclass(frozen=True)
class Webhook:
    """An address and what Label Studio is to send there.

    The payload is sent along: without it an event is an action without the project or the tasks that it
    is about. All actions are never asked for: with LABEL_LINK_CREATED subscribed, Label Studio 1.23
    fails to make labels.
    """

    url: str
    secret: str
    actions: Collection[str]

    def body(self) -> dict[str, Any]:
        """The body as Label Studio takes and tells it."""
        return {
            "url": self.url,
            "headers": {HEADER: self.secret},
            "actions": sorted(self.actions),
            "send_payload": True,
            "send_for_all_actions": False,
            "is_active": True,
        }


def of_project(studio: LabelStudio, ls_project_id: int) -> list[dict[str, Any]]:
    """Every webhook of a project, oldest first."""
    found = studio.get("api/webhooks/", params={"project": ls_project_id})
    return sorted(
        (one for one in found if one.get("project") == ls_project_id), key=lambda one: int(one["id"])
    )


def register(studio: LabelStudio, ls_project_id: int, wanted: Webhook) -> list[str]:
    """Make the webhook, or correct what differs; return what was corrected.

    Others' webhooks are left alone.

    Raises Unauthorised where Label Studio does not send to such addresses, and Refused.
    """
    ours = [one for one in of_project(studio, ls_project_id) if _is_ours(one, wanted.url)]
    if not ours:
        studio.post("api/webhooks/", json={"project": ls_project_id, **wanted.body()})
        return []
    changed = _changed(ours[0], wanted.body())
    if changed:
        studio.patch(f"api/webhooks/{ours[0]['id']}/", json=wanted.body())
    for second in ours[1:]:
        studio.delete(f"api/webhooks/{second['id']}/")
    drift = [f"the webhook's {', '.join(changed)} put right"] if changed else []
    return drift + (["a second webhook was removed"] if ours[1:] else [])


def drift(studio: LabelStudio, ls_project_id: int, wanted: Webhook) -> list[str]:
    """The differences that `register` would correct; changes nothing."""
    ours = [one for one in of_project(studio, ls_project_id) if _is_ours(one, wanted.url)]
    if not ours:
        return ["there is none"]
    second = ["there are several"] if ours[1:] else []
    return [f"its {name} differs" for name in _changed(ours[0], wanted.body())] + second


def _is_ours(there: dict[str, Any], url: str) -> bool:
    names = {name.lower() for name in there.get("headers") or {}}
    return there["url"] == url or HEADER.lower() in names


def _changed(there: dict[str, Any], wanted: dict[str, Any]) -> list[str]:
    """The names of what differs.

    The values are never named: a secret is among them.
    """
    now = there | {"actions": sorted(there.get("actions") or [])}
    return [name for name, value in wanted.items() if now.get(name) != value]
