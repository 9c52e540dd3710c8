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
    process = subprocess.Popen(words, env=environment(**AWAY), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout
    patience = threading.Timer(30, process.kill)
    patience.start()
    found = [json.loads(process.stdout.readline()) for _ in range(2)]
    process.send_signal(signal.SIGINT)
    rest, told = process.communicate(timeout=30)
    patience.cancel()
    assert [set(one["services"]) for one in found] == [{"label_studio", "postgresql"}] * 2
    assert (process.returncode, rest, told) == (130, "", "")
