"""Keys and values of tokens already read, so that each new token costs one forward of one token.

Shapes: B rows, K key/value heads, T tokens, D channels a head.
"""

from __future__ import annotations

import torch
from torch import Tensor

from coldframe.model.sizes import Sizes


class KVCache:
    """Grows by doubling up to the context. Rows of unequal length are padded on the left: row b begins at `starts[b]`."""

    def __init__(self, sizes: Sizes, *, batch: int = 1, dtype: torch.dtype = torch.float32, device: str = "cpu",
                 starts: Tensor | None = None) -> None:
        self.length = 0
        self.starts = starts
        self._sizes = sizes
        shape = (sizes.num_layers, batch, sizes.num_kv_heads, min(sizes.context, 64), sizes.head_dim)
        self._keys = torch.empty(shape, dtype=dtype, device=device)
        self._values = torch.empty(shape, dtype=dtype, device=device)

    def reserve(self, num_tokens: int) -> None:
        """Make room for so many more tokens."""
        needed, room = self.length + num_tokens, self._keys.shape[3]
        assert needed <= self._sizes.context, f"{needed} tokens in a context of {self._sizes.context}"
        if needed > room:
            size = min(self._sizes.context, max(needed, 2 * room))
            self._keys, self._values = (self._grown(old, size) for old in (self._keys, self._values))

    def extend(self, layer: int, keys_BKTD: Tensor, values_BKTD: Tensor) -> tuple[Tensor, Tensor]:
        """Store a layer's new keys and values behind the old ones; gives all of them. `advance` ends the step."""
        end = self.length + keys_BKTD.shape[2]
        self._keys[layer, :, :, self.length : end] = keys_BKTD
        self._values[layer, :, :, self.length : end] = values_BKTD
        return self._keys[layer, :, :, :end], self._values[layer, :, :, :end]

    def advance(self, num_tokens: int) -> None:
        """Count tokens whose keys and values every layer has stored."""
        self.length += num_tokens

    def truncate(self, length: int) -> None:
        """Forget all but the first tokens: a conversation that goes on from an earlier turn."""
        assert 0 <= length <= self.length
        self.length = length

    def _grown(self, old: Tensor, size: int) -> Tensor:
        new = torch.empty((*old.shape[:3], size, old.shape[4]), dtype=old.dtype, device=old.device)
        new[:, :, :, : self.length] = old[:, :, :, : self.length]
        return new
