"""What a task is made of.

It is what the template shows, a link to the media, and a pre-annotation that fits the label config.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType

from lsloop import signing, task_types
from lsloop.labelstudio import interface, tasks
from lsloop.labelstudio.keyset import TaskJson
from lsloop.ledger import Ledger, problems
from lsloop.ledger import tasks as ledger_tasks
from lsloop.records import Claim, Prediction, Project, Sample
from lsloop.task_types import Kind
from lsloop.values import showing

UPSTREAM = "upstream"
"""The model version of a pre-annotation that no model of ours made: the sample's own current value."""

REFLOW = "human-reflow"
"""The model version of an annotator's own work on a sample that goes round again. Label Studio gets it under
the version that the project shows: of the others annotators see nothing."""


@dataclass(frozen=True)
class Unmade:
    """A sample that cannot be made into a task: why, and what to do."""

    reason: str
    fix: str


@dataclass(frozen=True)
class Making:
    """The way tasks are made for Label Studio.

    It says by which kind, under which label config, and with which media links. `shown_as` is the model
    version whose predictions the project shows.
    """

    kind: Kind
    label_config: str
    media: signing.Media | None
    shown_as: str

    @property
    def digest(self) -> str:
        """The digest of what tasks are made of beside the sample.

        What cannot be made is tried again when it has changed.
        """
        parts = (self.kind.__name__ if isinstance(self.kind, ModuleType) else "", self.label_config)
        return hashlib.sha256("\0".join(parts).encode(errors="replace")).hexdigest()

    def __call__(self, claims: Sequence[Claim], unfit: list[str]) -> list[TaskJson | Unmade]:
        """Make {"data", "predictions"} of each task, or say why there is none.

        `unfit` is told why pre-annotations were left out.
        """
        made = [self._made(claim, unfit) for claim in claims]
        self._check([task["predictions"] for task in made if not isinstance(task, Unmade)], unfit)
        return made

    def _made(self, claim: Claim, unfit: list[str]) -> TaskJson | Unmade:
        try:
            return self._task(claim, unfit)
        except Exception as error:  # whatever one sample holds, the others go
            return Unmade(_words(error), _FIX)

    def _task(self, claim: Claim, unfit: list[str]) -> TaskJson:
        sample = claim.sample
        url = self.media.link(sample.media_path) if self.media and sample.media_path else None
        data = {**self.kind.task_data(sample, url), tasks.KEY: str(claim.task_key)}
        if claim.candidates:
            data["candidates"] = showing.html(
                [task_types.readable(self.kind, one) for one in claim.candidates], self.kind.WRITES
            )
            most_central = Prediction(claim.candidates[0], self.shown_as)
            return {"data": data, "predictions": self._shown(sample, most_central)}
        own = self._shown(sample, None)
        if claim.prediction is None:
            return {"data": data, "predictions": own}
        try:
            return {"data": data, "predictions": self._shown(sample, claim.prediction)}
        except Exception as error:  # what a model said is no reason to leave its sample out
            unfit.append(f"{sample.external_id}: {_words(error)}")
            return {"data": data, "predictions": []}

    def _shown(self, sample: Sample, prediction: Prediction | None) -> list[TaskJson]:
        """The pre-annotation that is shown.

        What a model predicted, else what the sample's own fields say.
        """
        value = prediction.value if prediction else self.kind.upstream_value(sample)
        if value is None:
            return []
        result = self.kind.to_result(value, self.label_config, sample)
        version = prediction.model_version if prediction else UPSTREAM
        shown_as = self.shown_as if version == REFLOW else version
        return [
            {"result": result, "model_version": shown_as, "score": prediction.score if prediction else None}
        ]

    def _check(self, shown: list[list[TaskJson]], unfit: list[str]) -> None:
        """Leave out pre-annotations that do not fit the label config.

        Label Studio would store them unchecked.
        """
        there = [predictions for predictions in shown if predictions]
        for predictions, misfits in zip(
            there, interface.check_predictions(self.label_config, [p[0] for p in there]), strict=True
        ):
            if misfits:
                predictions.clear()
                unfit.append(misfits[0])


_FIX = "Correct the sample upstream and ingest again; the next push then sends it."


def _words(error: Exception) -> str:
    told = " ".join(str(error).split())
    return told if isinstance(error, ValueError) and told else f"{type(error).__name__}: {told}"


def making(ledger: Ledger, project: Project, kind: Kind, media: signing.Media | None) -> Making:
    """The way the tasks of a project are made."""
    assert project.label_config is not None
    shown_as = ledger_tasks.shown_model_version(ledger, project) or UPSTREAM
    return Making(kind, project.label_config, media, shown_as)


def left_out(
    task_type: str, sample: Sample, why: Unmade, digest: str, ls_project_id: int | None = None
) -> problems.Problem:
    """What is written down of a sample that is not sent."""
    return problems.Problem(
        "push", "sample", str(sample.sample_id), why.reason, why.fix, task_type=task_type,
        sample_id=sample.sample_id,
        ls_project_id=ls_project_id, sync_version=sample.sync_version, digest=digest,
    )  # fmt: skip
