"""The identity of a Label Studio, whatever its URL.

It is its organisation, and the moment when that was made.
"""

from lsloop.errors import Unauthorised
from lsloop.labelstudio import people
from lsloop.labelstudio.answers import NotFound
from lsloop.labelstudio.client import LabelStudio


def told(studio: LabelStudio) -> str | None:
    """The identity of the Label Studio at hand; None where it does not say.

    An organisation is made with the first account, stays as long as the data does, and nobody can
    change when it was made.
    """
    try:
        found = studio.get("api/organizations/")
    except NotFound:
        people.whoami(studio)  # raises where this is no Label Studio at all
        return None
    except Unauthorised:
        return None
    if isinstance(found, list) and len(found) > 1:
        active = people.whoami(studio).get("active_organization")
        found = [one for one in found if one.get("id") == active]
    if not isinstance(found, list) or len(found) != 1 or not found[0].get("created_at"):
        return None
    return f"organization {found[0]['id']} of {found[0]['created_at']}"
