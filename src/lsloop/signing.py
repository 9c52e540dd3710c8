"""Signed media links, each good for that one file until it expires.

Whoever has the link may fetch that file, and nothing else. The signature covers the path and the expiry, not
the whole query string: Label Studio's player asks a second time with `lsref=1` added to the query.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import quote, unquote

_LINK = re.compile(r"(https?://[^?#]*?)/media/([^?#]+)\?expires=([0-9]{1,12})&signature=([0-9a-f]{64})")
_SECONDS = re.compile(r"[0-9]{1,12}")  # int() would also take blanks, signs and other scripts' digits


def signature(secret: str, path: str, expires: int) -> str:
    """The HMAC-SHA256 over media path and expiry, as 64 hex digits.

    The expiry is in seconds since the epoch.
    """
    return hmac.new(secret.encode(), f"{expires}\n{path}".encode(), hashlib.sha256).hexdigest()


def signed_url(base_url: str, secret: str, path: str, expires: int) -> str:
    """The link to `path` that the media server answers until `expires`.

    `path` is relative to the raw data folder.
    """
    signed = signature(secret, path, expires)
    return f"{base_url.rstrip('/')}/media/{quote(path)}?expires={expires}&signature={signed}"


def refusal(secret: str, path: str, expires: str, given: str, now: float) -> str | None:
    """Say why a link is not good at `now`, or None when it is.

    `now` is in seconds since the epoch. Takes the query's texts as they came, whatever is in them.
    """
    if not _SECONDS.fullmatch(expires):
        return "this link is not signed"
    right = signature(secret, path, int(expires)).encode()
    if not hmac.compare_digest(right, given.encode(errors="replace")):
        return "this link's signature is wrong"
    return None if now < int(expires) else "this link has expired"


def canary_path(nonce: str) -> str:
    """The path that is signed for a canary's link.

    No media file has a path that begins so.
    """
    return f"/canary/{nonce}"


def canary_url(base_url: str, secret: str, nonce: str, expires: int) -> str:
    """The link under which the server takes a canary's delivery until `expires`.

    The server tells of the delivery.
    """
    signed = signature(secret, canary_path(nonce), expires)
    return f"{base_url.rstrip('/')}{canary_path(quote(nonce, safe=''))}?expires={expires}&signature={signed}"


class Link(NamedTuple):
    """What a media link says."""

    base: str
    path: str
    expires: int
    signature: str

    @property
    def url(self) -> str:
        """The link itself."""
        return f"{self.base}/media/{quote(self.path)}?expires={self.expires}&signature={self.signature}"


def parsed(value: Any) -> Link | None:
    """The link that a value is; None for whatever else is in a task's data."""
    match = _LINK.fullmatch(value) if isinstance(value, str) else None
    return Link(match[1], unquote(match[2]), int(match[3]), match[4]) if match else None


@dataclass(frozen=True)
class Media:
    """The way annotators reach media: signed links.

    The links are under `url`, signed with `secret`, good until `expires` (seconds since 1970). A link that
    expires before `renewed_until` is renewed while it is still good.
    """

    url: str
    secret: str
    expires: int
    renewed_until: int = 0

    @property
    def made_of(self) -> str:
        """A fingerprint of address and secret.

        With another one of them, the links that are out there are dead.
        """
        return hmac.new(self.secret.encode(), f"links\n{self.url}".encode(), hashlib.sha256).hexdigest()[:16]

    def link(self, path: str) -> str:
        """The signed link to one file."""
        return signed_url(self.url, self.secret, path, self.expires)

    def fault(self, link: Link, path: str | None = None) -> str | None:
        """Say why a link has to be renewed; None for a good one.

        It is one of `address`, `secret`, `expiry`, `path`.
        """
        if link.base != self.url.rstrip("/"):
            return "address"
        if not hmac.compare_digest(signature(self.secret, link.path, link.expires), link.signature):
            return "secret"
        if link.expires < self.renewed_until:
            return "expiry"
        return "path" if path not in (None, link.path) else None

    def renewed(self, value: Any, path: str | None) -> Any:
        """A task's data with good links in it, and otherwise as it is.

        `path`: where the recording is now, if known.
        """
        if (link := parsed(value)) is not None:
            return self.link(path or link.path) if self.fault(link, path) else value
        if isinstance(value, Mapping):
            return {name: self.renewed(one, path) for name, one in value.items()}
        return [self.renewed(one, path) for one in value] if isinstance(value, list) else value


def links_in(value: Any) -> list[Link]:
    """Every media link in a task's data."""
    if (link := parsed(value)) is not None:
        return [link]
    inside = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    return [link for one in inside for link in links_in(one)]
