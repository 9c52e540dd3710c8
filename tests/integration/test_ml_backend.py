"""/ml/{task type}: what Label Studio asks, in its own words, and what the model in use answers."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from lsloop.asking import Loaded
from lsloop.config import ML_USER, Config
from lsloop.labelstudio import interface
from lsloop.ledger import Ledger, versions
from lsloop.models import Guess
from lsloop.server import ml_backend
from lsloop.server.ml_backend import Backends
from mischief import MISCHIEF, Mischief
from predicting import Speech, ingest, project, rows
from serving import serving
from world import TRANSCRIPT, wait_until

PAYLOADS = Path(__file__).parents[1] / "payloads" / "ml"
PREDICTS = ("interactive", "next_task", "predict_test", "retrieve_10", "short")


@pytest.fixture
def config(tmp_path: Path, ledger: Ledger, database_url: str, speech: Speech) -> Config:
    settings = project(tmp_path, speech, 12, stack={"database_url": database_url})
    ingest(ledger, settings)
    return settings


class Asker:
    """Label Studio's side of one backend."""

    def __init__(self, url: str, config: Config, backends: Backends) -> None:
        self.url, self.backends = f"{url}/ml/{TRANSCRIPT}", backends
        self.auth = (ML_USER, config.ml_password)

    def get(self, path: str, auth: Any = True, **more: Any) -> httpx.Response:
        return httpx.get(f"{self.url}/{path}", auth=self.auth if auth is True else auth, timeout=30, **more)

    def post(self, path: str, body: Any, auth: Any = True) -> httpx.Response:
        auth = self.auth if auth is True else auth
        return httpx.post(f"{self.url}/{path}", content=json.dumps(body).encode(), auth=auth, timeout=30)

    def is_up(self) -> bool:
        return self.get("health").status_code == 200


@pytest.fixture
def asker(config: Config, ledger: Ledger) -> Iterator[Asker]:
    """A server whose model is warm, and which follows a promotion because it is notified."""
    backends = Backends(ledger, config, look_every=3600)
    with serving(config.raw_dir, ml=backends) as url:
        found = Asker(url, config, backends)
        wait_until(found.is_up)
        yield found


def payload(name: str) -> Any:
    return json.loads((PAYLOADS / f"ml_{name}.json").read_text())["body"]


def about(ledger: Ledger, asked: dict[str, Any], names: Mapping[int, str]) -> dict[str, Any]:
    """The request, its tasks at these places being tasks of these samples."""
    ids = {
        row.external_id: str(row.sample_id)
        for row in rows(ledger, "SELECT external_id, sample_id FROM samples")
    }
    for place, name in names.items():
        asked["tasks"][place]["data"]["sample_id"] = ids[name]
    return asked


def test_label_studios_own_requests_get_one_result_per_task(asker: Asker, ledger: Ledger) -> None:
    for name in PREDICTS:
        foreign = payload(f"predict__{name}")
        answer = asker.post("predict", foreign)
        assert answer.status_code == 200
        assert [one["result"] for one in answer.json()["results"]] == [[]] * len(foreign["tasks"])
        ours = about(ledger, foreign, {place: f"clip-{place:03d}" for place in range(len(foreign["tasks"]))})
        results = asker.post("predict", ours).json()["results"]
        assert len(results) == len(ours["tasks"])
        assert interface.check_predictions(ours["label_config"], results) == [[]] * len(results)
        assert all(one["score"] is not None and one["model_version"].startswith("base-") for one in results)


def test_results_keep_the_order_and_the_place_of_what_failed(
    asker: Asker, config: Config, ledger: Ledger
) -> None:
    (config.raw_dir / "audio" / "clip-002.wav").write_bytes(b"no sound")
    (config.raw_dir / "audio" / "clip-005.wav").unlink()
    straight, turned = payload("predict__retrieve_10"), payload("predict__retrieve_10")
    count = len(straight["tasks"])
    about(ledger, straight, {place: f"clip-{place:03d}" for place in range(count)})
    about(ledger, turned, {count - 1 - place: f"clip-{place:03d}" for place in range(count)})
    results = asker.post("predict", straight).json()["results"]
    assert [place for place, one in enumerate(results) if not one["result"]] == [2, 5]
    assert [one["score"] for one in asker.post("predict", turned).json()["results"]] == pytest.approx(
        [one["score"] for one in results[::-1]]
    )
    assert asker.post("predict", {**straight, "tasks": []}).json()["results"] == []
    odd = {
        **straight,
        "tasks": [None, {}, {"data": {"sample_id": 7}}, {"id": 1, "data": []}, *straight["tasks"][:1]],
    }
    assert [bool(one["result"]) for one in asker.post("predict", odd).json()["results"]] == [False] * 4 + [
        True
    ]


