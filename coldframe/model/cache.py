"""Keys and values of tokens already read, so that each new token costs one forward of one token.

Shapes: B rows, K key/value heads, T tokens, D channels a head.
"""

from __future__ import annotations

import torch
from torch import Tensor

from coldframe.model.sizes import Sizes

#: Tokens that a new cache has room for; it doubles when it is full.
FIRST_ROOM = 64


class KVCache:
    """One forward's memory of earlier tokens, for one row or for several of unequal length.

    Rows of unequal length are padded on the left: row b begins at column `starts[b]`, so that all rows end at the same
    column. Rotary positions are columns; attention sees only their differences, so that the shift does no harm. No row
    may become longer than the context.
    """

    def __init__(
        self,
        sizes: Sizes,
        *,
        batch: int = 1,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
        starts: Tensor | None = None,
    ) -> None:
        self.length = 0
        """Columns filled."""
        self.starts = starts
        """Each row's first column (B), or None when every row begins at column 0."""
        self._padding = 0 if starts is None else int(starts.min())
        self._context = sizes.context
        self._room = min(sizes.context, FIRST_ROOM)
        shape = (batch, sizes.num_kv_heads, self._room, sizes.head_dim)
        self._keys = [torch.empty(shape, dtype=dtype, device=device) for _ in range(sizes.num_layers)]
        self._values = [torch.empty(shape, dtype=dtype, device=device) for _ in range(sizes.num_layers)]
        self._masks: dict[int, Tensor] = {}

    @property
    def num_left(self) -> int:
        """Tokens that the longest row still has room for in the context."""
        return self._context + self._padding - self.length

    def reserve(self, num_tokens: int) -> None:
        """Make room for so many more tokens; begins a step."""
        assert num_tokens <= self.num_left, f"{num_tokens} more tokens where {self.num_left} have room"
        self._masks.clear()
        needed = self.length + num_tokens
        if needed > self._room:
            self._room = max(needed, min(self._context + self._padding, 2 * self._room))
            for layer, (keys, values) in enumerate(zip(self._keys, self._values, strict=True)):
                self._keys[layer], self._values[layer] = self._grown(keys), self._grown(values)

    def extend(self, layer: int, keys_BKTD: Tensor, values_BKTD: Tensor) -> tuple[Tensor, Tensor]:
        """Store a layer's new keys and values behind the old ones; gives all of them. `advance` ends the step."""
        keys, values, num_new = self._keys[layer], self._values[layer], keys_BKTD.shape[2]
        keys.narrow(2, self.length, num_new).copy_(keys_BKTD)
        values.narrow(2, self.length, num_new).copy_(values_BKTD)
        end = self.length + num_new
        return keys.narrow(2, 0, end), values.narrow(2, 0, end)

    def mask(self, num_queries: int, window: int) -> Tensor | None:
        """Where this step's queries may look (B or 1, 1, T, columns), None for everywhere; made once a step."""
        end = self.length + num_queries
        if self.starts is None and num_queries == 1 and end <= window:
            return None
        if window not in self._masks:
            column = torch.arange(end, device=self._keys[0].device)
            query = column[self.length :].unsqueeze(1)
            mask = ((column <= query) & (column > query - window)).view(1, 1, num_queries, end)
            if self.starts is not None:
                padding = column < self.starts.view(-1, 1, 1, 1)
                mask = (mask & ~padding) | (column == query)  # padding sees itself, so that no row of scores is empty
            self._masks[window] = mask
        return self._masks[window]

    def advance(self, num_tokens: int) -> None:
        """Count tokens whose keys and values every layer has stored."""
        self.length += num_tokens

    def truncate(self, length: int) -> None:
        """Forget all but the first tokens: a conversation that goes on from an earlier turn."""
        assert 0 <= length <= self.length
        self.length = length

    def keep(self, rows: list[int]) -> None:
        """Forget all rows but these, so that a finished row costs nothing more."""
        index = torch.tensor(rows, device=self._keys[0].device)
        self._keys = [keys.index_select(0, index) for keys in self._keys]
        self._values = [values.index_select(0, index) for values in self._values]
        if self.starts is not None:
            self.starts = self.starts.index_select(0, index)
            self._padding = int(self.starts.min())

    def _grown(self, old: Tensor) -> Tensor:
        new = old.new_empty((*old.shape[:2], self._room, old.shape[3]))
        new.narrow(2, 0, self.length).copy_(old.narrow(2, 0, self.length))
        return new
