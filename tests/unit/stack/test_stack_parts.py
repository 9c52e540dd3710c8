"""The small parts of the stack: ports, files, the state folder, child processes."""

import json
import os
import signal
import stat
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import psutil
import pytest

from lsloop.stack import Failed, Held, children, files, leftovers, ports, state, supervisor
from lsloop.stack.children import Child
from projects import gone, taken_port, wait_for


def python(tmp_path: Path, script: str, name: str = "Helper") -> Child:
    command = [sys.executable, "-c", script]
    return children.spawn(name, command, tmp_path / "log", tmp_path, children.environment())


def written(path: Path) -> bool:
    return path.is_file() and path.read_text() != ""


def test_the_first_free_port_is_chosen() -> None:
    with taken_port() as taken:
        free = ports.choose([])
        assert ports.choose([taken, free]) == free
        assert ports.choose([taken]) not in (0, taken)
        assert not ports.is_free(taken)


def test_a_port_is_free_again_at_once() -> None:
    with taken_port() as port:
        pass
    assert ports.is_free(port)


def test_what_is_kept_is_made_once_and_only_the_owner_reads_it(tmp_path: Path) -> None:
    assert files.keep(tmp_path / "secret", "one") == "one"
    assert files.keep(tmp_path / "secret", "two") == "one"
    assert stat.S_IMODE((tmp_path / "secret").stat().st_mode) == 0o600


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    files.write(tmp_path / "file", "old")
    with pytest.raises(UnicodeEncodeError):
        files.write(tmp_path / "file", "new \ud800")
    assert (tmp_path / "file").read_text() == "old"
    assert [one.name for one in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("text", ["", "{", "[]", "null"])
def test_a_broken_state_file_reads_as_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / state.FILE).write_text(text)
    assert state.read(tmp_path) == {}


def test_only_one_process_holds_a_state_folder(tmp_path: Path) -> None:
    with state.held(tmp_path):
        state.record_self(tmp_path)
        with pytest.raises(Held), state.held(tmp_path):
            raise AssertionError("held twice")
    with state.held(tmp_path):
        pass


def test_the_second_of_two_waits_until_it_knows_who_was_first(tmp_path: Path) -> None:
    """Between taking the folder and writing down who took it, nobody can be said to run there."""
    with ThreadPoolExecutor() as pool:
        with state.held(tmp_path):
            second = pool.submit(_hold, tmp_path)
            assert not wait([second], timeout=0.3).done
            state.record_self(tmp_path)
            with pytest.raises(Held):
                second.result(10)
        state.update(tmp_path, pids={})
        with state.held(tmp_path):  # and one that goes without a word leaves it to the next
            third = pool.submit(_hold, tmp_path)
        third.result(10)


def _hold(here: Path) -> None:
    with state.held(here):
        pass


def test_a_stack_is_running_only_while_its_process_lives(tmp_path: Path) -> None:
    child = python(tmp_path, "import time; time.sleep(60)")
    known = children.identity(child.process.pid)
    state.update(tmp_path, ready=True, pids={"supervisor": known})
    assert state.running(tmp_path)
    children.stop([child])
    assert not state.running(tmp_path)


def test_a_stack_is_found_though_its_file_was_damaged_under_it(tmp_path: Path) -> None:
    with state.held(tmp_path):
        state.record_self(tmp_path)
        (tmp_path / state.FILE).write_text("{")
        assert state.supervisor(tmp_path) is None
        assert state.last_supervisor(tmp_path).pid == os.getpid()
        began = time.monotonic()
        with pytest.raises(Held), state.held(tmp_path):
            pass
        assert time.monotonic() - began < state.PATIENCE_SECONDS / 2
    (tmp_path / state.SUPERVISOR).write_text("[]")
    assert state.last_supervisor(tmp_path) is None


def test_a_later_process_with_the_same_number_is_another_one() -> None:
    known = children.identity(os.getpid())
    assert children.find(known)
    assert children.find(known | {"started": known["started"] - 5}) is None


def test_recorded_leftovers_are_ended_and_strangers_are_not(tmp_path: Path) -> None:
    left, stranger = (python(tmp_path, "import time; time.sleep(60)") for _ in range(2))
    try:
        pids = {
            "server": children.identity(left.process.pid) | {"signal": 15},
            "label_studio": {"pid": stranger.process.pid, "started": 1.0, "signal": 15},
        }
        (tmp_path / state.FILE).write_text(json.dumps({"pids": pids}))
        assert leftovers.clear(tmp_path)
        assert left.process.poll() is not None
        assert stranger.process.poll() is None
    finally:
        children.stop([left, stranger])


def test_a_child_that_ends_while_starting_is_told_with_its_last_words(tmp_path: Path) -> None:
    child = python(tmp_path, "print('no such table: kept'); raise SystemExit(7)")
    with pytest.raises(Failed, match="no such table: kept") as caught:
        children.wait_until(lambda: False, child, 30)
    assert caught.value.problem == "Helper ended while starting (exit code 7)."
    assert str(tmp_path / "log") in caught.value.fix


def test_a_child_that_never_answers_is_told_after_the_time_given(tmp_path: Path) -> None:
    child = python(tmp_path, "import time; time.sleep(60)")
    try:
        with pytest.raises(Failed, match="Helper did not answer within 0 s"):
            children.wait_until(lambda: False, child, 0.2)
    finally:
        children.stop([child])


STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
below = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])
print(below.pid, flush=True)
time.sleep(60)
"""


def test_a_child_that_will_not_end_is_killed_with_all_below_it(tmp_path: Path) -> None:
    child = python(tmp_path, STUBBORN)
    wait_for(lambda: written(child.log))
    below = psutil.Process(int(child.log.read_text()))
    children.stop([child], seconds=0.3)
    assert child.process.returncode == -signal.SIGKILL
    wait_for(lambda: gone([below]))


PARENT = """
import sys, time
from pathlib import Path
from lsloop.stack import children
folder = Path(sys.argv[1])
child = children.spawn("Sleeper", ["sleep", "60"], folder / "log", folder, children.environment())
(folder / "pid").write_text(str(child.process.pid))
time.sleep(60)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere the next `up` ends what is left")
def test_a_child_ends_with_its_parent_however_that_ends(tmp_path: Path) -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path)])
    wait_for(lambda: written(tmp_path / "pid"))
    child = psutil.Process(int((tmp_path / "pid").read_text()))
    assert child.is_running()
    parent.kill()
    parent.wait()
    wait_for(lambda: gone([child]))


def test_variables_of_the_user_do_not_reach_a_service(monkeypatch: pytest.MonkeyPatch) -> None:
    misleading = ("DEBUG", "DJANGO_DB", "LABEL_STUDIO_HOST", "PYTHONPATH", "PGDATA", "PGOPTIONS")
    for name in misleading:
        monkeypatch.setenv(name, "something")
    assert not set(misleading) & set(children.environment())
    assert children.environment()["PATH"] == os.environ["PATH"]


class Dropped:
    """Python drops what is raised while this is cleared away."""

    def __del__(self) -> None:
        os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_signal_whose_interrupt_was_dropped_ends_the_stack_all_the_same(tmp_path: Path) -> None:
    with supervisor._stoppable() as signals:
        one = Dropped()
        del one
        assert signals == [signal.SIGTERM]
        with pytest.raises(KeyboardInterrupt):
            supervisor.watch(supervisor.Running(tmp_path, [], signals), print, print)
