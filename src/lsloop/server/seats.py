"""Models that a server answers with, one seat per task type.

The next one is loaded while the last one answers.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from lsloop.asking import LONGEST, Loaded, Model, unusable
from lsloop.errors import LsloopError
from lsloop.secrecy import without_secrets

logger = logging.getLogger(__name__)

AGAIN = 60.0
"""Seconds until a model that could not be loaded is tried again."""


@dataclass(frozen=True)
class State:
    """State of a seat: a model, or the reason why there is none.

    `fallback` says why it is not the one wanted.
    """

    model: Model | None = None
    loaded: Loaded | None = None
    problem: str | None = "The model is being loaded."
    fallback: str | None = None

    @property
    def version(self) -> str | None:
        """The version to show; that it stands in for another one is part of it."""
        if self.loaded is None:
            return None
        return f"{self.loaded.version} (fallback: {self.fallback})" if self.fallback else self.loaded.version


class Seat:
    """Seat for the model of one task type.

    `wanted` tells which models would do, the best first; `load` takes seconds.
    """

    def __init__(self, wanted: Callable[[], Sequence[Model]], load: Callable[[Model], Loaded]) -> None:
        self._find, self._load = wanted, load
        self._wanted: Sequence[Model] | None = None
        self._tried = 0.0
        self.state = State()

    def refresh(self) -> None:
        """Find which model is wanted, and load it when it is another one.

        One thread calls this.
        """
        try:
            wanted = list(self._find())
        except LsloopError as error:  # PostgreSQL is away: what answers goes on
            if self.state.loaded is None:
                self.state = State(problem=_short(error))
            return
        if wanted == self._wanted and not self._is_due():
            return
        self._wanted, self._tried = wanted, time.monotonic()
        self.state = self._best(wanted)

    def _is_due(self) -> bool:
        is_settled = self.state.loaded is not None and self.state.fallback is None
        return bool(self._wanted) and not is_settled and time.monotonic() - self._tried >= AGAIN

    def _best(self, wanted: Sequence[Model]) -> State:
        """The first that can be loaded; else the one that answered until now."""
        reasons: list[str] = []
        for model in wanted:
            if loaded := self._loaded(model, reasons):
                return State(model, loaded, None, reasons[0] if reasons else None)
        if not wanted:
            return State(problem="There is no model: none was promoted, and params.yaml names none.")
        return replace(self.state, fallback=reasons[0]) if self.state.loaded else State(problem=reasons[0])

    def _loaded(self, model: Model, reasons: list[str]) -> Loaded | None:
        if model == self.state.model:
            return self.state.loaded
        try:
            return self._load(model)
        except Exception as error:  # whatever a library raises: the others still have to be tried
            reasons.append(unusable(model, error))
            logger.warning("%s", reasons[-1])
            return None


def _short(error: Exception) -> str:
    told = error.problem if isinstance(error, LsloopError) else f"{type(error).__name__}: {error}"
    return without_secrets(" ".join(told.split()))[:LONGEST].rstrip(".")
