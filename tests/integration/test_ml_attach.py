"""A real Label Studio and the ML backend: attached, put right, tried out, and asked for the next task; and
two servers."""

import json
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from faults import processes
from lsloop import commands, loop
from lsloop.config import ML_USER, Config
from lsloop.errors import Refused
from lsloop.labelstudio import client, ml, tasks, webhooks
from lsloop.labelstudio.client import LabelStudio
from lsloop.ledger import Ledger, versions
from lsloop.models import Job
from lsloop.running import jobs
from lsloop.server.ml_backend import Backends
from predicting import Speech, ingest, project, rows
from services import Studio
from serving import serving
from world import TRANSCRIPT, wait_until


@pytest.fixture
def labels(studio: Studio) -> Iterator[LabelStudio]:
    with client.connect(studio.url, studio.token) as connection:
        yield connection


@pytest.fixture
def config(tmp_path: Path, ledger: Ledger, database_url: str, speech: Speech, studio: Studio) -> Config:
    stack = {
        "database_url": database_url,
        "label_studio_url": studio.url,
        "label_studio_api_key": studio.token,
    }
    settings = project(tmp_path, speech, 4, stack=stack)
    ingest(ledger, settings)
    return settings


@contextmanager
def served(config: Config, ledger: Ledger) -> Iterator[Config]:
    """The settings while a server runs, which may not have its model yet."""
    with serving(config.raw_dir, ml=Backends(ledger, config)) as url:
        yield replace(config, stack={**config.stack, "server_url": url})


@pytest.mark.studio
def test_setup_attaches_the_model_once_puts_it_right_and_proves_it(
    config: Config, ledger: Ledger, labels: LabelStudio, capsys: pytest.CaptureFixture[str]
) -> None:
    with served(config, ledger) as here:
        loop.predict(ledger, here, TRANSCRIPT, limit=3)
        there = loop.setup(ledger, labels, here, TRANSCRIPT).project
        empty = loop.attach_model(ledger, labels, here, there, test=True)
        assert empty
        assert (empty.problem, empty.drift) == (None, [])
        assert "no task yet" in (empty.tested or "")
        loop.push(ledger, labels, here, TRANSCRIPT)
        done = loop.attach_model(ledger, labels, here, there, test=True)
        assert done
        assert (done.problem, done.drift, done.ls_backend_id) == (None, [], empty.ls_backend_id)
        assert "answered, score" in (done.tested or "")
        assert done.model_version == loop.models_in_order(ledger, here, TRANSCRIPT)[0].known_version(
            Job(TRANSCRIPT)
        )
        assert "answered, score" in loop.inspect_model(ledger, labels, here, TRANSCRIPT)
        urls = [one["url"] for one in webhooks.of_project(labels, there.ls_project_id or 0)]
        assert urls == [here.webhook_url]

        (here.state_dir / "stack.json").write_text(json.dumps(here.stack))
        assert commands.main(["-C", str(here.project_dir), "setup", "--test-predict"]) == 0
        told = capsys.readouterr().out
        assert str(done.model_version) in told
        assert "answered, score" in told

        by_hand = ml.Backend(done.url, "by hand", ML_USER, here.ml_password).body()
        labels.patch(f"api/ml/{done.ls_backend_id}", json={"project": there.ls_project_id, **by_hand})
        healed = loop.attach_model(ledger, labels, here, there)
        assert healed
        assert healed.drift == ["the ML backend's title put right"]

    other = replace(config, stack={**config.stack, "secret": "another one"})
    with served(other, ledger) as here:  # another port and another password
        wait_until(lambda: httpx.get(f"{here.ml_url}/{TRANSCRIPT}/health").status_code == 200)
        with pytest.raises(
            Refused, match=f"asks the model at {done.url}, and it answers at {here.ml_url}/{TRANSCRIPT} now"
        ):
            loop.inspect_model(ledger, labels, here, TRANSCRIPT)
        moved = loop.attach_model(ledger, labels, here, there, test=True)
        assert moved
        assert (moved.problem, moved.ls_backend_id) == (None, done.ls_backend_id)
        assert moved.drift == ["the ML backend's url put right"]

    with pytest.raises(Refused, match=r"does not reach the model at|test prediction failed"):
        loop.inspect_model(ledger, labels, here, TRANSCRIPT)
    gone = loop.attach_model(ledger, labels, here, there)
    assert gone
    assert "does not reach it" in (gone.problem or "") or "is `lsloop serve` running" in (gone.problem or "")


