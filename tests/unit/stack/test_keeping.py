"""A service that ends by itself is started again, until it has ended too often. Real processes, short
patience."""

import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from lsloop.errors import LsloopError
from lsloop.stack import children, ports, services, state
from lsloop.stack.children import Child
from lsloop.stack.keeping import Keeper, Patience
from lsloop.stack.services import Service
from projects import taken_port, wait_for

SHORT = Patience(first=0.01, most=0.02, ends=3, within=600)


@dataclass
class Kept:
    """A service that sleeps after it said a word; `script` is what its next start runs."""

    here: Path
    script: str = "import time; print('here', flush=True); time.sleep(600)"
    seconds: float = 60.0
    port: int = 0
    said: list[str] = field(default_factory=list)
    patience: Patience = SHORT

    def __post_init__(self) -> None:
        ready = lambda child, port: child.has_spoken  # noqa: E731
        self.service = Service("helper", self.start, ready, self.seconds, self.port)
        services.begin(self.here, self.service)
        self.keeper = Keeper(self.here, self.service, self.said.append, self.said.append, self.patience)

    def start(self, port: int) -> Child:
        command = [sys.executable, "-c", self.script]
        return children.spawn("Helper", command, self.here / "helper.log", self.here, children.environment())

    def kill(self) -> None:
        """End it as a crash would, and look until it is there again."""
        before = len(self.said)
        self.service.running.process.send_signal(signal.SIGKILL)
        self.service.running.process.wait()
        self.look_until(lambda: self.keeper.gave_up or self.said[before + 1 :] == ["Helper is there again."])

    def look_until(self, condition: object) -> None:
        def looked() -> bool:
            self.keeper.look()
            return bool(condition())  # type: ignore[operator]

        wait_for(looked)


def kept_in(folder: Path, *args: str, **options: float) -> Kept:
    folder.mkdir()
    return Kept(folder, *args, **options)  # type: ignore[arg-type]


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    made = Kept(tmp_path)
    yield made
    children.stop(one for one in [made.service.child] if one)


def test_it_is_started_again_and_written_down_ever_later_until_it_ended_too_often(kept: Kept) -> None:
    first = kept.service.running.process.pid
    kept.keeper.look()
    assert kept.said == []
    kept.kill()
    assert kept.said[0] == (
        "Helper ended by itself (SIGKILL). It is started again in 0.01 s; the others go on."
        f" Its log: {kept.here / 'helper.log'}"
    )
    assert kept.service.running.process.pid != first
    assert state.read(kept.here)["pids"]["helper"]["pid"] == kept.service.running.process.pid
    kept.kill()
    assert "in 0.02 s" in kept.said[2]
    kept.kill()
    assert kept.keeper.gave_up
    assert "That was 3 times within 10 minutes: it is left down, and the others go on. Read" in kept.said[-1]
    assert "3 times" in state.read(kept.here)["left_down"]["helper"]
    said = list(kept.said)
    kept.keeper.look()
    assert kept.said == said
    assert kept.service.child is None


def test_one_that_cannot_start_or_does_not_answer_is_told_and_left_down_in_the_end(
    kept: Kept, tmp_path: Path
) -> None:
    kept.script = "raise SystemExit(7)"
    kept.kill()
    assert [line.partition(" (")[2].partition(")")[0] for line in kept.said] == [
        "SIGKILL",
        "exit code 7",
        "exit code 7",
    ]

    silent = kept_in(tmp_path / "silent", "import time; time.sleep(600)", seconds=0.05)
    silent.kill()
    assert "did not answer within 0 s" in silent.said[-1]
    assert silent.service.child is None, "what hangs is ended, not left beside a new one"

    def refuse(port: int) -> Child:
        raise LsloopError("The disk is full.")

    failing = kept_in(tmp_path / "failing")
    failing.service.start = refuse
    failing.kill()
    assert "cannot start: The disk is full." in failing.said[-1]


def test_a_port_that_somebody_else_took_is_named_and_waited_for(tmp_path: Path) -> None:
    port = ports.choose([])
    kept = Kept(tmp_path, port=port, patience=Patience(first=0.01, most=0.02, ends=1000))
    with taken_port() as taken:
        kept.service.port = taken
        kept.service.running.process.kill()
        kept.look_until(lambda: f"somebody else has taken its port {taken}" in str(kept.said))
    kept.look_until(lambda: kept.said[-1] == "Helper is there again.")
    children.stop([kept.service.running])
