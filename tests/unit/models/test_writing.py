"""How sure a model was counts the tokens it chose, with the end and without what stands behind it."""

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from lsloop.models import _writing

END = 0


class Writer:
    """Writes two answers: one ends after two tokens, the other after three."""

    generation_config = SimpleNamespace(eos_token_id=END)

    def generate(self, **_: Any) -> Any:
        return SimpleNamespace(sequences=torch.tensor([[9, 5, END, END], [9, 5, 6, END]]), scores=())

    def compute_transition_scores(self, sequences: Any, scores: Any, normalize_logits: bool) -> Any:
        return torch.tensor([[0.5, 0.5, 1e-9], [0.5, 0.5, 0.25]]).log()


def test_tokens_behind_the_end_do_not_count() -> None:
    written = _writing.write(Writer(), {}, {})
    assert written.confidence == pytest.approx([0.5, math.prod([0.5, 0.5, 0.25]) ** (1 / 3)])
