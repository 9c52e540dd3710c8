"""TCP ports on 127.0.0.1: which one a service gets, and whether it answers there."""

import socket
from collections.abc import Iterable
from http.client import HTTPConnection, HTTPException

HOST = "127.0.0.1"


def choose(wanted: Iterable[int]) -> int:
    """The first of the wanted ports that is free, else any free one."""
    return next((port for port in wanted if is_free(port)), 0) or _any_free()


def is_free(port: int) -> bool:
    """Tell whether a server could listen on the port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As servers do: a port in TIME_WAIT is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def http_status(port: int, path: str) -> int:
    """The status that a GET of the path is answered with, 0 when it is not answered."""
    connection = HTTPConnection(HOST, port, timeout=10)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except (OSError, HTTPException):
        return 0
    finally:
        connection.close()


def _any_free() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
