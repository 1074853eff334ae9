"""How the next token is drawn: a pure function of logits, settings, history and each row's own random numbers.

Shapes: B rows, V vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from coldframe.errors import SettingsError

#: Most probable tokens that top-p looks at first; when they do not reach it, it looks at all.
_RANKED = 256
#: Below this, dividing by a temperature overflows float32: the most probable token it is.
_COLDEST = 1e-30


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How to draw and when to end; applied in this order: penalty, temperature, top-k, top-p, min-p."""

    temperature: float = 0.8
    """Divides the logits; 0 always takes the most probable token."""
    top_k: int = 0
    """Keep the k most probable tokens, and those as probable as the k-th; 0 keeps all."""
    top_p: float = 1.0
    """Keep the fewest most probable tokens that together reach this share of what top-k left, and those as probable as
    the last of them; 1 keeps all."""
    min_p: float = 0.0
    """Keep tokens at least this share as probable as the most probable one; 0 keeps all."""
    repetition_penalty: float = 1.0
    """For each ordinary token that stands in the prompt or the answer so far, its logit is divided by this when it
    is positive and multiplied when negative (CTRL, Keskar et al. 2019); special tokens are spared, or no turn would
    end."""
    seed: int = 0
    """The same seed gives the same answer."""
    max_tokens: int = 256
    """Tokens after which the answer is cut off."""
    stop: tuple[str, ...] = ()
    """Texts that end the answer; they are not part of it."""

    def __post_init__(self) -> None:
        _check("temperature", self.temperature, 0, math.inf, "use 0 for the most probable token, 1 for the model's own")
        _check("top_k", self.top_k, 0, math.inf, "use a whole number, or 0 for no limit")
        _check("top_p", self.top_p, 0, 1, "use a share from 0 to 1; 1 keeps all tokens")
        _check("min_p", self.min_p, 0, 1, "use a share from 0 to 1; 0 keeps all tokens")
        _check("repetition_penalty", self.repetition_penalty, 1e-6, math.inf, "use 1 for none, 1.1 for a light one")
        _check("seed", self.seed, -(2**63), 2**63 - 1, "use a whole number of at most 63 bits")
        _check("max_tokens", self.max_tokens, 1, math.inf, "use at least 1")
        for name in ("top_k", "seed", "max_tokens"):
            if not isinstance(getattr(self, name), int):
                raise SettingsError(f"{name} cannot be {getattr(self, name)!r}", advice="use a whole number")
        if isinstance(self.stop, str) or not all(isinstance(text, str) and text for text in self.stop):
            raise SettingsError(f"stop cannot be {self.stop!r}", advice="use a list of texts that are not empty")


def row_generator(seed: int, row: int) -> np.random.Generator:
    """A row's own random numbers: a function of seed and row alone, whatever stands in the batch beside it."""
    return np.random.Generator(np.random.Philox(key=np.array([seed % 2**64, row], dtype=np.uint64)))


def next_tokens(
    logits_BV: Tensor, sampling: Sampling, histories: Sequence[Sequence[int]], generators: Sequence[np.random.Generator]
) -> Tensor:
    """Each row's next token (int64, B); takes one number from each generator, or none at temperature 0.

    `histories` are the tokens that the repetition penalty counts, row by row.
    """
    scores = penalised(logits_BV, histories, sampling.repetition_penalty)
    if torch.are_deterministic_algorithms_enabled():
        scores = scores.cpu()  # there is no deterministic cumulative sum on a GPU
    if sampling.temperature < _COLDEST:
        return scores.argmax(dim=-1).to(logits_BV.device)
    cumulative = probabilities(scores, sampling).double().cumsum(dim=-1)
    total = cumulative[:, -1:]
    uniform = torch.tensor([[generator.random()] for generator in generators], dtype=torch.float64).to(total.device)
    below_total = torch.nextafter(total, torch.zeros_like(total))  # or rounding could pick what has no probability
    drawn = torch.searchsorted(cumulative, torch.minimum(uniform * total, below_total), right=True)
    return drawn.squeeze(-1).clamp(max=logits_BV.shape[-1] - 1).to(logits_BV.device)


def penalised(logits_BV: Tensor, histories: Sequence[Sequence[int]], penalty: float) -> Tensor:
    """Logits after the repetition penalty."""
    if penalty == 1:
        return logits_BV
    scores = logits_BV.clone()
    for row, history in zip(scores, histories, strict=True):
        seen = torch.tensor(list(history), dtype=torch.int64, device=row.device)
        before = row[seen]
        row[seen] = torch.where(before > 0, before / penalty, before * penalty)
    return scores


def probabilities(scores_BV: Tensor, sampling: Sampling) -> Tensor:
    """Probabilities to draw from, not normalised after tokens were ruled out (B, V)."""
    highest = scores_BV.amax(dim=-1, keepdim=True)
    probs = torch.softmax((scores_BV - highest) / sampling.temperature, dim=-1)
    if 0 < sampling.top_k < probs.shape[-1]:
        probs = torch.where(probs >= probs.topk(sampling.top_k).values[:, -1:], probs, 0)
    if sampling.top_p < 1:
        probs = torch.where(probs >= _top_p_floor(probs, sampling.top_p), probs, 0)
    if sampling.min_p > 0:
        probs = torch.where(probs >= sampling.min_p * probs.amax(dim=-1, keepdim=True), probs, 0)
    return probs


def token_logprobs(logits_BV: Tensor, tokens_B: Tensor) -> Tensor:
    """Log-probability of each row's token under the model itself: temperature 1, nothing ruled out (float32, B)."""
    return torch.log_softmax(logits_BV, dim=-1).gather(-1, tokens_B.unsqueeze(-1)).squeeze(-1)


def _top_p_floor(probs_BV: Tensor, share: float) -> Tensor:
    """The smallest probability that belongs to the fewest tokens which together reach a share (B, 1)."""
    wanted = share * probs_BV.double().sum(dim=-1, keepdim=True)
    for num_ranked in (min(_RANKED, probs_BV.shape[-1]), probs_BV.shape[-1]):
        ranked = probs_BV.topk(num_ranked).values
        reached = ranked.double().cumsum(dim=-1)
        if bool((reached[:, -1:] >= wanted).all()):
            break
    last = (reached < wanted).sum(dim=-1, keepdim=True).clamp(max=num_ranked - 1)
    return ranked.gather(-1, last)


def _check(name: str, value: float, low: float, high: float, advice: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high or value == math.inf:
        raise SettingsError(f"{name} cannot be {value!r}", advice=advice)
