"""ML backend at /ml/{task type}: the model in use answers Label Studio.

Label Studio takes this for an ML backend of its own.

Label Studio waits one second for /health and three for /setup, so these never wait for a model or for
PostgreSQL. N tasks get N results, in order: with any other number Label Studio drops all of them.
"""

import asyncio
import base64
import hmac
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

import orjson
from fastapi import APIRouter, FastAPI, Request
from starlette.responses import Response

from lsloop import loop
from lsloop.asking import Answer, Asking, Loaded
from lsloop.config import ML_USER, Config
from lsloop.config.following import Now
from lsloop.errors import LsloopError, UsageError
from lsloop.ledger import Ledger, predictions, versions
from lsloop.ledger.listening import EVERY, Watch
from lsloop.loop.job import resolved
from lsloop.models import Job
from lsloop.records import Sample
from lsloop.server import guard
from lsloop.server.seats import Seat, State

logger = logging.getLogger(__name__)

T = TypeVar("T")

MOST = 64 * 2**20
"""Bytes of a request for predictions: Label Studio asks for all tasks of a project at once."""

AT_WORK, WAITING = 8, 16
"""Requests for predictions that are answered at a time, as far as their models take so many, and that may be
there before more are told to come again."""


class Backends:
    """ML backends of a project folder, with the thread that updates their models.

    It keeps them the promoted ones. It looks when it is notified, and every `look_every` seconds.
    """

    def __init__(self, ledger: Ledger, settings: Config | Now, look_every: float = EVERY) -> None:
        self.ledger, self.settings = ledger, settings
        self.seats = {name: self._seat(name) for name in self.config.params.task_types}
        self.watch = Watch(ledger, versions.CHANNEL, self._refresh, look_every)
        self.pool = ThreadPoolExecutor(AT_WORK, thread_name_prefix="predict")
        self.in_line = 0

    def _seat(self, name: str) -> Seat:
        return Seat(
            lambda: loop.models_in_order(self.ledger, self.config, name),
            lambda model: loop.load_model(self.ledger, self.config, name, model),
        )

    @property
    def config(self) -> Config:
        """The settings now."""
        return self.settings if isinstance(self.settings, Config) else self.settings()

    def add_task_types(self) -> None:
        """A seat for each task type that params.yaml has now and had not before."""
        for name in self.config.params.task_types:
            if name not in self.seats:
                self.seats[name] = self._seat(name)

    def _refresh(self) -> None:
        self.add_task_types()
        for name, seat in list(self.seats.items()):
            before = seat.state
            seat.refresh()
            if seat.state is not before and seat.state.loaded:
                self._tell(name, seat.state)

    def _tell(self, name: str, state: State) -> None:
        """Write down whether another model stands in for the first choice."""
        assert state.loaded
        with suppress(LsloopError):  # PostgreSQL is away; what /health says holds without it
            versions.stands_in(self.ledger, name, state.loaded.version, state.fallback)

    @property
    def larger(self) -> dict[str, int]:
        """The paths whose requests may carry more than others, and how many bytes."""
        webhooks = {f"/ml/{name}/webhook": 2**20 for name in self.seats}
        return {f"/ml/{name}/predict": MOST for name in self.seats} | webhooks

    @property
    def is_loaded(self) -> bool:
        """Tell whether any model answers."""
        return any(seat.state.loaded for seat in self.seats.values())

    @asynccontextmanager
    async def running(self, app: FastAPI) -> AsyncIterator[None]:
        """Models are loaded, and followed, while the server runs."""
        self.watch.start()
        try:
            yield
        finally:
            await asyncio.to_thread(self.watch.stop, 1.0)
            self.pool.shutdown(wait=False, cancel_futures=True)

    def seat(self, task_type: str) -> Seat:
        """Find the seat of a task type.

        Raises Problem (404).
        """
        try:
            return self.seats[self.config.task_type(task_type)[0]]
        except UsageError as error:
            raise guard.Problem(404, error.problem, error.fix) from error

    async def in_turn(self, work: Callable[[], T]) -> T:
        """Run `work`, which may take long, in one of few threads; return its answer.

        Raises Problem (503) when too many wait.
        """
        if self.in_line >= WAITING:
            raise guard.Problem(503, "Too many requests for predictions are waiting.", "Ask again later.")
        self.in_line += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self.pool, work)
        finally:
            self.in_line -= 1


def add(app: FastAPI, backends: Backends) -> None:
    """Serve /ml."""
    router = APIRouter(prefix="/ml/{task_type}")
    user, password = ML_USER, backends.config.ml_password

    @router.get("/health")
    @router.get("/")
    @router.get("")
    async def health(task_type: str) -> Response:
        return _health(backends.seat(task_type).state)

    @router.post("/setup")
    async def setup(task_type: str, request: Request) -> Response:
        check_basic(request.headers, user, password)
        state = _ready(backends.seat(task_type).state)
        return guard.answer({"model_version": state.version})

    @router.get("/versions")
    async def versions(task_type: str, request: Request) -> Response:
        check_basic(request.headers, user, password)
        backends.seat(task_type)
        return guard.answer({"versions": await backends.in_turn(partial(_versions, backends, task_type))})

    @router.post("/predict")
    async def predict(task_type: str, request: Request) -> Response:
        check_basic(request.headers, user, password)
        seat, asked = backends.seat(task_type), _parsed(await request.body())
        _ready(seat.state)
        results = await backends.in_turn(partial(_predict, backends, task_type, seat, asked))
        return guard.answer({"results": results, "model_version": seat.state.version})

    @router.post("/webhook")
    async def webhook(task_type: str, request: Request) -> Response:
        backends.seat(task_type)
        if _parsed(await request.body()).get("action") != "START_TRAINING":
            # Label Studio makes a webhook beside every backend, for everything and without a password.
            return guard.answer({"status": "ignored"})
        check_basic(request.headers, user, password)
        number = await backends.in_turn(partial(_ask_for_training, backends, task_type))
        return guard.answer({"status": "queued", "training": number}, 201)

    app.include_router(router)


