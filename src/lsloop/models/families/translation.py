"""Translation by a sequence-to-sequence model.

Marian, NLLB, mBART, M2M100, T5 and whatever AutoModelForSeq2SeqLM loads.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
import transformers

from lsloop import models
from lsloop.errors import UsageError
from lsloop.models import Guess, Row, Training, _predicting, _writing, checkpoint
from lsloop.models.training import recipes, run
from lsloop.values.text import clean

NOTHING: Mapping[str, Any] = MappingProxyType({})
LANGUAGES = ("source_language", "target_language", "prefix")

LONGEST = 256
"""Tokens of a translation, at most, unless the settings say otherwise: many checkpoints' own default is
20."""


def load(model: str, device: str = "auto", settings: Mapping[str, Any] = NOTHING) -> "Predictor":
    """Load a model.

    Settings: `batch_size`, `precision`, `source_language` and `target_language` (as the model writes them:
    `vie_Latn`, `vi_VN`, `vi`), `prefix` (T5's `translate Vietnamese to English: `), `num_beams`,
    `max_new_tokens`.
    """
    return Predictor(model, device, settings)


class Predictor:
    """A model in memory."""

    concurrency = 1

    def __init__(self, model: str, device: str, settings: Mapping[str, Any]) -> None:
        known = (*_predicting.COMMON, "num_beams", "max_new_tokens", *LANGUAGES)
        _predicting.check_names(settings, known)
        self.device = _predicting.device_of(device)
        self.model = _predicting.load(transformers.AutoModelForSeq2SeqLM, model).eval()
        self.model.to(self.device, _predicting.precision(settings))
        self.pages = _Pages(model, settings)
        self.wishes = _wishes(self.model, self.pages, settings)
        self.batches = _predicting.Batches(settings.get("batch_size", 32))

    def predict(self, rows: Sequence[Row]) -> list[Guess]:
        """The translation of each transcript."""
        return self.batches.answers(rows, lambda row: (len(_source(row)),), self._translate)

    def _translate(self, rows: list[Row]) -> list[Guess]:
        sources = [self.pages.prefix + _source(row) for row in rows]
        limit = self.pages.longest
        tokens = self.pages.tokenizer(
            sources, padding=True, truncation=limit is not None, max_length=limit, return_tensors="pt"
        )
        inputs = {name: tokens[name].to(self.device) for name in ("input_ids", "attention_mask")}
        written = _writing.write(self.model, inputs, self.wishes)
        texts = self.pages.tokenizer.batch_decode(written.tokens, skip_special_tokens=True)
        return [_guess(text, score) for text, score in zip(texts, written.confidence, strict=True)]


def train(rows: Sequence[Row], validation: Sequence[Row], training: Training) -> Path:
    """Fine-tune on transcripts and their translations."""
    checkpoint.check(training.base)
    pages = _Pages(training.base, training.settings)
    pages.longest = _limit(_predicting.load(transformers.AutoModelForSeq2SeqLM, training.base).config)

    def model() -> Any:
        loaded = _predicting.load(transformers.AutoModelForSeq2SeqLM, training.base)
        if (target := pages.target()) is not None:  # so that it needs no telling when it predicts
            loaded.generation_config.forced_bos_token_id = target
        return loaded

    def collate(batch: list[dict[str, list[int]]]) -> dict[str, torch.Tensor]:
        sources = pages.tokenizer.pad([{"input_ids": one["input_ids"]} for one in batch], return_tensors="pt")
        labels = [torch.tensor(one["labels"]) for one in batch]
        padded = torch.nn.utils.rnn.pad_sequence(labels, batch_first=True, padding_value=-100)
        return {**{name: sources[name] for name in ("input_ids", "attention_mask")}, "labels": padded}

    recipe = recipes.Recipe(
        "translation", model, pages.example, collate, pages.tokenizer, pages.unusable, options=LANGUAGES
    )
    return run.fit(recipe, rows, validation, training)


class _Pages:
    """The step before the model: sentences to tokens.

    `longest` is how many the model can take.
    """

    def __init__(self, model: str, settings: Mapping[str, Any]) -> None:
        self.tokenizer = _predicting.part(transformers.AutoTokenizer, model)
        self.prefix = str(settings.get("prefix") or "")
        self.language = settings.get("target_language")
        self.longest: int | None = None
        for name, language in (("src_lang", settings.get("source_language")), ("tgt_lang", self.language)):
            if language and hasattr(self.tokenizer, name):
                self._token(language)
                setattr(self.tokenizer, name, language)

    def target(self) -> int | None:
        """The token that stands for the target language, if the model has such."""
        has_languages = hasattr(self.tokenizer, "tgt_lang")
        return self._token(self.language) if self.language and has_languages else None

    def example(self, row: Row) -> dict[str, list[int]]:
        """A sentence and its translation as tokens."""
        tokens = self.tokenizer(self.prefix + _source(row), text_target=clean(row["translation"]))
        return {"input_ids": list(tokens["input_ids"]), "labels": list(tokens["labels"])}

    def unusable(self, row: Row) -> str | None:
        """The reason why nothing can be learnt from a row.

        A text is missing, or longer than the model takes.
        """
        for name in ("transcript", "translation"):
            if not clean(row.get(name)):
                return f"It has no {name}."
        count = max(map(len, self.example(row).values())) if self.longest is not None else 0
        return (
            f"It has {count:,} tokens; the model takes {self.longest:,}."
            if count > (self.longest or 0)
            else None
        )

    def _token(self, language: str) -> int:
        by_code = getattr(self.tokenizer, "get_lang_id", self.tokenizer.convert_tokens_to_ids)
        try:
            token = int(by_code(language))
        except (KeyError, TypeError) as error:
            raise UsageError(
                f"The model knows no language {language!r}.", "See its tokenizer's list."
            ) from error
        if token == self.tokenizer.unk_token_id:
            raise UsageError(f"The model knows no language {language!r}.", "See its tokenizer's list.")
        return token


def _wishes(model: Any, pages: _Pages, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The wishes that generation is told, besides the source."""
    pages.longest = _limit(model.config)
    longest = int(settings.get("max_new_tokens") or min(LONGEST, (pages.longest or LONGEST + 1) - 1))
    wishes: dict[str, Any] = {"max_new_tokens": longest}
    if settings.get("num_beams"):
        wishes["num_beams"] = int(settings["num_beams"])
    if (target := pages.target()) is not None:
        wishes["forced_bos_token_id"] = target
    return wishes


def _limit(config: Any) -> int | None:
    """The number of tokens that a model has places for; T5 has no such limit."""
    limit = getattr(config, "max_position_embeddings", None)
    return int(limit) if limit else None


def _source(row: Row) -> str:
    try:
        source = clean(row.get("transcript"))
    except ValueError as error:
        raise models.Unreadable(str(error)) from error
    if not source:
        raise models.Unreadable("There is no text to translate.")
    return source


def _guess(text: str, score: float) -> Guess:
    """The guess for one text, with its uncertainty.

    Unsure is one minus the mean probability of a token (the geometric mean).
    """
    if not (translation := clean(text)):
        return Guess(None, problem="The model wrote nothing.")
    value: dict[str, Any] = {"translation": translation, "issues": [], "rating": None, "notes": ""}
    return Guess(value, score=score, uncertainty=1 - score)
