"""Speech recognition with a CTC head.

wav2vec2, wav2vec2-bert, HuBERT, WavLM and whatever AutoModelForCTC loads.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
import transformers

from lsloop.models import MAKING, Guess, Row, Training, _audio, _predicting, checkpoint
from lsloop.models.training import recipes, run
from lsloop.values.text import clean

MOST_SYMBOLS = 100
"""Characters a second: nobody speaks so fast, and a model has fewer frames than that to write them in."""

NOTHING: Mapping[str, Any] = MappingProxyType({})


def load(model: str, device: str = "auto", settings: Mapping[str, Any] = NOTHING) -> "Predictor":
    """Load a model.

    Settings: `batch_size`, `precision`.
    """
    return Predictor(model, device, settings)


class Predictor:
    """A CTC model in memory."""

    concurrency = 1

    def __init__(self, model: str, device: str, settings: Mapping[str, Any]) -> None:
        _predicting.check_names(settings, _predicting.COMMON)
        self.device = _predicting.device_of(device)
        self.model = _predicting.load(transformers.AutoModelForCTC, model).eval()
        self.model.to(self.device, _predicting.precision(settings))
        self.ears = _Ears(model)
        self.batches = _predicting.Batches(settings.get("batch_size", 32))

    def predict(self, rows: Sequence[Row]) -> list[Guess]:
        """The transcript of each recording."""
        return self.batches.answers(rows, lambda row: (_audio.seconds(row),), self._hear)

    def _hear(self, rows: list[Row]) -> list[Guess]:
        """The best symbol of each frame.

        Frames of padding count as blank: else they are decoded as speech.
        """
        inputs, heard = self.ears.hear(rows)
        inputs = {name: _predicting.like(tensor, self.model) for name, tensor in inputs.items()}
        chances = self.model(**inputs).logits.float().log_softmax(-1)
        blank = self.model.config.pad_token_id
        lengths = frames(self.model, heard, chances.shape[1]).to(self.device)
        inside = torch.arange(chances.shape[1], device=self.device)[None] < lengths[:, None]
        symbols = chances.argmax(-1).masked_fill(~inside, blank)
        texts = self.ears.processor.batch_decode(symbols.cpu())
        numbers = zip(*_numbers(chances, inside, symbols != blank), strict=True)
        return [_guess(text, *both) for text, both in zip(texts, numbers, strict=True)]


def train(rows: Sequence[Row], validation: Sequence[Row], training: Training) -> Path:
    """Fine-tune on recordings and their transcripts."""
    checkpoint.check(training.base)
    ears = _Ears(training.base)

    def example(row: Row) -> dict[str, Any]:
        return {**ears.features(row), "labels": row["transcript"]}

    def collate(batch: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        sounds = [{name: heard for name, heard in one.items() if name != "labels"} for one in batch]
        return {**ears.inputs(sounds)[0], "labels": ears.labels([one["labels"] for one in batch])}

    def model() -> Any:
        return _predicting.load(transformers.AutoModelForCTC, training.base, ctc_zero_infinity=True)

    recipe = recipes.Recipe("speech_ctc", model, example, collate, ears.processor, _unusable)
    return run.fit(recipe, rows, validation, training)


def fresh(folder: Path, alphabet: Iterable[str], seed: int = 0) -> Path:
    """A tiny untrained wav2vec2-bert of its own for the characters of `alphabet`.

    It learns a toy language in seconds on a CPU. The weights start wide (standard deviation 0.06): with the
    customary 0.02 so small a model learns far slower.
    """
    with MAKING:
        transformers.set_seed(seed)
        return checkpoint.write(folder, lambda partial: _make(partial, alphabet), {"family": "speech_ctc"})


def frames(model: Any, heard: torch.Tensor, most: int) -> torch.Tensor:
    """The number of frames that belong to each recording of a batch.

    They are among the `most` frames that come out; `heard` is what went in.
    """
    if lengths := getattr(model, "_get_feat_extract_output_lengths", None):
        return torch.as_tensor(lengths(heard)).clamp(max=most)
    return (heard / heard.max() * most).ceil().long()


class _Ears:
    """The step before the model: recordings to numbers, transcripts to symbols."""

    def __init__(self, model: str) -> None:
        self.processor = _predicting.part(transformers.AutoProcessor, model)
        self.rate: int = self.processor.feature_extractor.sampling_rate
        vocabulary = self.processor.tokenizer.get_vocab()
        self.capitals = "A" in vocabulary and "a" not in vocabulary

    def features(self, row: Row) -> dict[str, Any]:
        """The features that the model hears of one recording.

        Raises Unreadable.
        """
        wave = _audio.read(row, self.rate)
        extract = self.processor.feature_extractor
        features = extract(wave, sampling_rate=self.rate, return_attention_mask=True, padding=True)
        return {name: values[0] for name, values in features.items()}

    def hear(self, rows: list[Row]) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
        """The `inputs` of recordings, all at once.

        Raises Unreadable.
        """
        waves = [_audio.read(row, self.rate) for row in rows]
        extract, wanted = (
            self.processor.feature_extractor,
            {"return_attention_mask": True, "return_tensors": "pt"},
        )
        return self._masked(dict(extract(waves, sampling_rate=self.rate, padding=True, **wanted)))

    def inputs(self, features: list[dict[str, Any]]) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
        """A padded batch, and how much of each element is heard."""
        pad = self.processor.feature_extractor.pad
        return self._masked(
            dict(pad(features, padding=True, return_attention_mask=True, return_tensors="pt"))
        )

    def _masked(self, batch: dict[str, torch.Tensor]) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
        """The batch, and how much of each element is heard.

        A model that was trained without a mask gets none.
        """
        heard = batch["attention_mask"].sum(-1)
        if not getattr(self.processor.feature_extractor, "return_attention_mask", True):
            del batch["attention_mask"]
        return batch, heard

    def labels(self, texts: list[str]) -> torch.Tensor:
        """The symbols of transcripts, −100 behind their ends."""
        cased = [clean(text).upper() if self.capitals else clean(text) for text in texts]
        tokens = self.processor.tokenizer(cased, padding=True, return_tensors="pt")
        labels: torch.Tensor = tokens.input_ids.masked_fill(tokens.attention_mask.ne(1), -100)
        return labels


def _numbers(
    chances: torch.Tensor, inside: torch.Tensor, spoken: torch.Tensor
) -> tuple[list[float], list[float]]:
    """Score and uncertainty of each recording of a batch.

    They are over its frames with a symbol, or over all where none has one. Unsure is the mean entropy of a
    frame, as a share of the most there can be.
    """
    counted = torch.where(spoken.any(1, keepdim=True), spoken, inside)
    count = counted.sum(1)
    entropy = torch.special.entr(chances.exp()).sum(-1).masked_fill(~counted, 0).sum(1) / count
    score = (chances.amax(-1).masked_fill(~counted, 0).sum(1) / count).exp()
    return score.tolist(), (entropy / math.log(chances.shape[-1])).tolist()


def _guess(text: str, score: float, uncertainty: float) -> Guess:
    transcript = clean(text)
    value: dict[str, Any] = {"transcript": transcript, "quality_flags": [], "confidence": None, "notes": ""}
    return Guess(
        value if transcript else None,
        score=_share(score),
        uncertainty=_share(uncertainty),
        problem=None if transcript else _audio.NO_WORDS,
    )


def _share(number: float) -> float:
    return min(1.0, max(0.0, number))


def _unusable(row: Row) -> str | None:
    """The reason why nothing can be learnt from a row."""
    if not (transcript := clean(row.get("transcript"))):
        return "It has no transcript."
    seconds = _audio.check(row)
    if len(transcript) > MOST_SYMBOLS * max(1.0, seconds):
        return f"Its transcript has {len(transcript):,} characters for {seconds:.1f} s."
    return None


def _make(folder: Path, alphabet: Iterable[str]) -> None:
    symbols = ["<pad>", "<unk>", "|", *sorted({clean(letter) for letter in alphabet} - {"", "|"})]
    vocabulary = folder / "vocab.json"
    vocabulary.write_text(json.dumps({symbol: i for i, symbol in enumerate(symbols)}), encoding="utf-8")
    tokenizer = transformers.Wav2Vec2CTCTokenizer(
        str(vocabulary),
        unk_token="<unk>",
        pad_token="<pad>",
        word_delimiter_token="|",
        bos_token=None,
        eos_token=None,
    )
    extractor = transformers.SeamlessM4TFeatureExtractor(
        feature_size=80, num_mel_bins=80, sampling_rate=16_000, padding_value=0.0, stride=2
    )
    config = transformers.Wav2Vec2BertConfig(
        vocab_size=len(symbols), pad_token_id=0, bos_token_id=None, eos_token_id=None, initializer_range=0.06,
        hidden_size=128, num_hidden_layers=1, num_attention_heads=4, intermediate_size=256,
        conv_depthwise_kernel_size=7, feature_projection_input_dim=160, position_embeddings_type=None,
        add_adapter=False, apply_spec_augment=False,
        mask_time_prob=0.0, layerdrop=0.0, hidden_dropout=0.0, attention_dropout=0.0, feat_proj_dropout=0.0,
        final_dropout=0.0, activation_dropout=0.0, ctc_loss_reduction="mean", ctc_zero_infinity=True,
    )  # fmt: skip
    transformers.Wav2Vec2BertForCTC(config).save_pretrained(folder)
    transformers.Wav2Vec2BertProcessor(extractor, tokenizer).save_pretrained(folder)
