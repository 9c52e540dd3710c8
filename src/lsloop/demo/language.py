"""Small language of 22 Vietnamese words and 22 English ones that mean the same.

Sentences mix them.
"""

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from numpy.random import Generator

from lsloop.demo.chance import stream
from lsloop.values.text import nfc

Language = Literal["vi", "en", "cs"]
"""Vietnamese, English, or code-switched: both in one sentence."""

LANGUAGES: tuple[Language, ...] = ("vi", "en", "cs")
SPEAKERS = 20

TONES = ("", "\u0301", "\u0300", "\u0309", "\u0303", "\u0323")
"""How the six tones of Vietnamese are written: level, rising, falling, asking, broken, heavy."""

SUBJECTS = {"tôi": "i", "bạn": "you", "mẹ": "mom", "họ": "they"}
VERBS = {"mua": "buy", "bán": "sell", "thấy": "see", "thích": "like", "cần": "need"}
FOOD = {"cơm": "rice", "nước": "water", "sữa": "milk", "trà": "tea", "cá": "fish"}
OBJECTS = {"nhà": "house", "sách": "book", **FOOD}
ADJECTIVES = {"mới": "new", "cũ": "old", "lớn": "big", "nhỏ": "small"}
TIMES = {"nay": "today", "mai": "tomorrow"}

VIETNAMESE = {**SUBJECTS, **VERBS, **OBJECTS, **ADJECTIVES, **TIMES}
"""Every Vietnamese word → the English word that means the same."""

WORDS = (*VIETNAMESE, *VIETNAMESE.values())


@dataclass(frozen=True)
class Utterance:
    """Words that one speaker really said.

    The product never sees this; it is what annotators hear.
    """

    external_id: str
    speaker: str
    language: Language
    text: str
    translation: str


def utterances(count: int, seed: int) -> list[Utterance]:
    """Return the first `count` utterances of the world called `seed`.

    A longer list starts with the shorter one.
    """
    return [utterance(number, seed) for number in range(1, count + 1)]


def utterance(number: int, seed: int) -> Utterance:
    """The utterance with this number of the world called `seed`."""
    rng = stream(seed, "utterance", number)
    speaker, language = int(rng.integers(SPEAKERS)) + 1, LANGUAGES[int(rng.integers(len(LANGUAGES)))]
    text, translation = sentence(rng, language)
    return Utterance(f"clip-{number:05d}", f"speaker-{speaker:02d}", language, text, translation)


def sentence(rng: Generator, language: Language) -> tuple[str, str]:
    """Make a sentence of 3 to 5 words, and its translation.

    The translation is English, or Vietnamese if the sentence is English itself.
    """
    slots = [SUBJECTS, VERBS, OBJECTS]
    slots += [slot for slot in (ADJECTIVES, TIMES) if rng.random() < 0.5]
    vietnamese = [list(slot)[int(rng.integers(len(slot)))] for slot in slots]
    english = [VIETNAMESE[word] for word in vietnamese]
    is_english = _languages(rng, language, len(slots))
    spoken = [e if use else v for v, e, use in zip(vietnamese, english, is_english, strict=True)]
    described = ADJECTIVES in slots
    # The adjective stands before an English noun and after a Vietnamese one.
    meaning = _in_order(vietnamese, False) if language == "en" else _in_order(english, described)
    return _in_order(spoken, described and is_english[2]), meaning


def _languages(rng: Generator, language: Language, count: int) -> list[bool]:
    """Choose per word whether it is said in English.

    A code-switched sentence has at least one word of each.
    """
    if language != "cs":
        return [language == "en"] * count
    chosen = [bool(rng.random() < 0.5) for _ in range(count)]
    if len(set(chosen)) == 1:
        chosen[int(rng.integers(count))] ^= True
    return chosen


def _in_order(words: list[str], adjective_first: bool) -> str:
    if adjective_first:
        words = [*words[:2], words[3], words[2], *words[4:]]
    return " ".join(words)


def misspell(word: str, rng: Generator) -> str:
    """Put one slip of the keyboard into `word`.

    A slip is another tone, or a letter twice or missing. The result is never the same word.
    """
    if not word.isascii():
        return _another_tone(word, rng)
    at = int(rng.integers(len(word)))
    twice = len(word) < 3 or rng.random() < 0.5
    return word[:at] + word[at] * 2 * twice + word[at + 1 :]


def _another_tone(word: str, rng: Generator) -> str:
    plain = [split_tone(letter)[0] for letter in word]
    vowels = [at for at, letter in enumerate(plain) if letter in "aăâeêioôơuưy"]
    others = [other for tone in TONES if (other := _toned(plain, vowels[-1], tone)) != word]
    return others[int(rng.integers(len(others)))]


def split_tone(letter: str) -> tuple[str, str]:
    """A letter without its tone, and the tone: `ấ` is `â` and the rising one."""
    marks = unicodedata.normalize("NFD", letter)
    tone = next((mark for mark in marks if mark in TONES), "")
    return nfc(marks.replace(tone, "")) if tone else letter, tone


def _toned(plain: list[str], at: int, tone: str) -> str:
    return nfc("".join([*plain[: at + 1], tone, *plain[at + 1 :]]))


Slip = Callable[[str, Generator], str]


def with_errors(text: str, rate: float, rng: Generator, slip: Slip = misspell) -> str:
    """Put each word of `text` through `slip` with probability `rate`.

    So `rate` is its word error rate.
    """
    return " ".join(slip(word, rng) if rng.random() < rate else word for word in text.split())


def misheard(text: str, rate: float, rng: Generator) -> str:
    """Return `text` as a poor recogniser writes it.

    Words are misspelt, taken for others, or lost. It is never empty.
    """
    heard = with_errors(text, rate, rng, _mishear).split()
    return " ".join(heard) or misspell(text.split()[0], rng)


def _mishear(word: str, rng: Generator) -> str:
    kind = rng.random()
    if kind < 0.6:
        return misspell(word, rng)
    if kind < 0.85:
        return WORDS[(WORDS.index(word) + int(rng.integers(1, len(WORDS)))) % len(WORDS)]
    return ""
