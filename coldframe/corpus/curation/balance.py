"""How much of each source to read: bounded by what there is of it, and tilted towards the small and the good.

In proportion to tokens is hard to beat (docs/corpus.md), so that is where a balance begins, and it stays within half
and twice of it: shares go with tokens to the power of three quarters (between proportional and the square root that
Conneau and Lample 2019 use for languages) times quality. No source is read more than four times, from where on
repetition costs (Muennighoff et al. 2023).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from coldframe.corpus.filters.texts import Floats

POWER, WIDEST = 0.75, 2.0
MOST_EPOCHS = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """How much of a source there is, and how much of it to read."""

    source: str
    tokens: int
    natural: float
    """Its share of all tokens."""
    low: float
    high: float
    """Shares between which it should be."""
    proposed: float
    epochs: float | None
    """How often it would be read; None where the tokens of training are not known."""


def balance(
    names: Sequence[str], tokens: Sequence[int], quality: Sequence[float], training_tokens: float | None
) -> list[Balance]:
    """A line for each source; `quality` is 0 to 100."""
    sizes = np.maximum(np.array(tokens, dtype=np.float64), 1.0)
    natural = sizes / sizes.sum()
    low, high = natural / WIDEST, np.minimum(natural * WIDEST, 1.0)
    if training_tokens:
        high = np.minimum(high, np.maximum(MOST_EPOCHS * sizes / training_tokens, natural))
    wanted = sizes**POWER * np.maximum(np.array(quality, dtype=np.float64), 1.0) / 100
    proposed = _within(wanted, low, high)
    return [
        Balance(
            source=name,
            tokens=int(tokens[at]),
            natural=round(float(natural[at]), 4),
            low=round(float(low[at]), 4),
            high=round(float(high[at]), 4),
            proposed=round(float(proposed[at]), 4),
            epochs=round(float(proposed[at] * training_tokens / sizes[at]), 2) if training_tokens else None,
        )
        for at, name in enumerate(names)
    ]


def _within(wanted: Floats, low: Floats, high: Floats) -> Floats:
    """Shares in proportion to `wanted` within their bounds, which come to 1: the factor is found by halving."""
    smallest, largest = 0.0, float((high / wanted).max())
    for _ in range(100):
        factor = (smallest + largest) / 2
        if np.clip(wanted * factor, low, high).sum() > 1.0:
            largest = factor
        else:
            smallest = factor
    shares: Floats = np.clip(wanted * smallest, low, high)
    shares /= shares.sum()
    return shares
