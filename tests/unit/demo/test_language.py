import jiwer
import pytest

from lsloop.demo.chance import stream
from lsloop.demo.language import (
    LANGUAGES,
    SPEAKERS,
    VIETNAMESE,
    WORDS,
    misheard,
    misspell,
    split_tone,
    utterances,
    with_errors,
)
from lsloop.values.text import nfc

ENGLISH = set(VIETNAMESE.values())


def test_the_same_seed_says_the_same() -> None:
    assert utterances(50, seed=7) == utterances(50, seed=7)


def test_another_seed_says_something_else() -> None:
    assert utterances(50, seed=7) != utterances(50, seed=8)


def test_a_longer_world_starts_with_the_shorter_one() -> None:
    assert utterances(80, seed=3)[:30] == utterances(30, seed=3)


def test_every_word_and_speaker_and_language_is_heard() -> None:
    said = utterances(500, seed=0)
    assert {word for one in said for word in one.text.split()} == set(WORDS)
    assert {one.language for one in said} == set(LANGUAGES)
    assert len({one.speaker for one in said}) == SPEAKERS


def test_a_code_switched_sentence_has_words_of_both_languages() -> None:
    for one in utterances(300, seed=1):
        english = {word in ENGLISH for word in one.text.split()}
        assert english == {"en": {True}, "vi": {False}, "cs": {True, False}}[one.language]


def meanings(text: str) -> list[str]:
    return sorted(VIETNAMESE.get(word, word) for word in text.split())


def test_a_translation_means_the_same_in_the_other_language() -> None:
    for one in utterances(200, seed=2):
        assert meanings(one.translation) == meanings(one.text)
        assert set(one.translation.split()) <= (set(VIETNAMESE) if one.language == "en" else ENGLISH)


def test_everything_said_is_in_normal_form_c() -> None:
    assert all(one.text == nfc(one.text) for one in utterances(200, seed=0))


@pytest.mark.parametrize("word", WORDS)
def test_a_misspelt_word_is_another_single_word(word: str) -> None:
    slips = {misspell(word, stream(at)) for at in range(60)}
    assert word not in slips
    assert all(nfc(slip).split() == [slip] for slip in slips)


def test_a_tone_is_split_from_its_letter_and_letter_marks_stay() -> None:
    assert [split_tone(letter) for letter in "ấộđư"] == [
        ("â", "\u0301"),
        ("ô", "\u0323"),
        ("đ", ""),
        ("ư", ""),
    ]


@pytest.mark.parametrize("rate", [0.0, 0.02, 0.1, 0.3])
def test_errors_come_at_the_rate_asked_for(rate: float) -> None:
    said = [one.text for one in utterances(6000, seed=5)]
    written = [with_errors(text, rate, stream(5, "errors", at)) for at, text in enumerate(said)]
    # About 24,000 words: four standard errors around the rate.
    assert jiwer.wer(said, written) == pytest.approx(rate, abs=4 * (rate * (1 - rate) / 24_000) ** 0.5)


def test_a_poor_recogniser_errs_about_as_often_as_it_is_told_and_never_writes_nothing() -> None:
    said = [one.text for one in utterances(2000, seed=5)]
    heard = [misheard(text, 0.3, stream(6, at)) for at, text in enumerate(said)]
    assert jiwer.wer(said, heard) == pytest.approx(0.3, abs=0.02)
    worst = [misheard(text, 1.0, stream(6, at)) for at, text in enumerate(said)]
    assert all(text == " ".join(text.split()) != "" for text in worst)
