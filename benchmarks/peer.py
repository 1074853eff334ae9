"""The peer's model (nanochat), from its own checkout, in the shape that the benchmarks compare at: heads of 64."""

from __future__ import annotations

import sys
from typing import Any


def peer_model(checkout: str, *, depth: int, context: int, vocab_size: int) -> Any:
    """A freshly initialised model on the CPU; torch's threads and seed are the caller's."""
    sys.path.insert(0, checkout)
    import torch
    from nanochat.gpt import GPT, GPTConfig  # type: ignore[import-not-found]

    config = GPTConfig(
        sequence_len=context,
        vocab_size=vocab_size,
        n_layer=depth,
        n_head=depth,
        n_kv_head=depth,
        n_embd=64 * depth,
        window_pattern="L",
    )
    with torch.device("meta"):
        model = GPT(config)
    model.to_empty(device="cpu")
    model.init_weights()
    return model
