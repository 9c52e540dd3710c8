"""Kinds and model families from an installed package: found by entry points, chosen by what they say,
without torch."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

import packages
from lsloop import config
from lsloop.commands import main
from lsloop.errors import UsageError
from lsloop.ledger import Ledger, connect
from lsloop.loop.job import resolved
from lsloop.models import Job, choosing
from lsloop.server.ml_backend import Backends
from media_files import content
from predicting import ingest, rows
from serving import serving
from world import wait_until

TEMPLATE = """<View><Image name="photo" value="$image"/><Choices name="weather" toName="photo">
<Choice value="rain"/><Choice value="sun"/></Choices></View>"""

PACKAGE = '''
"""A family that answers choices by the length of a sample's name,
and a kind that is another one by another name."""
from pathlib import Path

from lsloop.errors import UsageError
from lsloop.models import Guess
from lsloop.task_types import translation_review as kind


class Lengths:
    def answers(self, job):
        return [control.type for control in job.controls.values()] == ["choices"]

    def recognises(self, place):
        return place.startswith("length:")

    def version(self, place):
        return place.partition(":")[2]

    def load(self, place, device="auto", settings=None):
        if Path(place.partition(":")[2]).with_suffix(".down").exists():
            raise UsageError(f"Nobody answers at {place}.", "Start it.")
        return Predictor()


class Predictor:
    concurrency = 1

    def predict(self, questions):
        return [self.guess(one["external_id"], one["controls"]["weather"].values) for one in questions]

    def guess(self, name, choices):
        return Guess({"weather": [choices[len(name) % 2]]}, score=0.5)


lengths = Lengths()
'''

RUN = """
import sys
from lsloop.commands import main
code = main(sys.argv[1:])
print("heavy:", *sorted({"torch", "transformers", "huggingface_hub"} & sys.modules.keys()), file=sys.stderr)
sys.exit(code)
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "package"
    folder.mkdir()
    points = {packages.FAMILIES: {"lengths": "lengths"}, packages.KINDS: {"proof_reading": "kind"}}
    packages.write(folder, "lsloop_lengths", PACKAGE, points)
    monkeypatch.syspath_prepend(str(folder))
    return folder


def lsloop(package: Path, folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    path = os.pathsep.join(filter(None, [str(package), os.environ.get("PYTHONPATH")]))
    command = [sys.executable, "-c", RUN, "-C", str(folder), *words]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": path}
    )


