"""Signed media links: whoever has the link may fetch that one file until it expires, and nothing else.

The signature covers the path and the expiry, not the whole query string: Label Studio's player asks a second
time with `lsref=1` added to the query.
"""

import hashlib
import hmac
import re
from urllib.parse import quote

_SECONDS = re.compile(r"[0-9]{1,12}")  # int() would also take blanks, signs and other scripts' digits


def signature(secret: str, path: str, expires: int) -> str:
    """HMAC-SHA256 over the media path and the expiry (seconds since the epoch), as 64 hex digits."""
    return hmac.new(secret.encode(), f"{expires}\n{path}".encode(), hashlib.sha256).hexdigest()


def signed_url(base_url: str, secret: str, path: str, expires: int) -> str:
    """The link to `path` (relative to the raw data folder) that the media server answers until `expires`."""
    signed = signature(secret, path, expires)
    return f"{base_url.rstrip('/')}/media/{quote(path)}?expires={expires}&signature={signed}"


def refusal(secret: str, path: str, expires: str, given: str, now: float) -> str | None:
    """Why a link is not good at `now` (seconds since the epoch), or None when it is.

    Takes the query's texts as they came, whatever is in them.
    """
    if not _SECONDS.fullmatch(expires):
        return "this link is not signed"
    right = signature(secret, path, int(expires)).encode()
    if not hmac.compare_digest(right, given.encode(errors="replace")):
        return "this link's signature is wrong"
    return None if now < int(expires) else "this link has expired"


def canary_path(nonce: str) -> str:
    """What is signed for a canary's link. No media file has a path that begins so."""
    return f"/canary/{nonce}"


def canary_url(base_url: str, secret: str, nonce: str, expires: int) -> str:
    """The link under which the server takes a canary's delivery until `expires`, and tells of it."""
    signed = signature(secret, canary_path(nonce), expires)
    return f"{base_url.rstrip('/')}{canary_path(quote(nonce, safe=''))}?expires={expires}&signature={signed}"
