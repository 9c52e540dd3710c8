"""Checks of `lsloop doctor` whose failure cannot be had from services that work: clocks, disk, modes."""

import http.server
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from lsloop.errors import Refused, Skipped, Unreachable, UsageError
from lsloop.labelstudio import client
from lsloop.ledger import Ledger
from lsloop.steps import checkup


class SlowClock(http.server.BaseHTTPRequestHandler):
    """Answers anything, an hour ago."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def date_time_string(self, timestamp: float | None = None) -> str:
        return format_datetime(datetime.now(UTC) - timedelta(hours=1), usegmt=True)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def hour_ago() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), SlowClock) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_clock_that_is_wrong_is_named_with_by_how_much(ledger: Ledger, hour_ago: str) -> None:
    assert checkup.clocks(ledger, None).startswith("PostgreSQL ")
    with client.connect(hour_ago, "0" * 40) as studio, pytest.raises(Refused) as told:
        checkup.clocks(ledger, studio)
    assert told.value.problem == "Label Studio's clock is 3600 s behind this machine's."
    assert "NTP" in told.value.fix
    with pytest.raises(Skipped):
        checkup.clocks(None, None)


def test_too_little_space_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert checkup.disk(tmp_path).endswith("GiB free")
    monkeypatch.setattr(checkup, "FREE_BYTES", 2**60)
    with pytest.raises(Refused, match="MiB are free"):
        checkup.disk(tmp_path)


def test_only_files_that_others_may_read_are_named(tmp_path: Path) -> None:
    for name, mode in (("good", 0o600), ("group", 0o640), ("other", 0o604)):
        (tmp_path / name).write_text("x")
        (tmp_path / name).chmod(mode)
    with pytest.raises(Refused) as told:
        checkup.secrets([tmp_path / name for name in ("good", "group", "other", "missing")])
    named = told.value.fix.removeprefix("chmod 600 ").split()
    assert [Path(name).name for name in named] == ["group", "other"]
    assert checkup.secrets([tmp_path / "good", tmp_path / "missing"]) == "1 file, for their owner only"


@pytest.mark.parametrize(
    ("error", "state", "away"),
    [
        (Refused("No.", "Do this."), "fails", False), (UsageError("No.", "Do this."), "fails", False),
        (Unreachable("No.", "Do this."), "fails", True), (Skipped("Nothing.", ""), "skipped", False),
        (PermissionError(13, "Permission denied", "/data"), "fails", False),
    ],
)  # fmt: skip
def test_whatever_a_check_raises_becomes_its_row(error: Exception, state: str, away: bool) -> None:
    def check() -> str:
        raise error

    row = checkup.look("it", check)
    assert (row.name, row.state, row.unreachable) == ("it", state, away)
    assert row.fix or state == "skipped"


def test_a_row_never_shows_a_secret() -> None:
    def check() -> str:
        raise Refused("postgresql://me:hunter2@db/x said no", "Send Token abcdef0123456789.")

    row = checkup.look("it", check)
    assert "hunter2" not in row.said
    assert "abcdef" not in row.fix
