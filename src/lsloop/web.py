"""The way to a web service: directly, or by the proxy of the environment.

It is direct where the service is on this machine. The environment is read here and not by httpx, which ends
in an error of its own where NO_PROXY names an IPv6 network, asks a proxy for this machine's own servers, and
tells a missing SSL_CERT_FILE as a missing file without a name.
"""

import ipaddress
import os
import re
import ssl
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies_environment

import httpx

from lsloop.errors import UsageError


def client(url: str, **options: Any) -> httpx.Client:
    """A client for the service at `url`.

    Raises UsageError for a proxy or a certificate file that cannot be one.
    """
    found = proxy_of(url)
    try:
        return httpx.Client(
            trust_env=False, proxy=found[1] if found else None, verify=_trusted(url), **options
        )
    except (httpx.InvalidURL, ValueError, ImportError) as error:
        name = found[0] if found else "A setting"
        raise UsageError(f"{name} in the environment is not the address of a proxy that lsloop can use.",
                         "Write it as http://host:3128, or take it away.") from error  # fmt: skip


def proxy_of(url: str) -> tuple[str, str] | None:
    """The variable that names the proxy on the way to `url`, and what it says.

    None where there is none.
    """
    parts = urlsplit(url)
    host = (parts.hostname or "").rstrip(".")
    proxies = getproxies_environment()
    name = next((one for one in (parts.scheme, "all") if proxies.get(one)), None)
    if name is None or is_here(host) or _is_excepted(host, parts.port, proxies.get("no", "")):
        return None
    return f"{name.upper()}_PROXY", proxies[name]


def way(url: str) -> str:
    """Words for the way to `url`, for errors: empty where it is direct."""
    found = proxy_of(url)
    return f" through the proxy of {found[0]}" if found else ""


def is_here(host: str) -> bool:
    """Return whether the host is this machine, by what it is called.

    No proxy knows anything of this machine's servers.
    """
    host = host.strip("[]").rstrip(".").lower()
    try:
        found = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
    mapped = getattr(found, "ipv4_mapped", None)
    return bool((mapped or found).is_loopback or found.is_unspecified)


def _is_excepted(host: str, port: int | None, exceptions: str) -> bool:
    return any(_covers(one, host.lower(), port) for one in re.split(r"[,\s]+", exceptions.lower()) if one)


def _covers(one: str, host: str, port: int | None) -> bool:
    if one == "*":
        return True
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
        return address in ipaddress.ip_network(one.strip("[]"), strict=False)
    except ValueError:  # one of the two is a name, or has a port
        pass
    name, _, its_port = one.rpartition(":") if re.fullmatch(r"(\[.*\]|[^:]*):\d+", one) else (one, "", "")
    if its_port and port != int(its_port):
        return False
    name = name.strip("[]").removeprefix("*").lstrip(".")
    return bool(name) and (host == name or host.endswith(f".{name}"))


def _trusted(url: str) -> ssl.SSLContext | bool:
    """Whom to trust.

    That is SSL_CERT_FILE or SSL_CERT_DIR where they are set, else what comes with httpx.
    """
    for variable in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        path = os.environ.get(variable)
        if path and urlsplit(url).scheme == "https":
            try:
                where = {"cafile" if variable == "SSL_CERT_FILE" else "capath": path}
                if not os.path.exists(path):
                    raise FileNotFoundError(path)
                return ssl.create_default_context(**where)  # type: ignore[arg-type]
            except OSError as error:  # ssl.SSLError is one
                what = f"{variable} names {path}, which cannot be read as certificates."
                raise UsageError(
                    what, f"Name a file that is there in {variable}, or take it away."
                ) from error
    return True
