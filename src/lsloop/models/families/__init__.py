"""Model families: each is a row here, and its code the module of its name.

The code of a family of checkpoints is imported when a model of it is loaded: with it comes torch.
"""

import gc
import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from lsloop.errors import UsageError
from lsloop.models import MAKING, Family, Job, Predictor, Row, Training, checkpoint, fingerprint


@dataclass(frozen=True)
class Checkpoints:
    """A family of checkpoints: the module with its code, and its kinds of task.

    The kinds are those that it answers. `architectures`: what those of a checkpoint's config.json end in
    (`ForCTC`, `ForConditionalGeneration`, …).
    """

    module: str
    kinds: tuple[str, ...]
    architectures: tuple[str, ...]

    def answers(self, job: Job) -> bool:
        """Say whether the job is of a kind that the family answers.

        The fields of the answer are the kind's.
        """
        return job.kind in self.kinds

    def recognises(self, place: str) -> bool:
        """Say whether the architectures in config.json are of this family."""
        try:
            return any(name.endswith(self.architectures) for name in checkpoint.architectures(place))
        except UsageError:
            return False

    def version(self, place: str) -> str | None:
        """The hash of the weights, if they are here."""
        try:
            return fingerprint(place)
        except UsageError:
            return None

    def load(
        self, place: str, device: str = "auto", settings: Mapping[str, Any] = MappingProxyType({})
    ) -> Predictor:
        """See Family."""
        predictor: Predictor = code(self.module).load(place, device, settings)
        return predictor

    def train(self, rows: Sequence[Row], validation: Sequence[Row], training: Training) -> Path:
        """See Trainable."""
        trained: Path = code(self.module).train(rows, validation, training)
        return trained


SHIPPED: Mapping[str, Family] = {
    name: Checkpoints(f"{__name__}.{name}", kinds, architectures)
    for name, kinds, architectures in (
        ("audio_frames", ("audio_segmentation",), ("ForAudioFrameClassification",)),
        ("speech_ctc", ("transcript_correction",), ("ForCTC",)),
        (
            "speech_seq2seq",
            ("transcript_correction",),
            ("ForConditionalGeneration", "SpeechEncoderDecoderModel"),
        ),
        (
            "translation",
            ("translation_review",),
            ("MTModel", "ForConditionalGeneration", "EncoderDecoderModel"),
        ),
    )
}
"""The families that come with lsloop, by name."""


@cache
def code(module: str) -> Any:
    """The code of a family, imported while the garbage collector rests.

    With it come torch and transformers: hundreds of thousands of objects, which the collector would look
    through again and again as they arrive, at every look afterwards, and once more at the end. They stay, so
    it need not: a third less.
    """
    with MAKING:
        was = gc.isenabled()
        gc.disable()
        try:
            found = importlib.import_module(module)
            gc.freeze()
        finally:
            if was:
                gc.enable()
    return found
