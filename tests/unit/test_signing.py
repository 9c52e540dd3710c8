"""A signed link opens one file until it expires; whatever else is in the query, the answer is no, never a
crash."""

from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsloop import signing

SECRET, PATH, EXPIRES = "key", "phỏng vấn/a b#1?.wav", 2_000_000_000
GOOD = signing.signature(SECRET, PATH, EXPIRES)


def refusal(
    path: str = PATH, expires: str = str(EXPIRES), given: str = GOOD, now: float = EXPIRES - 1
) -> str | None:
    return signing.refusal(SECRET, path, expires, given, now)


def test_a_link_carries_what_opens_it() -> None:
    url = urlsplit(signing.signed_url("http://host:8000/", SECRET, PATH, EXPIRES))
    query = {name: values[0] for name, values in parse_qs(url.query).items()}
    assert url.netloc == "host:8000"
    assert unquote(url.path) == f"/media/{PATH}"
    assert refusal(expires=query["expires"], given=query["signature"]) is None


def test_a_link_ends_at_its_expiry() -> None:
    assert refusal(now=EXPIRES - 0.001) is None
    assert "expired" in str(refusal(now=EXPIRES))


def test_the_signature_is_of_one_path_one_expiry_and_one_secret() -> None:
    assert refusal(path="other.wav")
    assert refusal(expires=str(EXPIRES + 1))
    assert signing.refusal("other key", PATH, str(EXPIRES), GOOD, 0)


@pytest.mark.parametrize(
    "given",
    ["", GOOD[:-1], GOOD + "0", GOOD.upper(), "é" * 64, "\ud800", "\x00", GOOD[:-1] + "١", "x" * 100_000],
)
def test_an_altered_signature_is_refused(given: str) -> None:
    assert "signature" in str(refusal(given=given))


@pytest.mark.parametrize(
    "expires",
    [
        "",
        " ",
        "abc",
        "-1",
        "+1",
        "1.5",
        "1e9",
        "0x7f",
        "1_0",
        f" {EXPIRES}",
        f"{EXPIRES}\n",
        "٢٠٠",
        "9" * 13,
        "9" * 9999,
    ],
)
def test_an_expiry_that_is_no_number_is_refused(expires: str) -> None:
    assert refusal(expires=expires)


@given(expires=st.text(), given=st.text(), path=st.text(st.characters(codec="utf-8")))
def test_no_query_is_taken_for_a_signed_one(expires: str, given: str, path: str) -> None:
    assert signing.refusal(SECRET, path, expires, given, 0)
