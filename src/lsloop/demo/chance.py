"""One seed, many independent streams: adding a draw in one place changes no other."""

from zlib import crc32

from numpy.random import Generator, default_rng


def stream(seed: int, *purpose: str | int) -> Generator:
    """The random numbers for one purpose, the same for ever for the same seed."""
    return default_rng([seed, *(part if isinstance(part, int) else crc32(part.encode()) for part in purpose)])
