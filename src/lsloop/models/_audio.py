"""Recordings as a model hears them: one channel, at its rate.

Whatever cannot be read is told in one sentence.
"""

from math import ceil, gcd
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from numpy.typing import NDArray

from lsloop.models import Row, Unreadable

Wave = NDArray[np.float32]

SHORTEST = 0.1
"""Seconds. A shorter recording gets silence behind it: no model's first layers can work on less than a few
frames."""

NO_WORDS = "The model heard no words."
"""A problem and no claim that nobody speaks: a model that has learnt too little hears nothing either, and the
page would hide the box to write in."""

ZEROS = 6
"""How many zero crossings of the sinc filter on each side: more is sharper and slower."""


_BLOCK = 2**18  # frames that are looked at together

_ERRORS = (soundfile.SoundFileError, OSError, ValueError, TypeError, RuntimeError)
"""What a file that is no sound, or a damaged one, makes soundfile raise."""


def seconds(row: Row) -> float:
    """The length of a row's recording in seconds, from its header alone.

    Raises Unreadable.
    """
    path = _path(row)
    try:
        with soundfile.SoundFile(path) as sound:
            frames, rate = sound.frames, sound.samplerate
    except _ERRORS as error:
        raise _unreadable(row) from error
    if frames <= 0:
        raise Unreadable(f"{called(row)} has zero length.")
    return float(frames / rate)


def check(row: Row) -> float:
    """The length of a row's recording in seconds, decoded from beginning to end.

    The header of a recording that was cut off, or that has a damaged block, still says how long it was.
    Raises Unreadable.
    """
    path, heard = _path(row), 0
    try:
        with soundfile.SoundFile(path) as sound:
            rate, wave = sound.samplerate, sound.read(_BLOCK, dtype="float32")
            while len(wave):
                heard += len(wave)
                _check_numbers(row, wave)
                wave = sound.read(_BLOCK, dtype="float32") if len(wave) == _BLOCK else wave[:0]
    except _ERRORS as error:
        raise _unreadable(row) from error
    if not heard:
        raise Unreadable(f"{called(row)} has zero length.")
    return float(heard / rate)


def read(row: Row, rate: int) -> Wave:
    """The recording of a row as one channel at `rate` samples a second.

    Raises Unreadable.
    """
    path = _path(row)
    try:
        wave, its_rate = soundfile.read(path, dtype="float32")
    except _ERRORS as error:
        raise _unreadable(row) from error
    if not len(wave):
        raise Unreadable(f"{called(row)} has zero length.")
    _check_numbers(row, wave)
    mono = resample(wave if wave.ndim == 1 else wave.mean(axis=1), its_rate, rate)
    lacking = int(SHORTEST * rate) - len(mono)
    return np.pad(mono, (0, lacking)) if lacking > 0 else mono


def _check_numbers(row: Row, wave: Wave) -> None:
    if not np.isfinite(wave).all():
        raise Unreadable(f"{called(row)} has samples that are not numbers.")


def resample(wave: Wave, source: int, target: int) -> Wave:
    """Resample `wave` from the rate `source` to the rate `target`.

    By a polyphase filter: a sinc under a Hann window, cut off below the lower half rate. After J. O. Smith,
    Digital Audio Resampling, https://ccrma.stanford.edu/~jos/resample/.
    """
    if source == target:
        return wave
    down, up = source // gcd(source, target), target // gcd(source, target)
    kernels, reach = _kernels(down, up)
    length = ceil(len(wave) * up / down)
    steps = ceil(length / up)
    behind = max(0, (steps - 1) * down + kernels.shape[-1] - reach - len(wave))
    padded = torch.nn.functional.pad(torch.from_numpy(np.ascontiguousarray(wave)), (reach, behind))
    out = torch.nn.functional.conv1d(padded[None, None], kernels, stride=down)
    resampled: Wave = out[0].T.reshape(-1)[:length].numpy()
    return resampled


def _kernels(down: int, up: int) -> tuple[torch.Tensor, int]:
    """One filter for each of the `up` phases, and how many samples it reaches back."""
    cutoff = min(down, up) * 0.99  # a little below the lower rate's half, so that nothing folds back
    reach = ceil(ZEROS * down / cutoff)
    at = torch.arange(-reach, reach + down, dtype=torch.float64)[None] / down
    phase = torch.arange(up, dtype=torch.float64)[:, None] / up
    time = ((at - phase) * cutoff).clamp(-ZEROS, ZEROS)
    window = torch.cos(time * torch.pi / ZEROS / 2) ** 2
    return (torch.sinc(time) * window * cutoff / down).to(torch.float32)[:, None], reach


def called(row: Row) -> str:
    """The recording by the name of its sample.

    In an export, every recording is called audio.wav.
    """
    name, file = row.get("external_id"), Path(str(row.get("media"))).name
    return f"The recording of {name} ({file})" if name else f"The recording {file}"


def _path(row: Row) -> Path:
    media: Any = row.get("media")
    if not media:
        raise Unreadable("The sample has no recording.")
    return Path(media)


def _unreadable(row: Row) -> Unreadable:
    if not _path(row).is_file():
        return Unreadable(f"{called(row)} is missing.")
    return Unreadable(f"{called(row)} cannot be read: it is no sound file or a damaged one.")
