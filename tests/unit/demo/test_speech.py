from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from lsloop.demo.chance import stream
from lsloop.demo.language import SPEAKERS, utterances
from lsloop.demo.speech import PITCH, RATE, pitch, say, write_wav


def strongest(sound: NDArray[np.int16], low: float, high: float) -> float:
    """The strongest frequency between `low` and `high`, in hertz."""
    power = np.abs(np.fft.rfft(sound.astype(float)))
    hertz = np.fft.rfftfreq(len(sound), 1 / RATE)
    within = (hertz >= low) & (hertz <= high)
    return float(hertz[within][power[within].argmax()])


def test_a_clip_is_a_wav_file_of_16_khz_mono_16_bit(tmp_path: Path) -> None:
    sound = say("mẹ cần new sữa", 1.0, stream(0))
    write_wav(tmp_path / "clip.wav", sound)
    info = soundfile.info(tmp_path / "clip.wav")
    assert (info.format, info.subtype, info.samplerate, info.channels) == ("WAV", "PCM_16", 16_000, 1)
    read, _ = soundfile.read(tmp_path / "clip.wav", dtype="int16")
    assert np.array_equal(read, sound)


def test_clips_last_about_one_to_two_seconds() -> None:
    seconds = [len(say(one.text, 1.0, stream(at))) / RATE for at, one in enumerate(utterances(200, seed=0))]
    assert min(seconds) > 0.5
    assert max(seconds) < 2.2
    assert 1.0 < np.mean(seconds) < 1.6


def test_the_same_random_numbers_make_the_same_sound() -> None:
    assert np.array_equal(say("tôi see cá", 1.01, stream(4)), say("tôi see cá", 1.01, stream(4)))


def test_nothing_is_clipped_and_every_letter_is_heard() -> None:
    sound = say("a", 1.0, stream(1))
    middle = sound[len(sound) // 3 : -len(sound) // 3].astype(float)
    edge = sound[:200].astype(float)
    assert np.abs(sound).max() < 32767
    assert middle.std() > 3 * edge.std()


def test_letters_sound_different_and_a_higher_voice_sounds_higher() -> None:
    low = strongest(say("a" * 12, 1.0, stream(2)), 200, 1300)
    assert low == pytest.approx(300, rel=0.02)
    assert strongest(say("b" * 12, 1.0, stream(2)), 200, 1300) > 1.2 * low
    assert strongest(say("a" * 12, 1.03, stream(2)), 200, 1300) == pytest.approx(1.03 * low, rel=0.01)


def test_a_tone_bends_the_lower_note_and_leaves_the_upper_one() -> None:
    level, heavy = say("a" * 12, 1.0, stream(3)), say("ạ" * 12, 1.0, stream(3))
    assert strongest(heavy, 150, 1300) < 0.9 * strongest(level, 150, 1300)
    assert strongest(heavy, 1400, 4000) == pytest.approx(strongest(level, 1400, 4000), rel=0.01)


def test_every_speaker_has_a_voice_near_the_average() -> None:
    voices = {pitch(f"speaker-{number:02d}", seed=0) for number in range(1, SPEAKERS + 1)}
    assert len(voices) == SPEAKERS
    assert all(1 - PITCH <= voice <= 1 + PITCH for voice in voices)
