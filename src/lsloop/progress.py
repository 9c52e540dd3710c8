"""How long work tells how far it is, to whoever asked for it."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """Once `expect`, then `advance`; `waiting` when somebody else is at it."""

    expect: Callable[[int], None] = lambda total: None
    advance: Callable[[int], None] = lambda done: None
    waiting: Callable[[], None] = lambda: None


SILENT = Progress()