def test_whatever_a_model_does_with_one_task_the_others_are_answered(asker: Asker, ledger: Ledger) -> None:
    asked = {
        **payload("predict__retrieve_10"),
        "label_config": "",
    }  # that of the template has a place for everything
    count = len(asked["tasks"])
    about(ledger, asked, {place: f"clip-{place:03d}" for place in range(count)})
    seat = asker.backends.seats[TRANSCRIPT]
    for start in range(0, len(MISCHIEF), count - 1):
        bad = {f"clip-{place:03d}": one for place, one in enumerate(MISCHIEF[start : start + count - 1])}
        seat.state = replace(seat.state, loaded=Loaded("mischief", Mischief(bad)))
        answer = asker.post("predict", asked)
        assert answer.status_code == 200
        empty = [place for place, one in enumerate(answer.json()["results"]) if not one["result"]]
        assert empty == list(range(len(bad)))


def test_answers_that_do_not_fit_the_label_config_are_empty(asker: Asker, ledger: Ledger) -> None:
    asked = about(ledger, payload("predict__short"), {0: "clip-000"})
    for label_config in ("<View>", '<View><Text name="t" value="$text"/></View>', "no XML"):
        results = asker.post("predict", {**asked, "label_config": label_config}).json()["results"]
        assert [one["result"] for one in results] == [[]] * len(asked["tasks"])


def test_setup_versions_and_health_name_the_model(asker: Asker) -> None:
    version = asker.get("health", auth=None).json()["model_version"]
    assert asker.post("setup", payload("setup__create")).json() == {"model_version": version}
    assert asker.get("versions").json() == {"versions": [version]}
    assert asker.get("", auth=None).json() == {"status": "UP", "model_version": version}
    assert httpx.get(asker.url.replace(TRANSCRIPT, "nothing") + "/health").status_code == 404


def test_without_the_password_only_health_is_told(asker: Asker) -> None:
    for auth in (None, ("lsloop", ""), ("lsloop", "wrong"), ("other", asker.auth[1]), ("lsloop", "\xe9")):
        for path in ("setup", "predict"):
            refused = asker.post(path, payload("predict__short"), auth)
            assert (refused.status_code, refused.headers["www-authenticate"]) == (401, 'Basic realm="lsloop"')
        assert asker.get("versions", auth).status_code == 401
        assert asker.get("health", auth).status_code == 200
        assert asker.post("webhook", payload("webhook__train"), auth).status_code == 401


def test_start_training_asks_once_and_other_events_are_nothing(asker: Asker, ledger: Ledger) -> None:
    for name in ("webhook__POST_annotation", "webhook__annotation_2_min_annot_2"):
        assert asker.post("webhook", payload(name), auth=None).json() == {"status": "ignored"}
    assert versions.trainings(ledger) == []
    numbers = {asker.post("webhook", payload("webhook__train")).json()["training"] for _ in range(2)}
    assert len(numbers) == 1
    (training,) = versions.trainings(ledger)
    assert (training["task_type"], training["requested_by"]) == (TRANSCRIPT, "Label Studio")


def test_what_is_no_request_is_refused(asker: Asker) -> None:
    for body in (b"", b"[]", b"{", b'{"tasks": 3}', b"[" * 5000):
        for path in ("predict", "webhook"):
            assert httpx.post(f"{asker.url}/{path}", content=body, auth=asker.auth).status_code == 400


def test_health_is_told_while_the_model_is_at_work_and_too_many_are_sent_away(
    asker: Asker, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ml_backend, "WAITING", 4)
    asked = about(ledger, payload("predict__short"), {0: "clip-000"})
    with ThreadPoolExecutor(4) as pool:
        loaded = asker.backends.seats[TRANSCRIPT].state.loaded
        assert loaded
        with loaded.turns:  # the model is busy
            waiting = [pool.submit(asker.post, "predict", asked) for _ in range(4)]
            wait_until(lambda: asker.backends.in_line == 4)
            health = asker.get("health")
            assert health.status_code == 200
            assert asker.post("predict", asked).status_code == 503
        assert [one.result().status_code for one in waiting] == [200] * 4


def promote(ledger: Ledger, config: Config, version: str, weights: Path | None) -> None:
    """Another version comes into use; without weights it cannot be loaded."""
    folder = config.project_dir / "models" / version
    if weights:
        shutil.copytree(weights, folder)
    made = versions.Version(version, TRANSCRIPT, f"models/{version}", "0", "b", None, "0", {}, 0, "0", {})
    versions.register(ledger, made)
    versions.promote(ledger, version, "test")


