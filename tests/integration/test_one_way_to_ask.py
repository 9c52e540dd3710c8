"""`lsloop predict`, the ML backend and the gate ask a model in one way: what is measured is what is
served."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

import learning
from annotating import Office
from exporting import Project
from lsloop import loop
from lsloop.asking import Asking
from lsloop.config import ML_USER, Config
from lsloop.ledger import Ledger, versions
from lsloop.models import Guess
from lsloop.server.ml_backend import Backends
from predicting import Speech, ingest, project, rows
from serving import serving
from world import TRANSCRIPT, wait_until

BAD = "a flag that the label config does not have"


@pytest.fixture
def here(tmp_path: Path, ledger: Ledger, database_url: str, speech: Speech) -> Config:
    """Sixteen recordings, of which half will be in the test split."""
    model = {"base": "models/base", "minimum_test": 2, "training": learning.TRAINING | {"max_steps": 1}}
    settings = project(
        tmp_path, speech, 16, stack={"database_url": database_url},
        models={TRANSCRIPT: model}, export={"validation": 0.0, "test": 0.5},
    )  # fmt: skip
    ingest(ledger, settings)
    return settings


def number_of(row: dict[str, Any]) -> int:
    return int(row["external_id"].removeprefix("clip-"))


def answer(predictor: Any, asked: Sequence[dict[str, Any]]) -> list[Guess]:
    """What is said in each recording; every third answer does not fit the label config, and every fifth is
    none."""
    assert all("transcript" not in row and "language" not in row for row in asked)
    found = []
    for number in map(number_of, asked):
        flags = [BAD] if number % 3 == 0 else []
        said = {"transcript": f"recording {number}", "quality_flags": flags, "confidence": None, "notes": ""}
        found.append(Guess(None if number % 5 == 0 else said, 0.5, 0.25))
    return found


def test_the_gate_predict_and_the_ml_backend_give_the_same_answer(
    here: Config, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lsloop.models.families import speech_ctc

    monkeypatch.setattr(speech_ctc.Predictor, "predict", answer)
    done = loop.predict(ledger, here, TRANSCRIPT)
    told = rows(
        ledger, "SELECT external_id, value, model_version FROM predictions JOIN samples USING (sample_id)"
    )
    predicted = {row.external_id: (row.value, row.model_version) for row in told}
    good = {f"clip-{number:03d}" for number in range(16) if number % 3 and number % 5}
    assert set(predicted) == good
    assert done.failed == 16 - len(good)

    by_backend = served(here, ledger)
    assert {name: one for name, one in by_backend.items() if one[0]} == {
        name: ([value["transcript"]], version) for name, (value, version) in predicted.items()
    }

    by_gate, metrics = gated(here, ledger, monkeypatch)
    tested = {name: predicted.get(name, (None, done.model_version)) for name in by_gate}
    assert by_gate == tested
    assert 0 < sum(value is None for value, _ in by_gate.values()) < len(by_gate)
    assert metrics["old"]["unanswered"] == metrics["new"]["unanswered"] == len(by_gate.keys() - good)


def served(here: Config, ledger: Ledger) -> dict[str, tuple[Any, str]]:
    """By the name of the sample what the ML backend answers: the text in its regions, and the model
    version."""
    there = rows(ledger, "SELECT external_id, sample_id FROM samples ORDER BY external_id")
    asked = {"tasks": [{"data": {"sample_id": str(row.sample_id)}} for row in there]}
    with serving(here.raw_dir, ml=Backends(ledger, here, look_every=3600)) as url:
        place, auth = f"{url}/ml/{TRANSCRIPT}", (ML_USER, here.ml_password)
        wait_until(lambda: httpx.get(f"{place}/health").status_code == 200)
        results = httpx.post(f"{place}/predict", json=asked, auth=auth, timeout=60).json()["results"]
    texts = [next(iter(one["result"]), {"value": {"text": None}})["value"]["text"] for one in results]
    said = zip(texts, (one["model_version"] for one in results), strict=True)
    return {row.external_id: one for row, one in zip(there, said, strict=True)}


def gated(
    here: Config, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the gate hears of the model in use, by the name of the sample, and what it then measures."""
    people = Project(here, ledger, Office(ledger, here))
    people.accept({row.external_id: "something" for row in rows(ledger, "SELECT external_id FROM samples")})
    people.export()
    heard: list[dict[str, Any]] = []
    ask = Asking.ask

    def listen(self: Asking, model: Any, samples: Any, **hints: Any) -> Any:
        answers = ask(self, model, samples, **hints)
        said = [(one.value, one.model_version) for one in answers]
        heard.append({sample.external_id: one for sample, one in zip(samples, said, strict=True)})
        return answers

    monkeypatch.setattr(Asking, "ask", listen)
    chain = here.model(TRANSCRIPT).model_copy(update={"base": ["models/gone", "models/base"]})
    with_chain = replace(here, params=here.params.model_copy(update={"models": {TRANSCRIPT: chain}}))
    done = loop.retrain(ledger, with_chain, TRANSCRIPT, actor="linh", rule="never")
    before, after = heard
    assert before.keys() == after.keys()
    assert {version for _, version in after.values()} == {done.version}
    assert [(one.version, one.base) for one in versions.listed(ledger)] == [(done.version, "models/base")]
    return before, done.metrics
