"""Address of a PostgreSQL: DATABASE_URL taken apart once.

It serves every part that connects and every screen.

Libraries read the same URL differently, and some print it when they cannot. So nobody is handed the URL: they
get the parts, as libpq names them. A password may stand in it as it is, or with `%40` for `@`.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from lsloop.errors import UsageError

FORM = (
    "Write it as postgresql://user:password@host:5432/name, "
    "with %40 for @, %2F for / and %25 for % in a password."
)

SECRETS = ("password", "sslpassword", "oauth_client_secret", "scram_client_key", "scram_server_key")

SETTINGS = {
    *SECRETS, "application_name", "channel_binding", "client_encoding", "connect_timeout", "dbname",
    "fallback_application_name", "gssdelegation", "gssencmode", "gsslib", "host", "hostaddr", "keepalives",
    "keepalives_count", "keepalives_idle", "keepalives_interval", "krbsrvname", "load_balance_hosts",
    "max_protocol_version", "min_protocol_version", "oauth_client_id", "oauth_issuer", "oauth_scope",
    "options", "passfile", "port", "require_auth", "requirepeer", "service", "ssl_max_protocol_version",
    "ssl_min_protocol_version", "sslcert", "sslcertmode", "sslcompression", "sslcrl", "sslcrldir", "sslkey",
    "sslkeylogfile", "sslmode", "sslnegotiation", "sslrootcert", "sslsni", "target_session_attrs",
    "tcp_user_timeout", "user",
}  # fmt: skip
"""What libpq knows after the `?`."""

_SCHEME = re.compile(r"postgres(?:ql)?(?:\+\w+)?://", re.IGNORECASE)
_HOST = re.compile(
    r"(?:\[(?P<six>[0-9A-Fa-f:.]+(?:%25?\w+)?)\]|(?P<name>(?:[\w.~-]|%[0-9A-Fa-f]{2})*))(?::(?P<port>\d*))?"
)
_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True)
class Address:
    """Address in parts.

    `settings` are libpq's names and values; `place` is for people, and holds no secret.
    """

    settings: dict[str, str]
    place: str

    @property
    def secrets(self) -> list[str]:
        return [self.settings[name] for name in SECRETS if self.settings.get(name)]


class _Unclear(Exception):
    """A text that cannot be what it would have to be here."""


def read(url: str) -> Address:
    """Read the address in a `postgresql://` URL.

    Raises UsageError, whose words hold nothing of the URL.
    """
    url = url.strip()
    scheme = _SCHEME.match(url)
    if not scheme:
        raise UsageError("DATABASE_URL is not the URL of a PostgreSQL database.", FORM)
    if _CONTROL.search(url):
        raise UsageError("DATABASE_URL holds a line break or another control character.", FORM)
    for credentials, rest in _ways(url[scheme.end() :]):
        try:
            settings = _credentials(credentials) | _server(rest)
        except _Unclear:
            continue
        return Address(settings, _place(settings))
    raise UsageError("DATABASE_URL cannot be taken apart into user, password, host, port and database.", FORM)


def _ways(text: str) -> Iterator[tuple[str, str]]:
    """Yield the ways to split user and password from the rest.

    The first is right if all is encoded, the second for a password with / or ?.
    """
    authority = re.split(r"[/?]", text, maxsplit=1)[0]
    credentials, at, host = authority.rpartition("@")
    yield credentials if at else "", host + text[len(authority) :]
    credentials, at, rest = text.rpartition("@")
    if at:
        yield credentials, rest


def _credentials(text: str) -> dict[str, str]:
    user, colon, password = text.partition(":")
    found = {"user": _decoded(user)} if user else {}
    return found | {"password": _decoded(password)} if colon else found


def _server(text: str) -> dict[str, str]:
    before, _, query = text.partition("?")
    hosts, _, name = before.partition("/")
    if set(name) & set("/@"):
        raise _Unclear
    found = _hosts(hosts.split(",")) | ({"dbname": _decoded(name)} if name else {})
    return found | _query(query)


def _hosts(parts: list[str]) -> dict[str, str]:
    matches = [_HOST.fullmatch(part) for part in parts]
    if not all(matches):
        raise _Unclear
    names = [_decoded(match["six"] or match["name"] or "") for match in matches if match]
    ports = [match["port"] or "" for match in matches if match]
    if any(port and not 0 < int(port) < 65536 for port in ports):
        raise _Unclear
    found = {"host": ",".join(names)} if any(names) else {}
    return found | ({"port": ",".join(ports)} if any(ports) else {})


def _query(text: str) -> dict[str, str]:
    """Parse what stands after the `?`.

    Several hosts may stand there as `host=a:5432&host=b:5432`, too.
    """
    found: dict[str, str] = {}
    hosts: list[str] = []
    for part in filter(None, text.split("&")):
        name, equals, value = part.partition("=")
        if not equals or name not in SETTINGS or (name in found and name != "host"):
            raise _Unclear
        found[name] = _decoded(value)
        hosts += [value] if name == "host" else []
    if len(hosts) > 1:
        return found | _hosts(hosts)
    return found


def _decoded(text: str) -> str:
    """Decode the text; leave it as it is where it cannot have been encoded.

    Examples are `100%`, and bytes that are no UTF-8.
    """
    if _PERCENT.search(text):
        return text
    try:
        found = unquote_to_bytes(text).decode()
    except UnicodeDecodeError:
        return text
    if "\0" in found:
        raise _Unclear
    return found


def _place(settings: dict[str, str]) -> str:
    user = settings.get("user", "") + (":***" if settings.get("password") else "")
    hosts = (settings.get("host") or settings.get("hostaddr") or "").split(",")
    ports = settings.get("port", "").split(",")
    ports = ports if len(ports) == len(hosts) else ports[:1] * len(hosts)
    shown = [f"[{host}]" if ":" in host else host for host in hosts]
    where = ",".join(f"{host}:{port}" if port else host for host, port in zip(shown, ports, strict=True))
    service = f"?service={settings['service']}" if "service" in settings else ""
    return f"postgresql://{user}{'@' if user else ''}{where}/{settings.get('dbname', '')}{service}"