@pytest.mark.studio
def test_label_studio_asks_the_model_for_a_task_without_prediction(
    config: Config, ledger: Ledger, labels: LabelStudio
) -> None:
    with ledger.transaction() as transaction:  # nothing to begin from
        transaction.run("UPDATE samples SET fields = '{}'")
    with served(config, ledger) as here:
        loop.push(ledger, labels, here, TRANSCRIPT, limit=2)
        there = loop.setup(ledger, labels, here, TRANSCRIPT).project
        done = loop.attach_model(ledger, labels, here, there)
        assert done
        assert done.problem is None
        task = labels.get(f"api/projects/{there.ls_project_id}/next")
        shown = labels.get(f"api/tasks/{task['id']}/")["predictions"]
        assert [one["model_version"] for one in shown] == [done.model_version]
        ids = [
            found["id"] for page in tasks.changed(labels, there.ls_project_id or 0) for found in page.tasks
        ]
        body = {"selectedItems": {"all": False, "included": ids}}
        params = {"id": "retrieve_tasks_predictions", "project": there.ls_project_id or 0}
        labels.post("api/dm/actions", params=params, json=body)
        for ls_task_id in ids:
            assert len(labels.get(f"api/tasks/{ls_task_id}/")["predictions"]) == 1


@pytest.mark.studio
def test_start_training_in_label_studio_queues_one_training_and_trains_nothing_itself(
    config: Config, ledger: Ledger, labels: LabelStudio
) -> None:
    with served(config, ledger) as here:
        there = loop.setup(ledger, labels, here, TRANSCRIPT).project
        done = loop.attach_model(ledger, labels, here, there)
        assert done
        assert done.problem is None
        for _ in range(2):
            labels.post(f"api/ml/{done.ls_backend_id}/train", json={})
        (asked,) = versions.trainings(ledger)
        assert (asked["task_type"], asked["state"], asked["requested_by"]) == (
            TRANSCRIPT,
            "queued",
            "Label Studio",
        )
    stop, said = threading.Event(), list[str]()
    worker = threading.Thread(target=jobs.work, args=(config, ["train"], stop.wait, said.append))
    worker.start()
    try:  # there is nothing to learn from: the job ends at once, and stays where it can be counted
        wait_until(lambda: versions.trainings(ledger)[0]["state"] == "failed", 60)
    finally:
        stop.set()
        worker.join(20)
    (ended,) = versions.trainings(ledger)
    tried = rows(ledger, "SELECT id, args FROM lsloop_jobs.procrastinate_jobs WHERE task_name = 'retrain'")
    assert [(job.id, job.args["task_type"]) for job in tried] == [(ended["job_id"], TRANSCRIPT)]
    assert (said, ended["training_id"]) == ([], asked["training_id"])


class Slow(BaseHTTPRequestHandler):
    """A server that is busy: it answers after longer than Label Studio by itself waits."""

    def do_GET(self) -> None:
        time.sleep(1.5)  # the fault itself
        self._answer(b'{"status": "UP"}')

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(b'{"model_version": "m"}')

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


@pytest.mark.studio
def test_a_server_that_answers_late_is_attached(config: Config, ledger: Ledger, labels: LabelStudio) -> None:
    there = loop.setup(ledger, labels, config, TRANSCRIPT).project
    with ThreadingHTTPServer(("127.0.0.1", 0), Slow) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        wanted = ml.Backend(f"http://127.0.0.1:{server.server_port}", "late", ML_USER, "secret")
        found, drift = ml.attach(labels, there.ls_project_id or 0, wanted)
        server.shutdown()
    assert (found["title"], found["state"], drift) == ("late", ml.CONNECTED, [])


def test_without_a_model_nothing_is_attached(config: Config, ledger: Ledger, labels: LabelStudio) -> None:
    bare = replace(config, params=config.params.model_copy(update={"models": {}}))
    there = loop.setup(ledger, labels, bare, TRANSCRIPT).project
    assert loop.attach_model(ledger, labels, bare, there) is None
    assert ml.of_project(labels, there.ls_project_id or 0) == []


def test_two_servers_answer_with_the_new_version_after_a_promotion(
    config: Config, ledger: Ledger, speech: Speech
) -> None:
    shutil.copytree(speech.other, config.project_dir / "models" / "v2")
    made = versions.Version("v2", TRANSCRIPT, "models/v2", "0", "b", None, "0", {}, 0, "0", {})
    versions.register(ledger, made)
    auth = ("lsloop", config.ml_password)

    def answering(urls: list[str]) -> set[str | None]:
        return {httpx.get(f"{url}/health").json().get("model_version") for url in urls}

    with ExitStack() as stack:
        here = config.project_dir
        servers = [stack.enter_context(processes.start(here, "serve", "--port", "0")) for _ in range(2)]
        wait_until(lambda: all("Serving on" in one.said for one in servers))
        urls = [f"{one.said.split()[2]}/ml/{TRANSCRIPT}" for one in servers]
        base = wait_until(lambda: None not in answering(urls) and answering(urls), 60)
        assert all(str(version).startswith("base-") for version in base)
        versions.promote(ledger, "v2", "test")
        wait_until(lambda: answering(urls) == {"v2"}, 10)
        told = [httpx.post(f"{url}/setup", json={}, auth=auth).json() for url in urls]
        assert told == [{"model_version": "v2"}] * 2
