"""The ML backend of a task type in Label Studio: attached, and tried out.

It is attached where there is a model.
"""

import time
from dataclasses import dataclass, field
from typing import Any

from lsloop.errors import LsloopError, Refused, Uncertain
from lsloop.labelstudio import interface, ml, tasks
from lsloop.labelstudio.client import LabelStudio
from lsloop.labelstudio.ml import Backend
from lsloop.ledger import Ledger
from lsloop.records import Project
from lsloop.values.text import counted

_POLL = 1.0  # seconds


@dataclass
class Attached:
    """The backend as Label Studio knows it.

    `tested` is what it said of a task; `problem`: why it does not answer.
    """

    url: str
    ls_backend_id: int | None = None
    model_version: str | None = None
    drift: list[str] = field(default_factory=list)
    tested: str | None = None
    problem: str | None = None


def attach(
    ledger: Ledger, studio: LabelStudio, project: Project, wanted: Backend, *, test: bool, patience: float
) -> Attached:
    """Attach the backend, or verify it.

    One that has just started has `patience` seconds to load its model. That it cannot be attached is no error
    of the project: the reason is in `problem`. Raises Unreachable.
    """
    assert project.ls_project_id is not None
    done = Attached(wanted.url)
    with ledger.in_turn(f"lsloop ml backend {project.project_id}"):
        try:
            there, done.drift = _patiently(studio, project.ls_project_id, wanted, patience)
        except Refused as refusal:
            done.problem = _why(refusal, wanted)
            return done
        except LsloopError as error:
            if error.exit_code == 3:
                raise
            done.problem = f"{error.problem} {error.fix}"
            return done
    done.ls_backend_id, done.model_version = there["id"], there["model_version"]
    if there["state"] != ml.CONNECTED:
        done.problem = f"Label Studio does not reach it: {there['error_message'] or there['readable_state']}."
    elif test:
        _test(studio, project, done)
    return done


def inspect(studio: LabelStudio, project: Project, wanted: Backend) -> str:
    """Say what Label Studio tells of the backend, and what it answers about a task.

    It changes nothing. Raises LsloopError.
    """
    assert project.ls_project_id is not None
    there, fix = (
        ml.ours(studio, project.ls_project_id, wanted),
        f"Run `lsloop setup --task-type {project.task_type}`.",
    )
    if there is None:
        raise Refused(f"Label Studio asks no model about {project.task_type}, and there is one.", fix)
    if there["url"] != wanted.url:
        raise Refused(
            f"Label Studio asks the model at {there['url']}, and it answers at {wanted.url} now.", fix
        )
    if there["state"] != ml.CONNECTED:
        why = there["error_message"] or there["readable_state"]
        problem = f"Label Studio does not reach the model at {wanted.url}: {why}."
        raise Refused(problem, f"{wanted.url}/health says more. {fix}")
    done = Attached(wanted.url, there["id"])
    _test(studio, project, done)
    if done.problem:
        raise Refused(done.problem, fix)
    return f"{wanted.url}: {done.tested}"


def _patiently(
    studio: LabelStudio, ls_project_id: int, wanted: Backend, patience: float
) -> tuple[dict[str, Any], list[str]]:
    ends = time.monotonic() + patience
    while True:
        try:
            return ml.attach(studio, ls_project_id, wanted)
        except Refused as refusal:
            if not ml.is_not_ready(refusal) or time.monotonic() >= ends:
                raise
        time.sleep(_POLL)


def _why(refusal: Refused, wanted: Backend) -> str:
    if ml.is_not_ready(refusal):
        return f"The server has no model to answer with; {wanted.url}/health says why."
    return f"Label Studio cannot use {wanted.url}: is `lsloop serve` running there? {refusal.problem}"


def _test(studio: LabelStudio, project: Project, done: Attached) -> None:
    assert project.ls_project_id is not None
    assert project.label_config is not None
    assert done.ls_backend_id is not None
    if not tasks.count(studio, project.ls_project_id):
        done.tested = "not tested: the project has no task yet"
        return
    try:
        answer = ml.test_predict(studio, done.ls_backend_id)
    except Uncertain as error:
        done.problem = f"The test prediction failed. {error.problem}"
        return
    done.problem = _wrong(answer, project.label_config)
    if not done.problem:
        score = answer[0].get("score")
        done.tested = "answered" if score is None else f"answered, score {score:.2f}"


def _wrong(answer: list[dict[str, Any]], label_config: str) -> str | None:
    """What is wrong with the answer to a question about one task."""
    if len(answer) != 1 or not isinstance(answer[0], dict):
        return f"The test prediction has {counted(len(answer), 'answer')} for one task."
    if not answer[0].get("result"):
        return "The test prediction is empty; the server's log (`lsloop serve -v`) says why."
    (problems,) = interface.check_predictions(label_config, answer)
    return f"The test prediction does not fit the label config: {problems[0]}" if problems else None
