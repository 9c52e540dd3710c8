"""A PostgreSQL for a moment: empty, in a folder of its own, ended with the block."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lsloop.stack import children, ports, postgres


@contextmanager
def running(data: Path) -> Iterator[str]:
    """Run a PostgreSQL on `data`, made if it is not there; yield its URL.

    Raises LsloopError.
    """
    port = ports.choose([])
    log = data.with_suffix(".log")
    child = postgres.start(data, port, log)
    try:
        postgres.wait_until_ready(child, data)
        yield postgres.url(data, port)
    finally:
        children.stop([child])
        log.unlink(missing_ok=True)
