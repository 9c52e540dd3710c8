"""`lsloop doctor`: all green on services that work, the right row where one does not, and nothing stays of
it."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from lsloop.commands import main
from lsloop.labelstudio import projects, webhooks
from lsloop.ledger import events
from lsloop.server.api import Desk
from lsloop.steps.canary import MARK, TITLE
from projects import OURS
from services import Studio
from serving import SECRET, serving
from world import TRANSCRIPT, World, clips, wait_until

pytestmark = pytest.mark.studio

DEAD = "http://127.0.0.1:1"


@dataclass
class Patient:
    """A project folder with a task type in use, a DVC remote and a server, and `lsloop doctor` on it."""

    world: World
    studio: Studio
    url: str
    capsys: pytest.CaptureFixture[str]

    @property
    def folder(self) -> Path:
        return self.world.config.project_dir

    def settle(self, **changed: str) -> None:
        """Write .env."""
        given = self.world.config.environment
        assert given.database_url
        settings = {
            "DATABASE_URL": given.database_url.get_secret_value(), "LABEL_STUDIO_URL": self.studio.url,
            "LABEL_STUDIO_API_KEY": self.studio.token, "AUDIO_SERVER_URL": self.url,
            "LSLOOP_WEBHOOK_URL": self.url,
            "LSLOOP_SECRET": SECRET, **changed,
        }  # fmt: skip
        path = self.folder / ".env"
        path.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
        path.chmod(0o600)

    def doctor(self) -> tuple[int, dict[str, dict[str, Any]]]:
        code = main(["-C", str(self.folder), "doctor", "--json", "--quiet"])
        document = json.loads(self.capsys.readouterr().out)
        assert document["ok"] == (code == 0)
        return code, {check["name"]: check for check in document["checks"]}

    def start(self) -> "subprocess.Popen[bytes]":
        """Doctor in a process of its own, at the moment when its canary is out."""
        clean = {name: value for name, value in os.environ.items() if name not in OURS}
        process = subprocess.Popen(
            [sys.executable, "-m", "lsloop", "-C", str(self.folder), "doctor", "--quiet"],
            env=clean, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        wait_until(self.canaries, 60)
        return process

    @property
    def first(self) -> int:
        """The first task in Label Studio."""
        return int(self.world.value("SELECT min(ls_task_id) FROM tasks"))

    def canaries(self) -> list[dict[str, Any]]:
        return projects.find_by_description(self.world.studio, MARK)

    def everything(self) -> dict[str, Any]:
        """What there is in Label Studio, in the ledger and on disk, but for DVC's own scratch."""
        studio = self.world.studio
        ids = [one["id"] for one in projects.find_by_description(studio, "")]
        tables = self.world.rows("SELECT table_name FROM information_schema.tables "
                                 "WHERE table_schema = 'lsloop' "
                                 "AND table_type = 'BASE TABLE' ORDER BY 1")  # fmt: skip
        files = [path for path in self.folder.rglob("*") if ".dvc" not in path.parts]
        return {
            "projects": {i: (projects.get(studio, i) or {})["task_number"] for i in ids},
            "webhooks": [hook["id"] for i in ids for hook in webhooks.of_project(studio, i)],
            "rows": {
                t.table_name: self.world.value(f'SELECT count(*) FROM "{t.table_name}"') for t in tables
            },
            "files": sorted(str(path.relative_to(self.folder)) for path in files),
        }


@pytest.fixture
def patient(
    world: World, studio: Studio, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Patient]:
    for name in OURS:
        monkeypatch.delenv(name, raising=False)
    folder = world.config.project_dir
    (folder / "remote").mkdir()
    (folder / ".dvc" / "tmp").mkdir(parents=True)
    remote = (
        "[core]\n    no_scm = True\n    remote = store\n['remote \"store\"']\n    url ="
        f" {folder / 'remote'}\n"
    )
    (folder / ".dvc" / "config").write_text(remote)
    with serving(world.raw_dir, studio=studio.url, desk=Desk(world.ledger, world.config, "t")) as url:
        hook = {"lsloop_webhook_url": url, "media_url": url}
        told = replace(world.config, environment=world.config.environment.model_copy(update=hook))
        made = Patient(World(told, world.ledger, world.studio), studio, url, capsys)
        made.settle()
        # The webhook of the real project is checked against the secret that .env names.
        with_secret = told.environment.model_copy(
            update={"lsloop_secret": type(told.environment.lsloop_secret)(SECRET)}
        )
        made.world = replace(made.world, config=replace(told, environment=with_secret))
        made.world.ingest(clips(2))
        made.world.push()
        yield made


