"""Accounts in a real Label Studio."""

import uuid
from collections.abc import Iterator

import labelling
import pytest

from faults.proxy import Proxy
from lsloop.errors import Refused, Unauthorised, Unreachable
from lsloop.labelstudio import client, people, tasks
from lsloop.labelstudio.client import LabelStudio
from services import Studio

pytestmark = pytest.mark.studio

PASSWORD = "correct horse battery"


@pytest.fixture
def labels(studio: Studio) -> Iterator[LabelStudio]:
    with client.connect(studio.url, studio.token) as connection:
        yield connection


@pytest.fixture
def personal_tokens_only(studio: Studio) -> Iterator[LabelStudio]:
    """The administrator, while the organisation allows no legacy tokens."""
    with client.connect(studio.url, studio.pat) as admin:
        admin.post("api/jwt/settings", json={"api_tokens_enabled": True, "legacy_api_tokens_enabled": False})
        yield admin
        admin.post("api/jwt/settings", json={"api_tokens_enabled": True, "legacy_api_tokens_enabled": True})


def someone() -> str:
    return f"{uuid.uuid4().hex[:12]}@example.com"


def test_annotators_get_accounts_whose_annotations_are_their_own(labels: LabelStudio) -> None:
    (task,) = tasks.import_batch(labels, project := labelling.project(labels), labelling.batch(1))
    emails = [someone(), someone()]
    for email in emails:
        token = people.add_annotator(labels, email, PASSWORD)
        with client.connect(labels.url, token) as annotator:
            tasks.annotate(annotator, task, labelling.result(email))
    names = people.names(labels)
    there = tasks.fetch(labels, project, [task])[0]["annotations"]
    assert {names[a["completed_by"]]: a["result"][0]["value"]["text"] for a in there} == {
        email: [email] for email in emails
    }


def test_an_annotator_added_again_gets_a_token_again(labels: LabelStudio) -> None:
    email = someone()
    people.add_annotator(labels, email, PASSWORD)
    again = people.add_annotator(labels, email.upper(), PASSWORD)
    with client.connect(labels.url, again) as annotator:
        assert people.whoami(annotator)["email"] == email
    assert list(people.names(labels).values()).count(email) == 1


def test_an_annotator_gets_a_personal_token_where_legacy_ones_are_switched_off(
    personal_tokens_only: LabelStudio, labels: LabelStudio
) -> None:
    with pytest.raises(Unauthorised, match="legacy token authentication has been disabled"):
        people.whoami(labels)
    email = someone()
    for _ in range(2):  # the second time, an older token stands in the way
        token = people.add_annotator(personal_tokens_only, email, PASSWORD)
        with client.connect(labels.url, token) as annotator:
            assert people.whoami(annotator)["email"] == email


@pytest.mark.parametrize(
    ("again", "password", "said"),
    [(False, "short", r"8–128 characters"), (True, "wrong password", "don't match")],
)
def test_a_bad_password_is_refused_in_label_studios_words(
    labels: LabelStudio, again: bool, password: str, said: str
) -> None:
    email = someone()
    if again:
        people.add_annotator(labels, email, PASSWORD)
    with pytest.raises(Refused, match=said) as refused:
        people.add_annotator(labels, email, password)
    assert password not in refused.value.problem


def test_an_annotator_can_be_added_where_label_studio_is_under_a_path(studio: Studio) -> None:
    with Proxy(studio.url, "/labels") as under, client.connect(under.url, studio.token) as admin:
        email = someone()
        with client.connect(under.url, people.add_annotator(admin, email, PASSWORD)) as annotator:
            assert people.whoami(annotator)["email"] == email


def test_no_account_is_made_where_nobody_answers() -> None:
    with client.connect("http://127.0.0.1:9", "0" * 40) as nobody, pytest.raises(Unreachable):
        people.add_annotator(nobody, someone(), PASSWORD)