def test_a_promotion_is_followed_and_one_that_cannot_be_loaded_is_told(
    asker: Asker, config: Config, ledger: Ledger, speech: Speech
) -> None:
    base = asker.get("health").json()["model_version"]
    promote(ledger, config, "v2", speech.other)
    wait_until(lambda: asker.get("health").json()["model_version"] == "v2")
    promote(ledger, config, "v3", None)
    told = wait_until(
        lambda: asker.get("health").json() if "fallback" in asker.get("health").json() else None
    )
    assert told["model_version"].startswith("v2 (fallback: v3 cannot be loaded: ")
    assert told["fallback"].startswith("v3 cannot be loaded: There is no model at ")
    asked = about(ledger, payload("predict__short"), {0: "clip-000"})
    answer = asker.post("predict", asked).json()
    assert answer["results"][0]["result"]
    assert {answer["model_version"], *(one["model_version"] for one in answer["results"])} == {
        told["model_version"]
    }
    assert asker.get("versions").json()["versions"] == [told["model_version"], "v3", "v2"]
    versions.roll_back(ledger, TRANSCRIPT, "test")
    wait_until(lambda: asker.get("health").json() == {"status": "UP", "model_version": "v2"})
    versions.roll_back(ledger, TRANSCRIPT, "test")
    wait_until(lambda: asker.get("health").json()["model_version"] == base)


def test_a_model_that_was_never_there_is_told_with_its_reason(config: Config, ledger: Ledger) -> None:
    shutil.rmtree(config.project_dir / "models" / "base")
    backends = Backends(ledger, config)
    with serving(config.raw_dir, ml=backends) as url:
        asker = Asker(url, config, backends)
        wait_until(lambda: "cannot be loaded" in asker.get("health").json().get("reason", ""))
        assert asker.get("health").status_code == 503
        for path, body in (("setup", payload("setup__create")), ("predict", payload("predict__short"))):
            assert asker.post(path, body).status_code == 503
        assert httpx.get(f"{url}/health").json()["model_loaded"] is False


NO_TORCH = """
import sys
from pathlib import Path
from lsloop import config, ledger
from lsloop.server import app, ml_backend
settings = config.load(Path(sys.argv[1]))
backends = ml_backend.Backends(ledger.connect(settings.database_url), settings)
app.create(raw_dir=settings.raw_dir, dvc_cache=None, secret="s", label_studio_url="http://x",
ping=lambda: None, ml=backends)
backends._refresh()
(state,) = [seat.state for seat in backends.seats.values()]
assert state.loaded is None and "no model" in state.problem, state
print(*sorted({"torch", "transformers"} & set(sys.modules)))
"""


def test_a_server_without_a_model_does_not_import_torch(config: Config) -> None:
    path = config.project_dir / "params.yaml"
    path.write_text(path.read_text().replace("base: models/base", "seed: 1"))
    done = subprocess.run(
        [sys.executable, "-c", NO_TORCH, str(config.project_dir)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr


@pytest.mark.parametrize(
    ("context", "hints"),
    [
        (None, {}),
        ([], {}),
        ({"result": [{"x": 1}]}, {}),
        (
            {"result": [{"value": {"text": ["xin chào"]}}, {"value": {"text": "meeting"}}]},
            {"prompt": "xin chào meeting"},
        ),
        (
            {"prompt": "names: An, Bình", "language": "vi", "result": 3},
            {"prompt": "names: An, Bình", "language": "vi"},
        ),
    ],
)
def test_what_somebody_typed_on_the_page_is_told_to_the_model(context: Any, hints: dict[str, str]) -> None:
    assert ml_backend._hints({"params": {"context": context}}) == hints


def test_a_prompt_reaches_the_model(asker: Asker, ledger: Ledger) -> None:
    seat = asker.backends.seats[TRANSCRIPT]
    heard: list[dict[str, Any]] = []

    class Listening:
        concurrency = 1

        def predict(self, asked: Any) -> list[Guess]:
            heard.extend(asked)
            return [Guess({"transcript": row.get("prompt", "")}, 1.0, 0.0) for row in asked]

    from dataclasses import replace

    assert seat.state.loaded
    seat.state = replace(seat.state, loaded=replace(seat.state.loaded, predictor=Listening()))
    asked = about(ledger, payload("predict__interactive"), {0: "clip-000"})
    asked["params"]["context"] = {"result": [{"type": "textarea", "value": {"text": ["say it so"]}}]}
    (result,) = asker.post("predict", asked).json()["results"]
    assert result["result"][0]["value"]["text"] == ["say it so"]
    assert heard[0]["prompt"] == "say it so"
