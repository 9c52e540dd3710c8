"""A label for each frame of a recording: who speaks which language when.

The model is what AutoModelForAudioFrameClassification loads.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
import transformers

from lsloop.errors import UsageError
from lsloop.models import MAKING, Guess, Row, Training, _audio, _predicting, checkpoint
from lsloop.models.training import recipes, run

NOTHING: Mapping[str, Any] = MappingProxyType({})
UNMARKED = -100
"""The label of a frame that nobody marked, or that is padding: nothing is learnt from it."""

SHORTEST = 0.1
"""Seconds. A shorter stretch is taken for a slip and goes to the longer of its neighbours."""

Run = tuple[str, int]
"""A language, and how many frames in a row have it."""


def load(model: str, device: str = "auto", settings: Mapping[str, Any] = NOTHING) -> "Predictor":
    """Load a model.

    Settings: `batch_size`, `precision`, `shortest` (seconds; shorter segments are taken for slips).
    """
    return Predictor(model, device, settings)


class Predictor:
    """A model in memory."""

    concurrency = 1

    def __init__(self, model: str, device: str, settings: Mapping[str, Any]) -> None:
        _predicting.check_names(settings, (*_predicting.COMMON, "shortest"))
        self.shortest = float(settings.get("shortest", SHORTEST))
        self.device = _predicting.device_of(device)
        self.model = _predicting.load(transformers.AutoModelForAudioFrameClassification, model).eval()
        self.model.to(self.device, _predicting.precision(settings))
        self.names = {int(label): str(name) for label, name in self.model.config.id2label.items()}
        self.ears = _Ears(model)
        self.batches = _predicting.Batches(settings.get("batch_size", 16))

    def predict(self, rows: Sequence[Row]) -> list[Guess]:
        """The segments of each recording."""
        return self.batches.answers(rows, lambda row: (_audio.seconds(row),), self._hear)

    def _hear(self, rows: list[Row]) -> list[Guess]:
        inputs, heard = self.ears.hear(rows)
        inputs = {name: _predicting.like(tensor, self.model) for name, tensor in inputs.items()}
        chances = self.model(**inputs).logits.float().log_softmax(-1).cpu()
        lengths = _frames(self.model, heard).clamp(max=chances.shape[1]).tolist()
        return [
            self._guess(row, one[:length]) for row, one, length in zip(rows, chances, lengths, strict=True)
        ]

    def _guess(self, row: Row, chances: torch.Tensor) -> Guess:
        """The segments, with the uncertainty of the labels.

        The uncertainty is the mean entropy of a frame, as a share of the most there can be.
        """
        seconds = _audio.seconds(row)
        frame = max(seconds, _audio.SHORTEST) / len(chances)
        labels = [self.names[label] for label in chances.argmax(-1).tolist()]
        segments = _segments(_without_slips(labels, self.shortest / frame), frame, seconds)
        entropy = float(-(chances.exp() * chances).sum(-1).mean()) / math.log(max(2, chances.shape[-1]))
        score = float(chances.max(-1).values.exp().mean())
        value = {"segments": segments, "audio_quality": None}
        return Guess(value, score=min(1.0, score), uncertainty=min(1.0, max(0.0, entropy)))


def train(rows: Sequence[Row], validation: Sequence[Row], training: Training) -> Path:
    """Fine-tune on recordings and their segments.

    Frames between segments teach nothing.
    """
    checkpoint.check(training.base)
    ears = _Ears(training.base)
    config = _predicting.part(transformers.AutoConfig, training.base)
    with MAKING, torch.device("meta"):  # only to ask how many frames come out
        shape = transformers.AutoModelForAudioFrameClassification.from_config(config)

    def example(row: Row) -> dict[str, Any]:
        return {**ears.features(row), "marks": _marks(row, config), "seconds": _audio.seconds(row)}

    def collate(batch: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        sounds = [{name: one[name] for name in one if name not in ("marks", "seconds")} for one in batch]
        inputs, heard = ears.inputs(sounds)
        most = int(_frames(shape, torch.tensor([inputs[ears.main].shape[1]])))
        labels = torch.full((len(batch), most), UNMARKED)
        for label, one, length in zip(labels, batch, _frames(shape, heard).tolist(), strict=True):
            label[:length] = _labels(one["marks"], one["seconds"], length)
        return {**inputs, "labels": labels}

    def unusable(row: Row) -> str | None:
        _audio.check(row)
        return None if _marks(row, config) else "Nothing is marked in it."

    def model() -> Any:
        return _predicting.load(transformers.AutoModelForAudioFrameClassification, training.base)

    recipe = recipes.Recipe("audio_frames", model, example, collate, ears.extract, unusable, _loss)
    return run.fit(recipe, rows, validation, training)


class _Ears:
    """The step before the model: recordings to numbers."""

    def __init__(self, model: str) -> None:
        self.extract = _predicting.part(transformers.AutoFeatureExtractor, model)
        self.main: str = self.extract.model_input_names[0]
        self.rate: int = self.extract.sampling_rate

    def features(self, row: Row) -> dict[str, Any]:
        """The features that the model hears of one recording.

        Raises Unreadable.
        """
        wave = _audio.read(row, self.rate)
        features = self.extract(wave, sampling_rate=self.rate, return_attention_mask=True, padding=True)
        return {name: values[0] for name, values in features.items()}

    def hear(self, rows: list[Row]) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
        """The `inputs` of recordings, all at once.

        Raises Unreadable.
        """
        waves = [_audio.read(row, self.rate) for row in rows]
        wanted = {"return_attention_mask": True, "return_tensors": "pt"}
        return self._masked(dict(self.extract(waves, sampling_rate=self.rate, padding=True, **wanted)))

    def inputs(self, features: list[dict[str, Any]]) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
        """A padded batch, and how much of each element is heard."""
        return self._masked(
            dict(self.extract.pad(features, padding=True, return_attention_mask=True, return_tensors="pt"))
        )

    def _masked(self, batch: dict[str, torch.Tensor]) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
        """The batch, and how much of each element is heard.

        A model that was trained without a mask gets none.
        """
        heard = batch["attention_mask"].sum(-1)
        if not getattr(self.extract, "return_attention_mask", True):
            del batch["attention_mask"]
        return batch, heard


def _frames(model: Any, heard: torch.Tensor) -> torch.Tensor:
    """The number of frames that come out for so many samples or features."""
    return torch.as_tensor(model._get_feat_extract_output_lengths(heard))


def _loss(model: Any, inputs: Mapping[str, Any]) -> torch.Tensor:
    """The cross entropy of the marked frames.

    The model's own loss knows no unmarked ones.
    """
    labels = inputs["labels"]
    logits = model(**{name: tensor for name, tensor in inputs.items() if name != "labels"}).logits.float()
    most = min(labels.shape[1], logits.shape[1])
    labels, logits = labels[:, :most], logits[:, :most].transpose(1, 2)
    total = torch.nn.functional.cross_entropy(logits, labels, ignore_index=UNMARKED, reduction="sum")
    return total / (labels != UNMARKED).sum().clamp(min=1)


def _marks(row: Row, config: Any) -> list[tuple[float, float, int]]:
    """The start and end of each segment in seconds, and the model's label.

    Raises UsageError for a language that the model does not have.
    """
    labels = {str(name): int(label) for label, name in config.id2label.items()}
    if unknown := {str(segment["language"]) for segment in row.get("segments") or ()} - labels.keys():
        problem = f"The model has no label for {sorted(unknown)[0]}; it has {', '.join(labels)}."
        raise UsageError(problem, "Name a base model in params.yaml with the languages that are marked.")
    return [
        (segment["start"], segment["end"], labels[segment["language"]])
        for segment in row.get("segments") or ()
    ]


def _labels(marks: list[tuple[float, float, int]], seconds: float, frames: int) -> torch.Tensor:
    """The label of each frame: that of the segment its middle lies in."""
    middles = (torch.arange(frames) + 0.5) * max(seconds, _audio.SHORTEST) / frames
    labels = torch.full((frames,), UNMARKED)
    for start, end, label in marks:
        labels[(middles >= start) & (middles < end)] = label
    return labels


def _without_slips(labels: list[str], shortest: float) -> list[Run]:
    """Runs of frames with one label, none of them too short.

    The shortest goes first to the longer neighbour, until none is too short.
    """
    runs = [(label, len(list(frames))) for label, frames in groupby(labels)]
    while len(runs) > 1 and (least := min(runs, key=lambda run: run[1]))[1] < shortest:
        at = runs.index(least)
        sides = [side for side in (at - 1, at + 1) if 0 <= side < len(runs)]
        runs[at] = (runs[max(sides, key=lambda side: runs[side][1])][0], least[1])
        runs = [(label, sum(run[1] for run in same)) for label, same in groupby(runs, key=lambda run: run[0])]
    return runs


def _segments(runs: list[Run], frame: float, seconds: float) -> list[dict[str, Any]]:
    """Runs of frames as segments, with seconds to the millisecond.

    A segment never goes beyond the end of the recording.
    """
    segments, at, end = [], 0, math.floor(seconds * 1000) / 1000
    for language, frames in runs:
        start, until = round(at * frame, 3), min(end, round((at + frames) * frame, 3))
        at += frames
        if start < until:
            segments.append({"start": start, "end": until, "language": language, "tags": []})
    return segments