def test_all_of_it_holds_and_nothing_stays(patient: Patient) -> None:
    patient.settle(LABEL_STUDIO_API_KEY=patient.studio.pat)
    before = patient.everything()
    code, checks = patient.doctor()
    assert {name: check["state"] for name, check in checks.items() if check["state"] != "ok"} == {
        "translation_review": "skipped",
        "audio_segmentation": "skipped",
    }
    assert code == 0
    assert "personal access token" in checks["Label Studio"]["said"]
    assert checks["webhook"]["said"] == f"Label Studio's event arrived at {patient.url}"
    assert checks["media"]["said"] == "audio/002.wav: range, origin and expiry hold"
    assert checks["open task"]["said"] == "audio/001.wav: can be played"
    assert checks["DVC remote"]["said"].startswith("read and written: store, ")
    assert patient.everything() == before


def test_what_is_broken_is_the_row_that_fails_with_what_to_do(patient: Patient) -> None:
    """Seven things at once: each is told by its own row, and the rest still holds."""
    events.store(patient.world.ledger, "/webhook", b"{}", {"action": "X"})
    patient.world.rows("UPDATE events SET received_at = now() - interval '2 minutes' RETURNING 1")
    before = patient.everything()
    project = projects.get(patient.world.studio, patient.world.ls_project_id)
    assert project
    config = (
        project["label_config"]
        .replace('name="transcription"', 'name="elsewhere"')
        .replace('toName="transcription"', 'toName="elsewhere"')
    )
    projects.update(patient.world.studio, project["id"], label_config=config)
    patient.settle(LSLOOP_WEBHOOK_URL=DEAD)
    (patient.folder / "remote").rmdir()
    (patient.world.raw_dir / "audio").rename(patient.folder / "elsewhere")
    (patient.folder / ".env").chmod(0o644)
    code, checks = patient.doctor()
    failed = {name: check for name, check in checks.items() if check["state"] == "fails"}
    assert (code, set(failed)) == (
        1,
        {TRANSCRIPT, "webhook", "worker", "media", "open task", "DVC remote", "secrets"},
    )
    assert "transcription" in failed[TRANSCRIPT]["said"]
    assert "Labeling Interface" in failed[TRANSCRIPT]["fix"]
    assert (
        failed["webhook"]["said"]
        == f"Label Studio sent an event to {DEAD}, and it did not arrive within 2 s."
    )
    assert "LSLOOP_WEBHOOK_URL" in failed["webhook"]["fix"]
    assert failed["media"]["said"] == "The server does not give out audio/002.wav: the file is not there."
    assert "dvc pull" in failed["media"]["fix"]
    assert "remote does not exist" in failed["DVC remote"]["said"]
    assert failed["secrets"]["fix"].startswith("chmod 600 ")
    assert failed["worker"]["said"].startswith("Nobody looks at events: 1 wait, the oldest for 1")
    assert "lsloop worker" in failed["worker"]["fix"]
    assert checks["annotation back"]["state"] == checks["nothing left"]["state"] == "ok"
    (patient.folder / "remote").mkdir()
    (patient.folder / "elsewhere").rename(patient.world.raw_dir / "audio")
    assert patient.everything() == before


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"AUDIO_SERVER_URL": "other"}, "it leads to {url}, and media are at {other} now"),
        ({"LSLOOP_SECRET": "another"}, "it was signed with another LSLOOP_SECRET"),
        ({}, "the recording was audio/001.wav and is moved.wav now"),
    ],
)
def test_a_link_of_an_open_task_that_is_stale_is_told_with_its_cure(
    patient: Patient, changed: dict[str, str], said: str
) -> None:
    other = patient.url.replace("127.0.0.1", "localhost")
    patient.settle(
        **{name: value.replace("other", other) for name, value in changed.items() if name != "LSLOOP_SECRET"}
    )
    if "LSLOOP_SECRET" in changed:
        patient.settle(**changed)
    if not changed:
        (patient.world.raw_dir / "audio/001.wav").rename(patient.world.raw_dir / "moved.wav")
        patient.world.ingest(
            [{**row, "media": "moved.wav"} if i == 0 else row for i, row in enumerate(clips(2))]
        )
    row = patient.doctor()[1]["open task"]
    which, said = f"task {patient.first} of {TRANSCRIPT}", said.format(url=patient.url, other=other)
    assert row["said"] == f"The link to the recording in {which} is stale: {said}."
    assert "lsloop push" in row["fix"]
    if "LSLOOP_SECRET" not in changed:  # with another secret nothing of this server can be fetched
        assert main(["-C", str(patient.folder), "pull", "--quiet"]) == 0
        patient.capsys.readouterr()
        assert patient.doctor()[1]["open task"]["state"] == "ok"


