"""The people in Label Studio, and accounts for annotators without a browser."""

import html
import re
from typing import Any

import httpx

from lsloop.errors import Refused, Unreachable, UsageError
from lsloop.labelstudio import answers
from lsloop.labelstudio.answers import NotFound
from lsloop.labelstudio.client import LabelStudio


def whoami(studio: LabelStudio) -> dict[str, Any]:
    """The account behind the token: id, email, username, …

    Raises UsageError where the URL is not that of a Label Studio, as with the path of one of its pages.
    """
    try:
        return dict(studio.get("api/current-user/whoami"))
    except NotFound as error:
        raise UsageError(
            f"There is no Label Studio at {studio.url}: {error.problem}",
            "Correct LABEL_STUDIO_URL: the address of Label Studio itself, without the path of one of its"
            " pages.",
        ) from error


def names(studio: LabelStudio) -> dict[int, str]:
    """The email of every user by user id, as in an annotation's `completed_by`."""
    return {user["id"]: user["email"] for user in studio.get("api/users/")}


def add_annotator(studio: LabelStudio, email: str, password: str) -> str:
    """A token for the account of `email`.

    The account is made through the invite link if it does not exist. The token is a legacy one where
    the organisation allows these, else a personal access token: the one that the account had before is
    revoked. Raises Refused when the password is too weak or not the account's.
    """
    with studio.browser() as browser:
        if email.lower() in {name.lower() for name in names(studio).values()}:
            _submit(browser, "user/login/", email, password)
        else:
            invite = studio.get("api/invite")["token"]
            _submit(browser, f"user/signup/?token={invite}", email, password)
        return _token(browser)


def _submit(browser: httpx.Client, form: str, email: str, password: str) -> None:
    """Fill in a sign-in or sign-up form.

    The answer to a good one is a redirect.
    """
    csrf = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', _ask(browser, "GET", form).text)
    if not csrf:
        raise Unreachable(f"{form.split('?')[0]} is not a form of Label Studio.", "Check LABEL_STUDIO_URL.")
    fields = {"email": email, "password": password, "csrfmiddlewaretoken": csrf.group(1)}
    answer = _ask(browser, "POST", form, data=fields, headers={"Referer": str(browser.base_url)})
    if not answer.is_redirect:
        wrong = re.findall(r'class="(?:error|field_errors)">\s*(?:<li>\s*)?([^<\s][^<]*)', answer.text)
        said = html.unescape(" ".join(" ".join(wrong).split()))
        raise Refused(f"Label Studio does not take the account {email}: {said}", "Correct what it names.")


def _token(browser: httpx.Client) -> str:
    """A token for whoever is signed in."""
    if _ask(browser, "GET", "api/jwt/settings").json()["legacy_api_tokens_enabled"]:
        return str(_ask(browser, "GET", "api/current-user/token").json()["token"])
    for old in _ask(browser, "GET", "api/token/").json():
        _change(browser, "api/token/blacklist/", {"refresh": old["token"]})
    return str(_change(browser, "api/token/", {}).json()["token"])


def _change(browser: httpx.Client, path: str, body: dict[str, str]) -> httpx.Response:
    csrf = browser.cookies.get("csrftoken") or ""
    return _ask(
        browser, "POST", path, json=body, headers={"X-CSRFToken": csrf, "Referer": str(browser.base_url)}
    )


def _ask(browser: httpx.Client, method: str, path: str, **content: Any) -> httpx.Response:
    try:
        response = browser.request(method, path, **content)
    except httpx.TransportError as error:
        raise Unreachable(f"Label Studio does not answer: {error}.", "Start it, then run again.") from error
    if response.is_error:
        what = (
            f"{answers.name(response.request)} was answered {response.status_code}: "
            f"{answers.message(response)}"
        )
        raise Refused(what, "Make the account by hand in Label Studio (Organization → Add Members).")
    return response
