"""A model that fails where it is told to, and answers whatever it is told to."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lsloop.models import Guess, Row


class Mischief:
    """`answers` by the name of the recording: a guess, guesses, or what is raised; all others get a good
    answer."""

    concurrency = 1

    def __init__(self, answers: dict[str, Any]) -> None:
        self.answers = answers

    def predict(self, rows: Sequence[Row]) -> list[Guess]:
        found = []
        for row in rows:
            answer = self.answers.get(Path(row["media"]).stem, Guess({"transcript": "xin chào"}, 0.5, 0.5))
            if isinstance(answer, Exception):
                raise answer
            found += answer if isinstance(answer, list) else [answer]
        return found


def said(value: Any, score: Any = 0.5) -> Guess:
    return Guess(value, score, 0.5)


_ODD: list[Any] = [
    {"transcript": 7}, {"transcript": ["a"]}, {"transcript": {}}, {"transcript": True},
    {"transcript": "a\0b"},
    {"transcript": "a\ud800"}, {"transcript": "a", "quality_flags": 7},
    {"transcript": "a", "quality_flags": ["no such flag"]},
    {"transcript": "a", "confidence": 99}, {"transcript": "a", "confidence": "x"},
    {"transcript": "a", "notes": 2**70},
    {"transcript": "a", "extra": 2**70}, {"transcript": "a", "extra": object()},
    {"transcript": "a", "extra": "\0"},
    [], "text", 7, {1: 2},
]  # fmt: skip

MISCHIEF: list[Any] = [
    ValueError("no"), RuntimeError("CUDA error"), KeyError("x"), TypeError(), RecursionError("deep"),
    OSError(5, "I/O error"),
    [], [said({"transcript": "a"})] * 2, *map(said, _ODD), Guess(None), Guess(None, problem="I heard a \0"),
    *(said({"transcript": "a"}, score) for score in (math.nan, math.inf, "high", [])),
]  # fmt: skip
