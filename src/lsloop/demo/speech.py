"""Sound of the language: each letter is a chord of two notes.

A Vietnamese tone bends the lower one.

Simple enough for a tiny model to learn on a CPU, and rich enough that it has to: every speaker has a pitch of
their own, letters vary in length and loudness, and every clip has noise.
"""

import wave
from pathlib import Path

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from lsloop.demo.chance import stream
from lsloop.demo.language import TONES, split_tone

RATE = 16_000  # samples a second
LETTER = (0.05, 0.08)  # seconds a letter lasts
EDGE = 0.008  # seconds a letter takes to swell and to fade
SILENCE = 0.04  # seconds before and after the words
NOISE = (12.0, 28.0)  # decibels that the speech stands above the noise
PITCH = 0.03  # how far a speaker's pitch lies from the average, at most
LOUDNESS = 0.1

_LOWER = np.geomspace(300, 1100, 6)  # hertz
_UPPER = np.geomspace(1500, 3600, 6)  # hertz
_LETTERS = {letter: divmod(at, 6) for at, letter in enumerate("abcdefghijklmnopqrstuvwxyzăâđêôơư")}
_BENDS = dict(zip(TONES, ((1, 1), (0.9, 1.2), (1.1, 0.85), (1, 0.8), (0.85, 1.1), (0.8, 0.7)), strict=True))
"""Per tone, how the lower note is scaled at the start of the letter and at its end."""


def pitch(speaker: str, seed: int) -> float:
    """Return the factor by which a speaker's voice scales every frequency."""
    return float(stream(seed, "pitch", speaker).uniform(1 - PITCH, 1 + PITCH))


def say(text: str, voice: float, rng: Generator) -> NDArray[np.int16]:
    """Speak `text` at pitch `voice`: 16 kHz mono.

    A sentence takes one to two seconds.
    """
    lengths = (RATE * rng.uniform(*LETTER, len(text))).astype(int)
    chords = np.array([_chord(letter) for letter in text])
    chords[:, 4] *= rng.uniform(0.7, 1.0, len(text))
    lower, upper, start, end, loud = np.repeat(chords, lengths, axis=0).T
    within = np.arange(lengths.sum()) - np.repeat(lengths.cumsum() - lengths, lengths)
    total = np.repeat(lengths, lengths)
    tone = np.sin(_phase(lower * voice * (start + (end - start) * within / total)))
    tone += 0.7 * np.sin(_phase(upper * voice))
    swell = np.minimum(1, np.minimum(within, total - 1 - within) / (EDGE * RATE))
    return _recorded(tone * loud * swell, rng)


def _chord(letter: str) -> tuple[float, float, float, float, float]:
    """Return the chord of a letter.

    These are lower note and upper note in hertz, the lower one's bend at the start and at the end, and
    loudness.
    """
    if letter == " ":
        return (0, 0, 1, 1, 0)
    plain, tone = split_tone(letter)
    row, column = _LETTERS[plain]
    return (_LOWER[column], _UPPER[row], *_BENDS[tone], 1)


def _phase(hertz: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(2 * np.pi * hertz.cumsum() / RATE)


def _recorded(sound: NDArray[np.float64], rng: Generator) -> NDArray[np.int16]:
    """`sound` with silence around it and noise over it, as 16-bit samples."""
    sound = np.pad(sound, int(SILENCE * RATE))
    noise = np.sqrt(np.square(sound).mean() / 10 ** (rng.uniform(*NOISE) / 10))
    noisy = LOUDNESS * (sound + rng.normal(0, noise, len(sound)))
    return (32767 * np.clip(noisy, -1, 1)).astype(np.int16)


def write_wav(path: Path, sound: NDArray[np.int16]) -> None:
    """Write 16 kHz mono 16-bit samples as a WAV file."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(sound.astype("<i2").tobytes())
