"""A translation model learns from corrected sentences; one without a source is a problem of its own."""

from pathlib import Path
from typing import Any

import pytest

import tiny_models
from lsloop.errors import UsageError
from lsloop.models import Job, Row, Training, choosing
from lsloop.models.families import SHIPPED, translation

SETTINGS = {"max_steps": 40, "learning_rate": 3e-3, "save_steps": 0, "log_steps": 5, "batch_size": 16}


@pytest.fixture(scope="module")
def sentences() -> list[Row]:
    return tiny_models.sentences(200)


@pytest.fixture(scope="module")
def trained(
    marian: str, sentences: list[Row], tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, list[Any]]:
    logged: list[Any] = []
    out = tmp_path_factory.mktemp("marian-run")
    rows = [*sentences, {**sentences[0], "translation": ""}, {**sentences[0], "transcript": "tôi " * 90}]
    folder = translation.train(rows, [], Training(marian, out, SETTINGS, log=logged.append))
    return str(folder), logged


def test_a_few_steps_lower_the_loss(trained: tuple[str, list[Any]]) -> None:
    folder, logged = trained
    assert logged[0] == {"step": 0, "rows": 200, "left_out": 2}
    assert tiny_models.losses(logged)[-1] < tiny_models.losses(logged)[0] / 2
    assert choosing.family(Job("translation_review"), str(folder)) is SHIPPED["translation"]


def test_it_answers_every_row_in_order_and_the_same_in_any_batch(
    trained: tuple[str, list[Any]], sentences: list[Row]
) -> None:
    asked = [sentences[0], {"transcript": " "}, {}, *sentences[1:9], {"transcript": "nhà " * 90}]
    alone = translation.load(trained[0], "cpu", {"batch_size": 1}).predict(asked)
    together = translation.load(trained[0], "cpu", {"batch_size": 4}).predict(asked)
    assert [guess.value for guess in together] == [guess.value for guess in alone]
    assert [index for index, guess in enumerate(together) if guess.problem] == [1, 2]
    assert together[1].problem == "There is no text to translate."
    for one, other in zip(alone, together, strict=True):
        if other.problem is None:
            assert one.score == pytest.approx(other.score, abs=1e-3)
            assert set(one.value or {}) == {"translation", "issues", "rating", "notes"}


def test_beams(trained: tuple[str, list[Any]], sentences: list[Row]) -> None:
    predictor = translation.load(trained[0], "cpu", {"num_beams": 3, "max_new_tokens": 30})
    assert all(guess.value and 0 < float(guess.score or 0) <= 1 for guess in predictor.predict(sentences[:5]))


def test_a_setting_that_nobody_reads_is_refused(marian: str, sentences: list[Row], out: Path) -> None:
    with pytest.raises(UsageError, match="learningrate"):
        translation.train(sentences, [], Training(marian, out, {"learningrate": 1}))
    with pytest.raises(UsageError, match="beams"):
        translation.load(marian, "cpu", {"beams": 4})


def test_a_model_of_many_languages_is_told_which_two_and_remembers(
    sentences: list[Row], tmp_path: Path, out: Path
) -> None:
    base = str(tiny_models.nllb(tmp_path / "nllb", sentences))
    languages = {"source_language": "vie_Latn", "target_language": "eng_Latn"}
    settings = {**languages, "max_steps": 2, "save_steps": 0}
    folder = str(translation.train(sentences[:20], [], Training(base, out, settings)))
    for told in (languages, {}):
        predictor = translation.load(folder, "cpu", told)
        tokenizer = predictor.pages.tokenizer
        asked = tokenizer.convert_ids_to_tokens(tokenizer("nhà").input_ids)
        written = predictor.model.generate(**tokenizer("nhà", return_tensors="pt"), **predictor.wishes)
        assert asked[0] == "vie_Latn"
        assert tokenizer.convert_ids_to_tokens(written[0][:2].tolist()) == ["</s>", "eng_Latn"]
    with pytest.raises(UsageError, match="no language 'klingon'"):
        translation.load(base, "cpu", {"target_language": "klingon"})
