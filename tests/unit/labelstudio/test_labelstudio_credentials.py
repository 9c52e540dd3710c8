"""Tokens: which kind it is, and how long an access token may be used."""

import base64
import json

import pytest

from lsloop.errors import UsageError
from lsloop.labelstudio import credentials


def jwt(**claims: object) -> str:
    middle = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"eyJhbGciOiJIUzI1NiJ9.{middle}.c2lnbmF0dXJl"


class Shop:
    """Sells access tokens that live 300 s by a clock of its own, and a clock for the buyer."""

    def __init__(self, server_clock: float = 0.0, life: float = 300.0) -> None:
        self.now, self.server_clock, self.life, self.sold = 50.0, server_clock, life, 0

    def clock(self) -> float:
        return self.now

    def buy(self, personal: str) -> str:
        self.sold += 1
        issued = self.server_clock + self.now
        return jwt(token_type="access", iat=issued, exp=issued + self.life, n=self.sold)


@pytest.mark.parametrize("server_clock", [-1e9, 0.0, 1e9], ids=["30 years late", "right", "30 years early"])
def test_an_access_token_is_used_for_most_of_its_life_whatever_the_clocks_say(server_clock: float) -> None:
    shop = Shop(server_clock)
    token = credentials.PersonalToken("personal", shop.clock)
    sold = []
    for seconds in (0, 100, 139, 2, 100):
        shop.now += seconds
        token.header(shop.buy)
        sold.append(shop.sold)
    assert sold == [1, 1, 1, 2, 2]


def test_a_token_is_renewed_early_in_proportion_when_it_lives_for_seconds() -> None:
    shop = Shop(life=10.0)
    token = credentials.PersonalToken("personal", shop.clock)
    token.header(shop.buy)
    shop.now += 7.9
    token.header(shop.buy)
    assert shop.sold == 1
    shop.now += 0.2
    token.header(shop.buy)
    assert shop.sold == 2


def test_only_the_token_that_was_rejected_is_given_up() -> None:
    shop = Shop()
    token = credentials.PersonalToken("personal", shop.clock)
    first = token.header(shop.buy)
    assert token.renew(first)
    second = token.header(shop.buy)
    assert token.renew(first)  # another thread was rejected with the old one
    assert token.header(shop.buy) == second
    assert shop.sold == 2


def test_an_access_token_that_does_not_say_how_long_it_lives_is_used_once() -> None:
    assert credentials.lifetime("opaque") == 0
    assert credentials.lifetime(jwt(exp=5)) == 0


def test_a_legacy_token_is_sent_as_it_is_and_blanks_around_it_do_not_matter() -> None:
    token = credentials.read(" abc123\n")
    assert token.header(Shop().buy) == "Token abc123"
    assert not token.renew("Token abc123")


@pytest.mark.parametrize("key", ["", "  ", "two words", "tokén", "a\x00b"])
def test_what_cannot_be_a_token_is_refused_without_showing_it(key: str) -> None:
    with pytest.raises(UsageError) as refused:
        credentials.read(key)
    assert "LABEL_STUDIO_API_KEY" in refused.value.problem
    assert not key.strip() or key not in refused.value.problem


def test_an_access_token_is_told_from_a_personal_one() -> None:
    assert isinstance(credentials.read(jwt(token_type="refresh")), credentials.PersonalToken)
    with pytest.raises(UsageError, match="access token"):
        credentials.read(jwt(token_type="access"))