def check_basic(headers: Mapping[str, str], user: str, password: str) -> None:
    """Raise Problem (401) unless the request brings user and password.

    Takes as long whatever it brings.
    """
    right = b"Basic " + base64.b64encode(f"{user}:{password}".encode())
    if not hmac.compare_digest(headers.get("authorization", "").encode(errors="replace"), right):
        raise guard.Problem(
            401, "The user or password is missing or wrong.",
            "`lsloop setup` tells Label Studio the right ones.", wants="Basic",
        )  # fmt: skip


def _health(state: State) -> Response:
    if state.loaded is None:
        return guard.answer({"status": "DOWN", "reason": state.problem}, 503)
    told = {"status": "UP", "model_version": state.version}
    return guard.answer(told | ({"fallback": state.fallback} if state.fallback else {}))


def _ready(state: State) -> State:
    if state.loaded is None:
        raise guard.Problem(503, f"No model answers. {state.problem}", "Ask again later; /health says when.")
    return state


def _versions(backends: Backends, task_type: str) -> list[str]:
    name, _ = backends.config.task_type(task_type)
    now = backends.seats[name].state.version
    known = [one.version for one in versions.listed(backends.ledger, name)]
    return [*([now] if now else []), *(version for version in known if version != now)]


def _ask_for_training(backends: Backends, task_type: str) -> int:
    name, _ = backends.config.task_type(task_type)
    return versions.request(backends.ledger, name, "Label Studio", "Somebody pressed Start Training.")


def _predict(backends: Backends, task_type: str, seat: Seat, asked: dict[str, Any]) -> list[dict[str, Any]]:
    """Answer with a result for each task, in order.

    The result is empty, with the reason in the log, where there is no prediction.
    """
    tasks, state = asked["tasks"], seat.state
    assert state.loaded is not None
    model = replace(state.loaded, version=str(state.version))
    there = predictions.samples(backends.ledger, [found for task in tasks if (found := _sample_id(task))])
    samples = [there.get(_sample_id(task) or _NOBODY) for task in tasks]
    answers = _answers(_asking(backends, task_type, asked), model, samples, _hints(asked))
    for task, answer in zip(tasks, answers, strict=True):
        if answer.value is None:
            logger.warning("No prediction for task %s of %s: %s", _name(task), task_type, answer.problem)
    return [answer.shown for answer in answers]


_NOBODY = UUID(int=0)


def _answers(
    asking: Asking, model: Loaded, samples: Sequence[Sample | None], hints: dict[str, Any]
) -> list[Answer]:
    """An answer for each task; one without a value for a task of no sample."""
    known = [sample for sample in samples if sample is not None]
    try:
        found = iter(asking.ask(model, known, **hints))
    except UsageError as error:  # the label config
        return [Answer(model.version, problem=error.problem) for _ in samples]
    unknown = Answer(model.version, problem="it is no task of a sample in the ledger")
    return [unknown if sample is None else next(found) for sample in samples]


def _asking(backends: Backends, task_type: str, asked: dict[str, Any]) -> Asking:
    """Return how the model is asked.

    Answers must fit the label config that Label Studio has now.
    """
    if isinstance(config := asked.get("label_config"), str) and config:
        _, settings, kind = resolved(backends.config, task_type)
        return Asking(Job(settings.kind, config), kind, backends.config.raw_dir)
    return loop.asking(backends.ledger, backends.config, task_type)


def _parsed(body: bytes) -> dict[str, Any]:
    """The request as an object; its tasks, if any, are a list.

    Raises Problem (400).
    """
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        found = None
    if not isinstance(found, dict) or not isinstance(found.setdefault("tasks", []), list):
        raise guard.Problem(400, "The body is not a request of Label Studio.", 'Send {"tasks": [...]}.')
    return found


def _sample_id(task: Any) -> UUID | None:
    data = task.get("data") if isinstance(task, dict) else None
    try:
        return UUID(str(data["sample_id"])) if isinstance(data, dict) else None
    except (KeyError, ValueError):
        return None


def _name(task: Any) -> str:
    return str(task.get("id") if isinstance(task, dict) else None)[:20]


def _hints(asked: dict[str, Any]) -> dict[str, Any]:
    """Read what somebody who asks from the page says of the recording.

    That is its language, and words to expect.
    """
    params = asked.get("params")
    context = params.get("context") if isinstance(params, dict) else None
    if not isinstance(context, dict):
        return {}
    said = {name: context[name] for name in ("prompt", "language") if isinstance(context.get(name), str)}
    return {name: value for name, value in {"prompt": _typed(context.get("result")), **said}.items() if value}


def _typed(regions: Any) -> str:
    """The text in the regions of an interactive request."""
    values = (
        [one.get("value") for one in regions if isinstance(one, dict)] if isinstance(regions, list) else []
    )
    texts = [value.get("text") for value in values if isinstance(value, dict)]
    flat = [line for text in texts for line in (text if isinstance(text, list) else [text])]
    return " ".join(line for line in flat if isinstance(line, str))
