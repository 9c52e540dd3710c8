"""What a task is made of: what the template shows, a link to the media, and a pre-annotation that fits the label config."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lsloop import candidates, signing
from lsloop.labelstudio import interface, tasks
from lsloop.ledger import Ledger
from lsloop.ledger import tasks as ledger_tasks
from lsloop.records import Claim, Prediction, Project, Sample
from lsloop.task_types import Kind

UPSTREAM = "upstream"
"""The model version of a pre-annotation that no model of ours made: the sample's own current value."""

REFLOW = "human-reflow"
"""The model version of an annotator's own work on a sample that goes round again. Label Studio gets it under the version
that the project shows: of the others annotators see nothing."""


@dataclass(frozen=True)
class Making:
    """How tasks are made for Label Studio: by which kind, under which label config, and with which media links.

    `shown_as` is the model version whose predictions the project shows.
    """

    kind: Kind
    label_config: str
    media: signing.Media | None
    shown_as: str

    def __call__(self, claims: Sequence[Claim], unfit: list[str]) -> list[dict[str, Any]]:
        """{"data", "predictions"} of each task. Why pre-annotations had to be left out is added to `unfit`."""
        made = [self._task(claim) for claim in claims]
        self._check([task["predictions"] for task in made], unfit)
        return made

    def _task(self, claim: Claim) -> dict[str, Any]:
        sample = claim.sample
        url = self.media.link(sample.media_path) if self.media and sample.media_path else None
        data = {**self.kind.task_data(sample, url), tasks.KEY: str(claim.task_key)}
        if claim.candidates:
            data["candidates"] = candidates.html(claim.candidates, self.kind.WRITES)
            most_central = Prediction(claim.candidates[0], self.shown_as)
            return {"data": data, "predictions": self._shown(sample, most_central)}
        return {"data": data, "predictions": self._shown(sample, claim.prediction)}

    def _shown(self, sample: Sample, prediction: Prediction | None) -> list[dict[str, Any]]:
        """The pre-annotation: what a model predicted, else what the sample's own fields say."""
        value = prediction.value if prediction else self.kind.upstream_value(sample)
        if value is None:
            return []
        result = self.kind.to_result(value, self.label_config, sample)
        version = prediction.model_version if prediction else UPSTREAM
        shown_as = self.shown_as if version == REFLOW else version
        return [
            {"result": result, "model_version": shown_as, "score": prediction.score if prediction else None}
        ]

    def _check(self, shown: list[list[dict[str, Any]]], unfit: list[str]) -> None:
        """Leave out pre-annotations that do not fit the label config: Label Studio would store them unchecked."""
        there = [predictions for predictions in shown if predictions]
        for predictions, problems in zip(
            there, interface.check_predictions(self.label_config, [p[0] for p in there]), strict=True
        ):
            if problems:
                predictions.clear()
                unfit.append(problems[0])


def making(ledger: Ledger, project: Project, kind: Kind, media: signing.Media | None) -> Making:
    """How the tasks of a project are made."""
    assert project.label_config is not None
    shown_as = ledger_tasks.shown_model_version(ledger, project) or UPSTREAM
    return Making(kind, project.label_config, media, shown_as)
