"""Log lines on stderr, for -v."""

import logging

from lsloop.secrecy import without_secrets
from lsloop.text import visible


class _Blanked(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return visible(without_secrets(super().format(record)))


def show() -> None:
    """Show lsloop's own log lines from INFO up, those of libraries from WARNING up."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Blanked("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
    logging.getLogger("lsloop").setLevel(logging.INFO)