def project(folder: Path, database_url: str, **params: Any) -> config.Config:
    (folder / "label_studio_templates").mkdir()
    (folder / "label_studio_templates" / "weather.xml").write_text(TEMPLATE, encoding="utf-8")
    (folder / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    (folder / config.STATE).mkdir()
    known = {"database_url": database_url, "secret": "s", "label_studio_url": "http://ls.invalid"}
    (folder / config.STATE / "stack.json").write_text(json.dumps(known), encoding="utf-8")
    settings = config.load(folder)
    settings.raw_dir.mkdir(parents=True)
    for name in ("a", "bc"):
        (settings.raw_dir / f"{name}.png").write_bytes(content(f"{name}.png"))
    lines = [json.dumps({"external_id": name, "media": f"{name}.png"}) for name in ("a", "bc")]
    (settings.raw_dir / "metadata.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return settings


def test_a_family_by_scheme_answers_a_job_made_of_its_template_and_torch_stays_away(
    tmp_path: Path, package: Path, ledger: Ledger, database_url: str
) -> None:
    settings = project(
        tmp_path, database_url, task_types={"weather": {"writes": {"weather": "sky"}}},
        models={"weather": {"base": "length:v7"}},
    )  # fmt: skip
    ingest(ledger, settings)
    done = lsloop(package, tmp_path, "predict", "-t", "weather", "--json", "-q")
    assert (done.returncode, done.stderr.splitlines()[-1]) == (0, "heavy:"), done.stderr
    said = json.loads(done.stdout)
    assert (said["predicted"], said["model_version"]) == (2, "base-v7")
    told = rows(
        ledger, "SELECT external_id, value FROM predictions JOIN samples USING (sample_id) ORDER BY 1"
    )
    assert [(row.external_id, row.value) for row in told] == [
        ("a", {"sky": ["sun"]}),
        ("bc", {"sky": ["rain"]}),
    ]


def test_of_several_bases_the_first_that_can_be_used_answers_and_everybody_is_told_why(
    tmp_path: Path, package: Path, ledger: Ledger, database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = f"length:{tmp_path}/one", f"length:{tmp_path}/two"
    settings = project(
        tmp_path, database_url, task_types={"weather": {}}, models={"weather": {"base": [first, second]}}
    )
    ingest(ledger, settings)
    down = tmp_path / "one.down"
    down.touch()
    said = told(capsys, tmp_path, "predict", "-t", "weather", "--limit", "1")
    why = f"{first} cannot be loaded: Nobody answers at {first}"
    assert (said["predicted"], said["model_version"]) == (1, f"base-{tmp_path}/two")
    assert said["fallback"] == why
    assert shown(capsys, settings) == [(said["model_version"], why)] * 3
    told(capsys, tmp_path, "predict", "-t", "weather", "--limit", "1", "--model", "length:another")
    assert shown(capsys, settings) == [(said["model_version"], why)] * 3

    down.unlink()
    said = told(capsys, tmp_path, "predict", "-t", "weather", "--limit", "1")
    assert (said["predicted"], said["model_version"], said["fallback"]) == (1, f"base-{tmp_path}/one", None)
    assert shown(capsys, settings) == [(None, None)] * 2 + [(said["model_version"], None)]

    down.touch()
    down.with_name("two.down").touch()
    assert main(["-C", str(tmp_path), "predict", "-t", "weather"]) == 2
    assert f"No model can be used. {why}. {second} cannot be loaded" in capsys.readouterr().err


def told(capsys: pytest.CaptureFixture[str], folder: Path, *words: str) -> Any:
    """What a command answers in JSON."""
    main(["-C", str(folder), *words, "--json", "-q"])
    return json.loads(capsys.readouterr().out)


def shown(capsys: pytest.CaptureFixture[str], settings: config.Config) -> list[tuple[Any, Any]]:
    """Which model stands in for the first choice, and why: by `status`, by `models list`, and by /health
    of a server."""
    folder = settings.project_dir
    (status,) = told(capsys, folder, "status")["models"]
    listed = told(capsys, folder, "models", "list")["stand_ins"]
    with serving(
        settings.raw_dir, ml=Backends(connect(settings.database_url), settings, look_every=3600)
    ) as url:
        wait_until(lambda: httpx.get(f"{url}/ml/weather/health").status_code == 200)
        health = httpx.get(f"{url}/ml/weather/health").json()
    version = health["model_version"].removesuffix(f" (fallback: {health.get('fallback')})")
    found = [
        status["stands_in"],
        next(iter(listed), None),
        {"version": version, "reason": health.get("fallback")},
    ]
    return [(one["version"], one["reason"]) if one else (None, None) for one in found]


def test_the_kind_of_a_package_is_that_of_a_task_type_and_a_family_that_only_answers_is_not_trained(
    tmp_path: Path, package: Path, database_url: str
) -> None:
    settings = project(tmp_path, database_url, task_types={"weather": {"kind": "proof_reading"}})
    assert resolved(settings, "weather")[2].WRITES == ("translation",)
    assert choosing.names() == ["audio_frames", "lengths", "speech_ctc", "speech_seq2seq", "translation"]
    job = Job("weather", TEMPLATE)
    assert choosing.family(job, "length:v7").version("length:v7") == "v7"
    with pytest.raises(UsageError, match="length:v7 cannot be trained: its family only answers"):
        choosing.trainable(job, "length:v7")
    with pytest.raises(UsageError, match="There is no model at width:v7"):
        choosing.family(job, "width:v7")
    with pytest.raises(UsageError, match="No model family answers weather"):
        choosing.family(Job("weather", "<View/>"), "length:v7")


def test_a_package_that_cannot_be_imported_is_named_where_it_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packages.write(
        tmp_path, "lsloop_broken", "import no_such_module", {packages.FAMILIES: {"broken": "family"}}
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(UsageError, match="'broken' cannot be imported: ModuleNotFoundError"):
        choosing.family(Job("weather", TEMPLATE), "length:v7")
