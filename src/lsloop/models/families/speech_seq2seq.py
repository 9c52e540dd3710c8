"""Speech recognition that writes word by word.

Whisper and whatever AutoModelForSpeechSeq2Seq loads.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
import transformers

from lsloop.errors import UsageError
from lsloop.models import Guess, Row, Training, _audio, _predicting, _writing, checkpoint
from lsloop.models.training import recipes, run
from lsloop.values.text import clean

NOTHING: Mapping[str, Any] = MappingProxyType({})
OPTIONS = ("language", "task", "prompt", "num_beams", "max_new_tokens")


def load(model: str, device: str = "auto", settings: Mapping[str, Any] = NOTHING) -> "Predictor":
    """Load a model.

    Settings: `batch_size`, `precision`, `language` (`vi`; Whisper finds out by itself without), `task`
    (`transcribe`), `prompt` (words to expect), `num_beams`, `max_new_tokens`.
    """
    return Predictor(model, device, settings)


class Predictor:
    """A model in memory."""

    concurrency = 1

    def __init__(self, model: str, device: str, settings: Mapping[str, Any]) -> None:
        _predicting.check_names(settings, (*_predicting.COMMON, *OPTIONS))
        self.settings = settings
        self.device = _predicting.device_of(device)
        self.model = _predicting.load(transformers.AutoModelForSpeechSeq2Seq, model).eval()
        self.model.to(self.device, _predicting.precision(settings))
        self.ears = _Ears(model)
        self.batches = _predicting.Batches(settings.get("batch_size", 16))

    def predict(self, rows: Sequence[Row]) -> list[Guess]:
        """The transcript of each recording."""
        return self.batches.answers(rows, self._order, self._hear)

    def _order(self, row: Row) -> _predicting.Order:
        """The language, prompt and length that a row is batched by.

        Rows of one batch have one language and one prompt.
        """
        return self._option(row, "language"), self._option(row, "prompt"), _audio.seconds(row)

    def _option(self, row: Row, name: str) -> str:
        return str(row.get(name) or self.settings.get(name) or "")

    def _hear(self, rows: list[Row]) -> list[Guess]:
        """Transcribe recordings.

        A recording longer than the model hears at once is heard in pieces.
        """
        pieces = [self.ears.pieces(row) for row in rows]
        inputs = self.ears.hear([wave for waves in pieces for wave in waves])
        inputs = {name: _predicting.like(tensor, self.model) for name, tensor in inputs.items()}
        written = _writing.write(self.model, inputs, self._wishes(rows[0]))
        texts = [self._text(tokens) for tokens in written.tokens.tolist()]
        guesses, at = [], 0
        for waves in pieces:
            until = at + len(waves)
            guesses.append(_guess(texts[at:until], written.confidence[at:until]))
            at = until
        return guesses

    def _text(self, tokens: list[int]) -> str:
        """The text written.

        A prompt stands before the start token, and is nobody's speech.
        """
        start = self.model.generation_config.decoder_start_token_id
        said = tokens[tokens.index(start) :] if start in tokens else tokens
        return str(self.ears.processor.tokenizer.decode(said, skip_special_tokens=True))

    def _wishes(self, row: Row) -> dict[str, Any]:
        """The wishes that generation is told, besides the recording."""
        names = ("num_beams", "max_new_tokens")
        wishes: dict[str, Any] = {name: int(self.settings[name]) for name in names if self.settings.get(name)}
        if getattr(self.model.generation_config, "is_multilingual", False):
            wishes |= {"task": self.settings.get("task", "transcribe")}
            if language := self._option(row, "language"):
                wishes["language"] = language
        if (prompt := self._option(row, "prompt")) and hasattr(self.ears.processor, "get_prompt_ids"):
            wishes["prompt_ids"] = self._expected(prompt)
        return wishes

    def _expected(self, prompt: str) -> torch.Tensor:
        """The tokens of a prompt.

        Of a prompt that would take more than half of what the model can write, they are its end only.
        """
        ids = self.ears.processor.get_prompt_ids(prompt, return_tensors="pt")
        most = self.model.config.max_target_positions // 2 - 2
        return torch.cat([ids[:1], ids[1:][-most:]]).to(self.device)


def train(rows: Sequence[Row], validation: Sequence[Row], training: Training) -> Path:
    """Fine-tune on recordings and their transcripts.

    A multilingual Whisper needs the setting `language`.
    """
    checkpoint.check(training.base)
    ears = _Ears(training.base)
    language, task = training.settings.get("language"), training.settings.get("task", "transcribe")
    first = _predicting.load(transformers.AutoModelForSpeechSeq2Seq, training.base)
    multilingual = bool(getattr(first.generation_config, "is_multilingual", False))
    if multilingual and not language:
        raise UsageError(
            "A multilingual model learns under one language.", "Set language under training, as in `vi`."
        )
    if multilingual:
        ears.processor.tokenizer.set_prefix_tokens(language=language, task=task)
    start = first.config.decoder_start_token_id
    longest = getattr(first.config, "max_target_positions", None) or 2**31

    def model() -> Any:
        loaded = _predicting.load(transformers.AutoModelForSpeechSeq2Seq, training.base)
        if multilingual:  # so that it needs no telling when it predicts
            loaded.generation_config.language, loaded.generation_config.task = language, task
        return loaded

    def example(row: Row) -> dict[str, Any]:
        return {**ears.features(_audio.read(row, ears.rate)), "labels": ears.tokens(row)}

    def collate(batch: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        sounds = [{name: heard for name, heard in one.items() if name != "labels"} for one in batch]
        return {**ears.inputs(sounds), "labels": ears.labels([one["labels"] for one in batch], start)}

    def unusable(row: Row) -> str | None:
        if reason := ears.unusable(row):
            return reason
        count = len(ears.tokens(row))
        return (
            f"Its transcript has {count:,} tokens; the model writes {longest:,}." if count > longest else None
        )

    options = ("language", "task")
    recipe = recipes.Recipe(
        "speech_seq2seq", model, example, collate, ears.processor, unusable, options=options
    )
    return run.fit(recipe, rows, validation, training)


class _Ears:
    """The step before the model: recordings to numbers, transcripts to tokens."""

    def __init__(self, model: str) -> None:
        self.processor = _predicting.part(transformers.AutoProcessor, model)
        self.extract = self.processor.feature_extractor
        self.rate: int = self.extract.sampling_rate
        self.most: int | None = getattr(self.extract, "n_samples", None)  # Whisper's 30 s

    def pieces(self, row: Row) -> list[_audio.Wave]:
        """The recording, in pieces that the model hears at once."""
        wave = _audio.read(row, self.rate)
        starts = range(0, len(wave), self.most or len(wave))
        return [wave[start : start + (self.most or len(wave))] for start in starts]

    def hear(self, waves: list[_audio.Wave]) -> dict[str, torch.Tensor]:
        """The `inputs` of recordings, all at once."""
        return dict(self._extracted(waves, return_tensors="pt"))

    def features(self, wave: _audio.Wave) -> dict[str, Any]:
        """The features that the model hears of one recording."""
        return {name: np.asarray(values[0]) for name, values in self._extracted([wave]).items()}

    def _extracted(self, waves: list[_audio.Wave], **options: Any) -> Any:
        """The features of pieces.

        Whisper's are always of full length, silence behind.
        """
        padding = "max_length" if self.most else True
        return self.extract(
            waves, sampling_rate=self.rate, return_attention_mask=True, padding=padding, **options
        )

    def inputs(self, features: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """A padded batch."""
        if self.most:
            stacked = {name: np.stack([one[name] for one in features]) for name in features[0]}
            return {name: torch.from_numpy(values) for name, values in stacked.items()}
        padded = self.extract.pad(features, padding=True, return_attention_mask=True, return_tensors="pt")
        return dict(padded)

    def tokens(self, row: Row) -> list[int]:
        """A transcript as tokens.

        Those that tell language and task stand before it, and an end behind it.
        """
        return list(self.processor.tokenizer(clean(row["transcript"])).input_ids)

    def labels(self, tokens: list[list[int]], start: int) -> torch.Tensor:
        """Tokens of transcripts, −100 behind their ends.

        The model puts the start token before them itself.
        """
        cut = [one[1:] if one[0] == start else one for one in tokens]
        padded = [torch.tensor(one) for one in cut]
        return torch.nn.utils.rnn.pad_sequence(padded, batch_first=True, padding_value=-100)

    def unusable(self, row: Row) -> str | None:
        """The reason why nothing can be learnt from a row.

        There is no transcript, or more sound than the model hears at once.
        """
        if not clean(row.get("transcript")):
            return "It has no transcript."
        seconds = _audio.check(row)
        if self.most is not None and seconds * self.rate > self.most:
            return f"It lasts {seconds:.1f} s; the model hears {self.most / self.rate:.0f} s at once."
        return None


def _guess(texts: list[str], confidence: list[float]) -> Guess:
    """The guess for the pieces of one recording, with its uncertainty.

    Unsure is one minus the mean probability of a token (the geometric mean).
    """
    transcript = clean(" ".join(filter(None, map(clean, texts))))
    score = sum(confidence) / len(confidence)
    value: dict[str, Any] = {"transcript": transcript, "quality_flags": [], "confidence": None, "notes": ""}
    problem = None if transcript else _audio.NO_WORDS
    return Guess(value if transcript else None, score=score, uncertainty=1 - score, problem=problem)
