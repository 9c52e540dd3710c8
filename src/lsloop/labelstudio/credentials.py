"""The two kinds of token Label Studio hands out, as request headers.

A legacy token is sent as it is. A personal access token is a refresh token: it buys access tokens that live
for minutes, and buys the next before one ends.
"""

import base64
import binascii
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from lsloop.errors import UsageError

WHERE = "Label Studio: Account & Settings → Access Token"

Buy = Callable[[str], str]
"""Trades a personal access token for an access token."""


@dataclass(frozen=True)
class LegacyToken:
    """Forty hexadecimal digits that never change."""

    secret: str
    kind = "legacy token"

    def header(self, buy: Buy) -> str:
        return f"Token {self.secret}"

    def renew(self, rejected: str) -> bool:
        """Return False: there is nothing to renew."""
        return False


class PersonalToken:
    """A personal access token, with the access token that it last bought.

    The access token's life is counted from when it was bought, on this machine's monotonic clock: the
    server's clock may be wrong, and so may ours.
    """

    kind = "personal access token"

    def __init__(self, secret: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.secret = secret
        self._clock = clock
        self._access = ""
        self._ends = float("-inf")
        self._lock = threading.Lock()

    def header(self, buy: Buy) -> str:
        with self._lock:
            if self._clock() >= self._ends:
                self._ends = self._buy(buy)
            return f"Bearer {self._access}"

    def renew(self, rejected: str) -> bool:
        """Forget the access token behind a header that the server rejected.

        Returns True: asking again may help.
        """
        with self._lock:
            if rejected == f"Bearer {self._access}":
                self._ends = float("-inf")
            return True

    def _buy(self, buy: Buy) -> float:
        asked = self._clock()
        self._access = buy(self.secret)
        life = lifetime(self._access)
        return asked + life - min(60.0, life / 5)


Token = LegacyToken | PersonalToken


def read(api_key: str) -> Token:
    """The token in `api_key`.

    Raises UsageError when it can be of neither kind.
    """
    key = api_key.strip()
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise UsageError(
            "LABEL_STUDIO_API_KEY does not hold a Label Studio token.", f"Copy it anew ({WHERE})."
        )
    if key.count(".") != 2:
        return LegacyToken(key)
    if _claims(key).get("token_type") == "access":
        raise UsageError(
            "The Label Studio token is an access token, which lives for minutes.",
            f"Use the personal access token ({WHERE}).",
        )
    return PersonalToken(key)


def lifetime(access: str) -> float:
    """The seconds for which an access token is good, counted from when it was issued.

    0 where it does not say.
    """
    claims = _claims(access)
    issued, ends = claims.get("iat"), claims.get("exp")
    if isinstance(issued, int | float) and isinstance(ends, int | float):
        return max(0.0, float(ends - issued))
    return 0.0


def _claims(token: str) -> dict[str, object]:
    try:
        middle = token.split(".")[1]
        found = json.loads(base64.urlsafe_b64decode(middle + "=" * (-len(middle) % 4)))
    except (IndexError, binascii.Error, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
