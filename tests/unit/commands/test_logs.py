"""`lsloop logs` and `lsloop open`."""

import json
import subprocess
from pathlib import Path

import pytest
from command_line import command, environment

from lsloop.commands import main


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("DATABASE_URL", "LABEL_STUDIO_URL", "MEDIA_URL", "AUDIO_SERVER_URL"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / ".lsloop" / "logs"
    folder.mkdir(parents=True)
    stack = {"label_studio_url": "http://127.0.0.1:8085", "server_url": "http://127.0.0.1:8000"}
    (tmp_path / ".lsloop" / "stack.json").write_text(json.dumps(stack))
    (folder / "worker.log").write_bytes(b"".join(b"line %d\n" % number for number in range(100)))
    (folder / "label-studio.log").write_bytes(b"\x1b[31mred \xff postgresql://me:hunter2@127.0.0.1/x\n")
    return tmp_path


def test_logs_are_listed_and_their_last_lines_shown(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "data").mkdir()
    assert main(["-C", str(project / "data"), "logs"]) == 0
    shown = capsys.readouterr().out
    assert "worker" in shown
    assert str(project / ".lsloop" / "logs" / "label-studio.log") in shown
    assert main(["-C", str(project), "logs", "worker", "--lines", "2"]) == 0
    assert capsys.readouterr().out == "line 98\nline 99\n"
    assert main(["-C", str(project), "logs", "studio"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("\\x1b[31mred")
    assert "hunter2" not in shown
    assert main(["-C", str(project), "logs", "nginx"]) == 2
    assert "Use one of: label-studio, worker." in capsys.readouterr().err


def test_lines_without_a_service_are_refused_in_words(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["-C", str(project), "logs", "--lines", "5"]) == 2
    assert "Use one of: " in capsys.readouterr().err


def test_a_log_is_followed_also_when_it_was_put_aside(project: Path) -> None:
    log = project / ".lsloop" / "logs" / "worker.log"
    args = command(["-C", str(project), "logs", "worker", "--follow", "--lines", "1"])
    with subprocess.Popen(args, env=environment(), stdout=subprocess.PIPE, text=True) as following:
        assert following.stdout
        try:
            assert following.stdout.readline() == "line 99\n"
            with log.open("a") as file:
                file.write("line 100\nhalf ")
                file.flush()
                assert following.stdout.readline() == "line 100\n"
                file.write("a line\n")
            assert following.stdout.readline() == "half a line\n"
            log.rename(log.with_suffix(".log.1"))
            log.write_text("anew\n")
            assert following.stdout.readline() == "anew\n"
        finally:
            following.kill()


def test_open_prints_the_address_and_opens_nothing_where_there_is_no_display(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webbrowser.open", lambda url: pytest.fail("a browser was opened"))
    for what, url in (([], "http://127.0.0.1:8085"), (["server"], "http://127.0.0.1:8000")):
        assert main(["-C", str(project), "open", *what]) == 0
        assert capsys.readouterr().out == f"{url}\n"
    assert main(["-C", str(project), "open", "nothing"]) == 2
    assert "studio, server, transcript_correction" in capsys.readouterr().err
