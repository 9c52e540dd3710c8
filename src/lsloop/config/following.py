"""Settings in processes that run for days, where a change needs no restart.

params.yaml is followed.

Label templates need nothing here: they are read each time. The environment and `.env` hold from the start on:
they name the services that a process is connected to.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import replace

from lsloop import config
from lsloop.config import Config
from lsloop.errors import UsageError

SETTLED = 1.0  # seconds without a change: what is being written may be half there

Now = Callable[[], Config]
"""The settings as they are now. Ask once per piece of work, so that all of it has the same."""

_Stamp = tuple[int, int, int] | None


class Following:
    """Settings whose params.yaml is read again after it changed.

    While it cannot be read, those before go on; `warn` is told once.
    """

    def __init__(self, settings: Config, warn: Callable[[str], None]) -> None:
        self._settings, self._warn = settings, warn
        self._path = settings.project_dir / "params.yaml"
        self._seen = self._stamp()
        self._one_at_a_time = threading.Lock()

    def __call__(self) -> Config:
        """The settings now."""
        with self._one_at_a_time:
            stamp = self._stamp()
            if stamp != self._seen and _has_settled(stamp):
                self._seen = stamp
                self._read(stamp)
            return self._settings

    def _read(self, stamp: _Stamp) -> None:
        try:
            if stamp is None:
                raise UsageError("params.yaml is gone.", "Put it back.")
            self._settings = replace(self._settings, params=config.read_params(self._settings.project_dir))
        except (UsageError, OSError) as error:
            told = (
                f"{error.problem} {error.fix}" if isinstance(error, UsageError) else f"params.yaml: {error}."
            )
            self._warn(f"{told} Until then the settings before go on.")

    def _stamp(self) -> _Stamp:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino


def _has_settled(stamp: _Stamp) -> bool:
    return stamp is None or abs(time.time() - stamp[0] / 1e9) >= SETTLED
