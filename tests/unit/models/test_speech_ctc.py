"""A CTC model learns what is said, and answers the same after it was saved and loaded."""

import json
from pathlib import Path
from typing import Any

import pytest
import transformers

import tiny_models
from lsloop.models import Job, Row, Training, choosing
from lsloop.models.families import SHIPPED, speech_ctc

SETTINGS = {"max_steps": 30, "learning_rate": 4e-3, "save_steps": 0, "log_steps": 5, "warmup": 0.1}


@pytest.fixture(scope="module")
def trained(ctc: str, rows: list[Row], tmp_path_factory: pytest.TempPathFactory) -> tuple[str, list[Any]]:
    logged: list[Any] = []
    out = tmp_path_factory.mktemp("ctc-run")
    folder = speech_ctc.train(rows, [], Training(ctc, out, SETTINGS, log=logged.append))
    return str(folder), logged


def test_a_few_steps_lower_the_loss(trained: tuple[str, list[Any]], rows: list[Row]) -> None:
    folder, logged = trained
    assert logged[0] == {"step": 0, "rows": len(rows), "left_out": 0}
    assert tiny_models.losses(logged)[-1] < tiny_models.losses(logged)[0] / 2
    assert choosing.family(Job("transcript_correction"), str(folder)) is SHIPPED["speech_ctc"]


def test_it_answers_every_row_in_order_and_the_same_in_any_batch(
    trained: tuple[str, list[Any]], rows: list[Row]
) -> None:
    alone = speech_ctc.load(trained[0], "cpu", {"batch_size": 1}).predict(rows[:12])
    together = speech_ctc.load(trained[0], "cpu", {"batch_size": 5}).predict(rows[:12])
    assert [guess.value for guess in together] == [guess.value for guess in alone]
    assert len({guess.score for guess in together}) == len(together)
    for one, other in zip(alone, together, strict=True):
        assert one.score == pytest.approx(other.score, abs=1e-3)
        assert 0 <= other.uncertainty <= 1  # type: ignore[operator]
        assert set(one.value or {}) == {"transcript", "quality_flags", "confidence", "notes"}


def test_a_model_that_hears_nothing_does_not_claim_that_nobody_speaks(
    ctc: str, rows: list[Row], out: Path, tmp_path: Path
) -> None:
    mute = speech_ctc.train(
        rows, [], Training(ctc, out, {"max_steps": 5, "learning_rate": 4e-3, "save_steps": 0})
    )
    guesses = speech_ctc.load(str(mute)).predict(rows[:4])
    assert {guess.problem for guess in guesses} == {"The model heard no words."}
    assert [guess.value for guess in guesses] == [None] * 4


def wav2vec2(folder: Path, norm: str) -> str:
    """A model of raw sound. Those with a group norm were trained without a mask, and get none."""
    folder.mkdir()
    symbols = ["<pad>", "<unk>", "|", *tiny_models.ALPHABET]
    (folder / "vocab.json").write_text(json.dumps({symbol: number for number, symbol in enumerate(symbols)}))
    tokenizer = transformers.Wav2Vec2CTCTokenizer(
        str(folder / "vocab.json"), pad_token="<pad>", unk_token="<unk>"
    )
    masked = norm == "layer"
    extractor = transformers.Wav2Vec2FeatureExtractor(return_attention_mask=masked)
    config = transformers.Wav2Vec2Config(
        vocab_size=len(symbols), pad_token_id=0, hidden_size=64, num_hidden_layers=1, num_attention_heads=4,
        intermediate_size=128, conv_dim=(32,) * 5, conv_stride=(5, 4, 4, 2, 2), conv_kernel=(10, 8, 8, 4, 4),
        feat_extract_norm=norm, do_stable_layer_norm=masked, num_conv_pos_embeddings=15,
        num_conv_pos_embedding_groups=4,
    )  # fmt: skip
    transformers.Wav2Vec2ForCTC(config).save_pretrained(folder)
    transformers.Wav2Vec2Processor(extractor, tokenizer).save_pretrained(folder)
    return str(folder)


@pytest.mark.parametrize("norm", ["layer", "group"])
def test_models_of_raw_sound_learn_and_answer_too(
    rows: list[Row], out: Path, tmp_path: Path, norm: str
) -> None:
    logged: list[Any] = []
    told = {"max_steps": 6, "learning_rate": 1e-3, "save_steps": 0, "log_steps": 1, "batch_size": 4}
    base = wav2vec2(tmp_path / norm, norm)
    model = speech_ctc.train(rows[:4], [], Training(base, out, told, log=logged.append))
    assert tiny_models.losses(logged)[-1] < tiny_models.losses(logged)[0]
    asked = [*rows[:4], {"media": "missing.wav"}]
    alone = speech_ctc.load(str(model), "cpu", {"batch_size": 1}).predict(asked)
    together = speech_ctc.load(str(model), "cpu", {"batch_size": 4}).predict(asked)
    for one, other in zip(alone, together, strict=True):
        assert one.problem == other.problem
        assert one.uncertainty == pytest.approx(other.uncertainty, abs=0.01)
