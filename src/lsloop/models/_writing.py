"""Text written token by token, and how sure the model was of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True)
class Written:
    """The tokens of a batch, and the confidence of each element.

    The confidence is the geometric mean of the probabilities of the tokens chosen, in [0, 1].
    """

    tokens: torch.Tensor
    confidence: list[float]


def write(model: Any, inputs: Mapping[str, torch.Tensor], wishes: Mapping[str, Any]) -> Written:
    """Generate tokens, with the confidence of each element.

    What was given before (a prompt, a language) does not count for the confidence, the end token does.
    """
    done = model.generate(
        **inputs, **wishes, return_dict_in_generate=True, output_scores=True, do_sample=False
    )
    if (means := getattr(done, "sequences_scores", None)) is not None:  # beams: they come with their mean
        return Written(done.sequences.cpu(), means.float().exp().clamp(0, 1).tolist())
    chances = model.compute_transition_scores(done.sequences, done.scores, normalize_logits=True).float()
    tokens = done.sequences[:, -chances.shape[1] :]
    counted = _until_end(tokens, model.generation_config) & chances.isfinite()
    means = chances.masked_fill(~counted, 0).sum(1) / counted.sum(1).clamp(min=1)
    return Written(done.sequences.cpu(), means.exp().clamp(0, 1).tolist())


def _until_end(tokens: torch.Tensor, config: Any) -> torch.Tensor:
    """A mask of the tokens chosen: up to the first end token and with it.

    What follows is padding, often the same token.
    """
    ends = config.eos_token_id if isinstance(config.eos_token_id, list) else [config.eos_token_id]
    is_end = torch.isin(tokens, torch.tensor(ends, device=tokens.device)).long()
    return is_end.cumsum(1) - is_end == 0