def test_a_wrong_token_and_a_server_that_is_away(patient: Patient) -> None:
    patient.settle(LABEL_STUDIO_API_KEY="0" * 40, AUDIO_SERVER_URL=DEAD)
    code, checks = patient.doctor()
    assert (code, checks["Label Studio"]["state"], checks["server"]["state"]) == (3, "fails", "fails")
    assert "does not accept the legacy token" in checks["Label Studio"]["said"]
    assert "LABEL_STUDIO_API_KEY" in checks["Label Studio"]["fix"]
    assert "lsloop up" in checks["server"]["fix"]
    assert "task out" not in checks
    assert checks["PostgreSQL"]["state"] == checks["clocks"]["state"] == "ok"


def test_without_any_service_every_row_that_needs_one_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / ".env").write_text(
        f"DATABASE_URL=postgresql://me:hunter2@127.0.0.1:1/x\nLABEL_STUDIO_URL={DEAD}\n"
        f"LABEL_STUDIO_API_KEY={'0' * 40}\nAUDIO_SERVER_URL={DEAD}\nLSLOOP_SECRET=x\n")  # fmt: skip
    (tmp_path / ".env").chmod(0o600)
    assert main(["-C", str(tmp_path), "doctor", "--quiet"]) == 3
    shown = capsys.readouterr().out
    assert [line.split()[0] for line in shown.splitlines() if " fails " in line] == [
        "PostgreSQL",
        "Label",
        "server",
    ]
    assert "→ Start it" in shown
    assert "3 of 10 checks fail." in shown
    assert "hunter2" not in shown


def test_a_doctor_that_is_stopped_takes_its_canary_back(patient: Patient) -> None:
    patient.settle(LSLOOP_WEBHOOK_URL=DEAD)  # it waits for the event, so there is time
    before = patient.everything()
    process = patient.start()
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 130
    assert patient.everything() == before


def test_what_a_killed_doctor_left_the_next_one_removes_and_nothing_else(patient: Patient) -> None:
    patient.settle(LSLOOP_WEBHOOK_URL=DEAD)
    process = patient.start()
    process.kill()
    process.wait(30)
    (left,) = patient.canaries()
    config = "<View><Text name='t' value='$text'/></View>"
    others = projects.create(patient.world.studio, TITLE, config, f"{MARK} (somebody else, x)")["id"]
    ours = projects.create(
        patient.world.studio, "people's own", config, f"{MARK} ({patient.world.ledger.place}, x)"
    )["id"]
    patient.settle()
    _, checks = patient.doctor()
    try:
        assert checks["task out"]["said"].endswith("; 1 left by an earlier doctor removed")
        assert sorted(one["id"] for one in patient.canaries()) == sorted([others, ours])
        assert projects.get(patient.world.studio, left["id"]) is None
    finally:
        for ls_project_id in (others, ours):
            projects.delete(patient.world.studio, ls_project_id)


def test_the_canarys_route_takes_only_signed_deliveries(tmp_path: Path) -> None:
    from lsloop import signing

    with serving(tmp_path) as url:
        link = signing.canary_url(url, SECRET, "n-1", 4_000_000_000)
        assert httpx.get(link).json() == {"arrived": 0}
        assert [httpx.post(link, json={"any": "thing"}).status_code for _ in range(2)] == [200, 200]
        assert httpx.get(link).json() == {"arrived": 2}
        expired = signing.canary_url(url, SECRET, "n-1", 1_000_000_000)
        for wrong in (f"{url}/canary/n-1", f"{link}0", link.replace("n-1", "n-2"), expired):
            assert (httpx.post(wrong).status_code, httpx.get(wrong).status_code) == (403, 403)
        (tmp_path / "canary").mkdir()
        (tmp_path / "canary" / "n-1").write_bytes(b"sound")
        assert httpx.get(link.replace("/canary/", "/media/canary/")).status_code == 403
