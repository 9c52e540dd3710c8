"""Whatever fails, and however it is told: no secret of the settings is on a stream, in a log or in an
answer."""

import threading
from pathlib import Path

import pytest

from lsloop.commands import main
from lsloop.config import load
from lsloop.errors import LsloopError
from lsloop.running import jobs
from services import Postgres

PASSWORDS = ["hunter2", "hunt/er2", "hun %ter2", "hünt@er:2?#&x=y", "hunt'\"\\er2"]
COMMANDS = (
    ["db", "upgrade", "-v"], ["status"], ["status", "--json"], ["export", "-v"], ["setup"], ["doctor"],
    ["retrain", "-t", "transcript_correction", "--background", "-v"],
)  # fmt: skip


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "params.yaml").write_text("task_types: {transcript_correction: {}}\n")
    (tmp_path / "data" / "raw").mkdir(parents=True)
    monkeypatch.setattr(jobs, "CONNECTING", 1.0)
    return tmp_path


def _told(project: Path, capfd: pytest.CaptureFixture[str]) -> str:
    codes = [main(["-C", str(project), *words]) for words in COMMANDS]
    assert 0 not in codes, codes
    said = capfd.readouterr()
    assert "Error" in said.err
    return said.out + said.err


@pytest.mark.parametrize("password", PASSWORDS)
def test_a_password_is_not_told_whatever_is_wrong_with_the_url(
    password: str,
    project: Path,
    postgres: Postgres,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, f"http://me:{password}@127.0.0.1:1")
    for name in ("LSLOOP_SECRET", "LSLOOP_API_TOKEN", "LSLOOP_WEBHOOK_SECRET", "LABEL_STUDIO_API_KEY"):
        monkeypatch.setenv(name, f"{name} {password}")
    monkeypatch.setenv("LABEL_STUDIO_URL", "http://ls.invalid")
    told = ""
    for host in (f"127.0.0.1:{postgres.port}/lsloop", "127.0.0.1:port/lsloop"):
        monkeypatch.setenv("DATABASE_URL", f"postgresql://lsloop:{password}@{host}")
        told += _told(project, capfd)
    for name in ("LABEL_STUDIO_URL", "AUDIO_SERVER_URL", "LSLOOP_WEBHOOK_URL"):
        with monkeypatch.context() as one:
            one.setenv(name, f"http://me:{password}@127.0.0.1:1")
            assert main(["-C", str(project), "status", "-v"]) == 2
    told += "".join(capfd.readouterr())
    assert password not in told
    assert "hunt" not in told, "not in part, and in no other spelling"


def test_a_worker_that_cannot_work_and_a_thread_that_ends_tell_no_password(
    project: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://lsloop:hunt/er2@127.0.0.1:1/lsloop")
    monkeypatch.setenv("LABEL_STUDIO_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", "0" * 40)
    main(["-C", str(project), "db", "status"])
    said: list[str] = []
    stop = threading.Event()

    def say(words: str) -> None:
        said.append(words)
        if len(said) == 2:
            stop.set()

    jobs.work(load(project), jobs.queues(), stop.wait, say)

    def broken() -> None:
        raise ValueError("postgresql://lsloop:hunt/er2@127.0.0.1:1/lsloop")

    thread = threading.Thread(target=broken)
    thread.start()
    thread.join()
    with pytest.raises(LsloopError) as error:
        raise LsloopError("connection string hunt/er2", "hunt%2Fer2")
    out = capfd.readouterr()
    told = " ".join([*said, out.out, out.err, str(error.value), error.value.fix])
    assert "Trying again" in told
    assert "ValueError" in told
    assert "hunt" not in told
