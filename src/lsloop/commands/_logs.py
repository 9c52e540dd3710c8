"""Log lines on stderr: warnings, and with -v more; nothing in them is secret."""

import logging
import sys
import threading
import traceback
from types import TracebackType

from lsloop.secrecy import without_secrets
from lsloop.values.text import visible


class _Blanked(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return visible(without_secrets(super().format(record)))


def blank() -> None:
    """Blank secrets in what Python itself writes to stderr.

    That is warnings of libraries, and what ends a thread or the program.
    """
    if logging.lastResort:
        logging.lastResort.setFormatter(_Blanked())
    threading.excepthook = lambda told: _trace(told.exc_type, told.exc_value, told.exc_traceback)
    sys.excepthook = _trace


def _trace(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    if kind is not SystemExit:
        sys.stderr.write(without_secrets("".join(traceback.format_exception(kind, error, trace))))


def show() -> None:
    """Show lsloop's own log lines from INFO up, those of libraries from WARNING up."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Blanked("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
    logging.getLogger("lsloop").setLevel(logging.INFO)
