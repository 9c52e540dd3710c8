"""Addresses of web services in the settings.

They are read once, and told by the name of the setting, never by their text.
"""

from urllib.parse import SplitResult, urlsplit, urlunsplit

from lsloop.errors import UsageError


def checked(name: str, text: str, *, query: bool = False) -> str:
    """Return the address without blanks around it and without a final `/`.

    These change nothing. Raises UsageError.
    """
    parts = _parts(name, text.strip())
    fix = f"Write {name} as http://host:8000 or https://host/path."
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(f"{name} is not the address of a web server.", fix)
    if parts.username is not None or parts.password is not None:
        raise UsageError(f"{name} holds a user name or a password.", f"Take it out. {fix}")
    if parts.fragment or (parts.query and not query):
        raise UsageError(f"{name} goes on after its path, with ? or #.", fix)
    return urlunsplit(parts._replace(path=parts.path.rstrip("/")))


def _parts(name: str, text: str) -> SplitResult:
    try:
        parts = urlsplit(text)
        clean = not any(one.isspace() or ord(one) < 32 or one in '<>"\\^`{|}' for one in text)
        if clean and (parts.port is None or parts.port > 0):
            return parts
    except ValueError:  # a port that is no number, half an IPv6 address
        pass
    raise UsageError(
        f"{name} is not the address of a web server.",
        f"Write {name} as http://host:8000 or https://host/path.",
    )


def below(base: str, path: str) -> str:
    """The address of `path` below a base address, whose own path and query stay."""
    parts = urlsplit(base)
    return urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/{path.lstrip('/')}"))
