"""The shape of a model and what follows from it by arithmetic alone: parameters and floating-point operations."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

Architecture = Literal["native", "plain"]

#: Rows of logits held at once. On a CPU few enough to stay near the cache, on a GPU enough to fill it.
ROWS_ON_CPU = 512
ROWS_ON_GPU = 2048
#: Queries that blocked attention takes together; what of a block stands above the diagonal is computed and thrown away.
BLOCK = 128
#: Rows of up to so many tokens keep attention's probabilities for the way back, which saves a thirtieth of the time.
#: Those of longer rows would take more memory than everything else; they are made again.
KEPT_UP_TO = 512
#: Channels of the residual stream that decide how much of a value embedding is added.
GATE_CHANNELS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """The shape of a transformer.

    `window_pattern` is tiled over the layers: L sees the whole context, S the last quarter of it, rounded up to a
    multiple of 128; the last layer is always L. `architecture` native is the full model; plain leaves out what other
    engines do not know (value embeddings, residual scalars).
    """

    num_layers: int
    width: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    vocab_size: int
    context: int
    window_pattern: str = "L"
    architecture: Architecture = "native"

    @property
    def mlp_width(self) -> int:
        """Hidden units of a block's MLP."""
        return 4 * self.width

    @property
    def kv_width(self) -> int:
        """Numbers in a token's keys (and values) of one layer."""
        return self.num_kv_heads * self.head_dim

    @property
    def qkv_width(self) -> int:
        """Numbers in a token's queries, keys and values of one layer."""
        return self.num_heads * self.head_dim + 2 * self.kv_width

    def has_value_embedding(self, layer: int) -> bool:
        """Whether a layer looks values up by token: every second one, the last always."""
        return self.architecture == "native" and layer % 2 == (self.num_layers - 1) % 2

    def window(self, layer: int) -> int:
        """How many earlier tokens a layer sees, itself included."""
        short = layer < self.num_layers - 1 and self.window_pattern[layer % len(self.window_pattern)] == "S"
        return min(self.context, math.ceil(self.context / 4 / 128) * 128) if short else self.context

    @property
    def num_value_embeddings(self) -> int:
        """Layers that look values up by token."""
        return sum(self.has_value_embedding(layer) for layer in range(self.num_layers))

    @property
    def num_matrix_parameters(self) -> int:
        """Numbers in the blocks' weight matrices (attention and MLP)."""
        attention = self.qkv_width * self.width + self.width * self.num_heads * self.head_dim
        return self.num_layers * (attention + 2 * self.mlp_width * self.width)

    @property
    def num_table_parameters(self) -> int:
        """Numbers in the token embedding, the value embeddings and the head."""
        return self.vocab_size * (2 * self.width + self.num_value_embeddings * self.kv_width)

    @property
    def num_scalar_parameters(self) -> int:
        """Gates and residual scalars."""
        if self.architecture == "plain":
            return 0
        return 2 * self.num_layers + self.num_value_embeddings * self.num_kv_heads * GATE_CHANNELS

    @property
    def num_parameters(self) -> int:
        """All learned numbers."""
        return self.num_matrix_parameters + self.num_table_parameters + self.num_scalar_parameters

    @property
    def num_scaling_parameters(self) -> int:
        """Matrices and head: what the horizon is reckoned from, as lookups cost nothing per token."""
        return self.num_matrix_parameters + self.vocab_size * self.width

    @property
    def flops_per_token(self) -> int:
        """Floating-point operations to train on one token: 6 per matrix entry, 12 per attended channel and position.

        The convention of PaLM (2022), appendix B; attention counts its window, not the causal half.
        """
        attended = sum(self.window(layer) for layer in range(self.num_layers))
        return 6 * self.num_scaling_parameters + 12 * self.num_heads * self.head_dim * attended


def sizes_of_depth(
    depth: int,
    *,
    vocab_size: int,
    context: int,
    head_dim: int | None = None,
    num_kv_heads: int | None = None,
    width: int | None = None,
    window_pattern: str = "L",
    architecture: Architecture = "native",
) -> Sizes:
    """The model of a depth: 64 channels a layer, rounded up to whole heads of 64 (below depth 8) or 128."""
    head_dim = head_dim or (64 if depth < 8 else 128)
    width = math.ceil((width or 64 * depth) / head_dim) * head_dim
    num_heads = width // head_dim
    return Sizes(
        num_layers=depth,
        width=width,
        num_heads=num_heads,
        num_kv_heads=num_kv_heads or num_heads,
        head_dim=head_dim,
        vocab_size=vocab_size,
        context=context,
        window_pattern=window_pattern,
        architecture=architecture,
    )
