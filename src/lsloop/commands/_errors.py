"""Report of anything that goes wrong: two lines on stderr and an exit code.

The traceback is shown only with -v.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from lsloop.commands._call import Call
from lsloop.errors import LsloopError
from lsloop.secrecy import without_secrets


def explain(error: Exception, call: Call) -> int:
    """Tell the user what failed and what to do next; returns the exit code."""
    problem, fix, code = _in_words(error)
    if call.verbose:
        import traceback

        call.out.trace(without_secrets("".join(traceback.format_exception(error))))
    call.out.error(without_secrets(_one_line(problem)), without_secrets(_one_line(fix)), code)
    return code


def _in_words(error: Exception) -> tuple[str, str, int]:
    if isinstance(error, LsloopError):
        return error.problem, error.fix, error.exit_code
    if isinstance(error, typer.TyperException):
        return error.format_message(), _see_help(error), error.exit_code
    if isinstance(error, typer.Abort):
        return "Stopped: the question was not answered with yes.", "", 1
    if isinstance(error, OSError) and error.strerror:
        where = f": {error.filename}" if error.filename else ""
        return f"{error.strerror}{where}.", "Check the path, its permissions and the space left.", 1
    told = _one_line(str(error))
    problem = f"lsloop itself failed: {type(error).__name__}{': ' + told if told else ''}."
    return problem, "Run it again with -v for the traceback, and report it with that.", 1


def _see_help(error: typer.TyperException) -> str:
    ctx = getattr(error, "ctx", None)
    return f"See `{ctx.command_path if ctx else 'lsloop'} --help`."


def _one_line(text: str) -> str:
    return " ".join(text.split())


@contextmanager
def trouble_with_stdout() -> Iterator[None]:
    """Escape what the terminal cannot show.

    End quietly when the reader went away (`| head`).
    """
    for stream in (sys.stdout, sys.stderr):
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(errors="backslashreplace")
    try:
        yield
    except BrokenPipeError:
        pass
    finally:
        _flush()


def _flush() -> None:
    try:
        sys.stdout.flush()
    except OSError:
        # Python flushes once more at exit, where this would be told a second time
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
