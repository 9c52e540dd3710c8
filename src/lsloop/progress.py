"""Progress of long work, told to whoever asked for it."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """The calls of long work: once `expect`, then `advance`.

    `waiting` is called when somebody else is at it.
    """

    expect: Callable[[int], None] = lambda total: None
    advance: Callable[[int], None] = lambda done: None
    waiting: Callable[[], None] = lambda: None


SILENT = Progress()
