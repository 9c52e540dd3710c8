"""`lsloop status --watch --json` can be read while it goes on: a document per line."""

import json
import signal
import subprocess
import threading
from pathlib import Path

from command_line import command, environment

AWAY = {
    "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none", "LABEL_STUDIO_URL": "http://127.0.0.1:1",
    "LABEL_STUDIO_API_KEY": "0" * 40,
}  # fmt: skip


def test_each_refresh_is_one_line_of_json(tmp_path: Path) -> None:
    words = command(["-C", str(tmp_path), "status", "--watch", "--json"])
    process = subprocess.Popen(
        words, env=environment(**AWAY), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout
    patience = threading.Timer(30, process.kill)
    patience.start()
    found = [json.loads(process.stdout.readline()) for _ in range(2)]
    process.send_signal(signal.SIGINT)
    rest, told = process.communicate(timeout=30)
    patience.cancel()
    assert [set(one["services"]) for one in found] == [{"label_studio", "postgresql"}] * 2
    assert (process.returncode, rest, told) == (130, "", "")


def test_a_service_that_up_left_down_is_told(tmp_path: Path) -> None:
    (tmp_path / ".lsloop").mkdir()
    said = (
        "The worker ended by itself (SIGKILL). That was 6 times within 10 minutes: it is left down, and the"
        " others go on."
    )
    (tmp_path / ".lsloop" / "stack.json").write_text(
        json.dumps({"left_down": {"worker": said, "postgres": "It is down."}})
    )
    words = command(["-C", str(tmp_path), "status", "--json"])
    done = subprocess.run(words, env=environment(**AWAY), capture_output=True, text=True)
    services = json.loads(done.stdout)["services"]
    assert (done.returncode, services["worker"]["problem"]) == (3, said)
    assert "lsloop logs worker" in services["worker"]["fix"]
    assert services["postgresql"]["problem"] == "It is down."
    assert (
        "Worker        FAILS     The worker ended"
        in subprocess.run(
            command(["-C", str(tmp_path), "status"]), env=environment(**AWAY), capture_output=True, text=True
        ).stdout
    )
