"""What a model's answers cost through lsloop, against the bare model: reading, batched forwards, decoding."""

import json
import socket
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from benchmarks.place import KIND, Place, fresh_ledger
from benchmarks.rows import Row, at_most, told
from benchmarks.timing import alternately
from lsloop import ledger, loop
from lsloop.asking import Loaded
from lsloop.config import ML_USER, Config, Model, TaskType
from lsloop.demo import language, speech
from lsloop.demo.chance import stream
from lsloop.ledger import Ledger, predictions
from lsloop.server import app, ml_backend
from lsloop.steps import prediction, sample

CLIPS, BATCH, TASKS, ROUNDS = 480, 32, 32, 5


@dataclass(frozen=True)
class Scene:
    """Recordings in a ledger of their own, and one model that both sides use."""

    config: Config
    ledger: Ledger
    model: Loaded
    clips: Sequence[Path]


def speed(place: Place) -> Iterator[Row]:
    """`lsloop predict`, and an ML backend asked about 32 tasks, in turns with the bare model; the best
    round of each."""
    with fresh_ledger(place) as url, _made(place.config, url) as scene:
        works = {"bare": lambda turn: _bare(scene, scene.clips), "lsloop": lambda turn: _predict(scene)}
        everything = alternately(works, ROUNDS)
        bare, ours = (min(everything[name][1:]) for name in ("bare", "lsloop"))
        yield told(f"{CLIPS} recordings through the bare model", bare, "s")
        yield at_most("predict / bare batched forward", ours / bare, 1.1)
        with _served(scene) as ask:
            some = scene.clips[:TASKS]
            both = alternately(
                {"bare": lambda turn: _bare(scene, some), "lsloop": lambda turn: ask()}, 3 * ROUNDS
            )
            bare, ours = (min(both[name][1:]) for name in ("bare", "lsloop"))
            yield at_most(f"ML backend asked about {TASKS} tasks / bare batched forward", ours / bare, 1.2)


def _bare(scene: Scene, clips: Sequence[Path]) -> list[str]:
    """What a script would do: recordings by length, in batches."""
    import soundfile
    import torch

    asked: Any = scene.model.predictor
    model, processor = asked.model, asked.ears.processor
    said: list[str] = []
    by_length = sorted(clips, key=lambda path: float(soundfile.info(path).duration))
    for start in range(0, len(by_length), BATCH):
        waves = [soundfile.read(path, dtype="float32")[0] for path in by_length[start : start + BATCH]]
        inputs = processor.feature_extractor(waves, sampling_rate=16_000, padding=True, return_tensors="pt")
        with torch.inference_mode():
            said += processor.batch_decode(model(**inputs).logits.argmax(-1))
    return said


def _predict(scene: Scene) -> None:
    """All of the backlog again, by a model that is loaded already."""
    kind = loop.asking(scene.ledger, scene.config, KIND).kind
    backlog = predictions.Backlog(KIND, kind.READS, scene.model.version, predictions.now(scene.ledger))
    done = prediction.predict(
        scene.ledger, backlog, loop.asking(scene.ledger, scene.config, KIND), lambda: scene.model
    )
    _demand(done.predicted, CLIPS)


@contextmanager
def _served(scene: Scene) -> Iterator[Any]:
    """A server whose model is warm; what is given asks it about the first tasks."""
    backends = ml_backend.Backends(scene.ledger, scene.config)
    named = {"secret": "s", "label_studio_url": "http://ls", "ping": lambda: None, "dvc_cache": None}
    application = app.create(raw_dir=scene.config.raw_dir, ml=backends, **named)
    server = uvicorn.Server(uvicorn.Config(application, log_config=None, access_log=False))
    with socket.create_server(("127.0.0.1", 0)) as listener, httpx.Client(timeout=60) as client:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/ml/{KIND}"
        try:
            while client.get(f"{url}/health").status_code != 200:
                threading.Event().wait(0.1)
            body = _question(scene)
            yield lambda: _ask(client, url, body, scene.config.ml_password)
        finally:
            server.should_exit = True
            thread.join()


def _question(scene: Scene) -> bytes:
    with scene.ledger.transaction() as transaction:
        rows = transaction.rows("SELECT sample_id FROM samples ORDER BY arrival LIMIT :n", n=TASKS)
    label_config = loop.asking(scene.ledger, scene.config, KIND).job.label_config
    tasks = [{"id": number, "data": {"sample_id": str(row.sample_id)}} for number, row in enumerate(rows)]
    return json.dumps({"tasks": tasks, "label_config": label_config}).encode()


def _ask(client: httpx.Client, url: str, body: bytes, password: str) -> None:
    answer = client.post(f"{url}/predict", content=body, auth=(ML_USER, password))
    _demand(sum(bool(one["result"]) or one["score"] is not None for one in answer.json()["results"]), TASKS)


@contextmanager
def _made(settings: Config, url: str) -> Iterator[Scene]:
    from lsloop.models.families import speech_ctc

    with tempfile.TemporaryDirectory(prefix="lsloop-bench-models-") as name:
        folder = Path(name)
        clips = _record(folder / "data" / "raw")
        _grow(speech_ctc.fresh(folder / "models" / "base", sorted(set("".join(language.WORDS)))))
        known = settings.params.model_copy(
            update={"models": {KIND: Model(base="models/base")}, "task_types": {KIND: TaskType()}}
        )
        here = replace(settings, project_dir=folder, params=known)
        opened = ledger.connect(url)
        sample.ingest(opened, folder / "data" / "raw" / "metadata.jsonl", raw_dir=here.raw_dir)
        found = loop.model_in_use(opened, here, KIND)
        assert found is not None
        yield Scene(here, opened, loop.load_model(opened, here, KIND, found), clips)
        opened.close()


def _grow(folder: Path) -> None:
    """Give a toy model four layers of 256, so that it is the model that counts; those that people use are
    far larger."""
    import transformers

    settings = transformers.AutoConfig.from_pretrained(folder)
    settings.update({"hidden_size": 256, "num_hidden_layers": 4, "intermediate_size": 1024})
    transformers.Wav2Vec2BertForCTC(settings).save_pretrained(folder)
    (folder / "lsloop.json").unlink()  # the seal of what it was


def _record(raw: Path) -> list[Path]:
    raw.mkdir(parents=True)
    paths, lines = [], []
    for number, said in enumerate(language.utterances(CLIPS, 0)):
        path = raw / f"{number:04}.wav"
        speech.write_wav(path, speech.say(said.text, speech.pitch(said.speaker, 0), stream(0, number)))
        paths.append(path)
        lines.append(json.dumps({"external_id": path.stem, "media": path.name, "transcript": said.text}))
    (raw / "metadata.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return paths


def _demand(found: int, expected: int) -> None:
    if found != expected:
        raise RuntimeError(f"{found} recordings were answered, not {expected}")
