"""A spike: a form (choices, stars, a text) that a tiny HTTP server fills in, eight calls at once."""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from lsloop import loop
from lsloop.config import ML_USER, Config, Model, TaskType
from lsloop.errors import UsageError
from lsloop.ledger import Ledger
from lsloop.models import Guess
from lsloop.server.ml_backend import Backends
from predicting import ingest, rows
from serving import serving
from world import config, wait_until

JOB, AT_ONCE = "replies", 8
TEMPLATE = """
<View>
  <Text name="reply" value="$text"/>
  <Choices name="tone" toName="reply"><Choice value="kind"/><Choice value="rude"/></Choices>
  <Rating name="stars" toName="reply" maxRating="5"/>
  <TextArea name="why" toName="reply"/>
</View>
"""


class Answering(BaseHTTPRequestHandler):
    """Answers a call only once eight are there: with fewer at once, none ever is."""

    together: threading.Barrier

    def do_GET(self) -> None:
        self._send({"model": "form-3"})

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.together.wait(timeout=30)
        tone = asked["choices"]["tone"][len(asked["text"]) % 2]
        self._send({"tone": [tone], "stars": len(asked["text"]), "why": [f"It says {asked['text']}."]})

    def _send(self, answer: Any) -> None:
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words: Any) -> None:
        """Nothing."""


class Forms:
    """The family: jobs of choices, stars and texts, at `form:http://…`; it says of itself which model it
    is."""

    def answers(self, job: Any) -> bool:
        return {control.type for control in job.controls.values()} <= {"choices", "rating", "textarea"}

    def recognises(self, place: str) -> bool:
        return place.startswith("form:http")

    def version(self, place: str) -> str:
        try:
            return str(httpx.get(place.removeprefix("form:"), timeout=30).json()["model"])
        except httpx.HTTPError as error:
            raise UsageError(
                f"No model answers at {place}: {error}.", "Start it, or name another."
            ) from error

    def load(self, place: str, device: str = "auto", settings: Any = None) -> "Asker":
        return Asker(place.removeprefix("form:"))


class Asker:
    concurrency = AT_ONCE

    def __init__(self, url: str) -> None:
        self.client = httpx.Client(base_url=url, timeout=60)

    def predict(self, questions: Any) -> list[Guess]:
        return [
            Guess(self.client.post("/", json=self.told(one)).raise_for_status().json()) for one in questions
        ]

    def told(self, question: Any) -> dict[str, Any]:
        choices = {name: one.values for name, one in question["controls"].items() if one.values}
        return {"text": question["text"], "choices": choices}


family = Forms()


@pytest.fixture
def url() -> Iterator[str]:
    handler = type("Eight", (Answering,), {"together": threading.Barrier(AT_ONCE)})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.fixture
def job(tmp_path: Path, database_url: str, ledger: Ledger, url: str, plug: Any, put_template: Any) -> Config:
    """Sixteen replies, and the model of the server."""
    plug(__name__, {"forms": "family"})
    models = {JOB: Model(base=["form:http://127.0.0.1:1", f"form:{url}"])}
    settings = config(
        tmp_path, database_url, "http://ls.invalid", "t", task_types={JOB: TaskType()}, models=models
    )
    put_template(settings, JOB, TEMPLATE)
    settings.raw_dir.mkdir(parents=True)
    lines = [json.dumps({"external_id": f"r{n:02}", "text": "x" * (1 + n % 5)}) for n in range(2 * AT_ONCE)]
    (settings.raw_dir / "metadata.jsonl").write_text("\n".join(lines), encoding="utf-8")
    ingest(ledger, settings)
    return settings


def test_eight_calls_at_once_in_predict_and_in_the_ml_backend(job: Config, ledger: Ledger) -> None:
    done = loop.predict(ledger, job, JOB)
    assert (done.predicted, done.problems, done.model_version) == (2 * AT_ONCE, [], "base-form-3")
    assert (done.fallback or "").startswith("form:http://127.0.0.1:1 cannot be loaded: No model answers at")
    told = rows(ledger, "SELECT sample_id, fields, value FROM predictions JOIN samples USING (sample_id)")
    by_sample = {str(row.sample_id): row.value for row in told}
    assert next(row.value for row in told if row.fields["text"] == "xxx") == {
        "tone": ["rude"], "stars": 3, "why": ["It says xxx."],
    }  # fmt: skip
    asked = [{"data": {"sample_id": sample_id}} for sample_id in list(by_sample)[:AT_ONCE]]
    with serving(job.raw_dir, ml=Backends(ledger, job, look_every=3600)) as here:
        wait_until(lambda: httpx.get(f"{here}/ml/{JOB}/health").status_code == 200)

        def ask(*some: Any) -> Any:
            auth = (ML_USER, job.ml_password)
            answer = httpx.post(f"{here}/ml/{JOB}/predict", json={"tasks": some}, auth=auth, timeout=60)
            return [one["result"][1]["value"]["rating"] for one in answer.json()["results"]]

        with ThreadPoolExecutor(AT_ONCE) as people:
            of_each = [stars for found in people.map(ask, asked) for stars in found]
        assert ask(*asked) == of_each == [by_sample[one["data"]["sample_id"]]["stars"] for one in asked]
