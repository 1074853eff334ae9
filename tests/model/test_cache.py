"""The cache by itself: what it keeps, where queries may look, how much room is left."""

from __future__ import annotations

import pytest
import torch

from coldframe.model.cache import KVCache
from coldframe.model.sizes import sizes_of_depth

SIZES = sizes_of_depth(1, vocab_size=300, context=150, width=8, head_dim=4)


def filled(cache: KVCache, num_tokens: int, batch: int = 1) -> torch.Tensor:
    """Add columns of random keys; gives the keys."""
    keys = torch.randn(batch, SIZES.num_kv_heads, num_tokens, SIZES.head_dim)
    cache.reserve(num_tokens)
    for layer in range(SIZES.num_layers):
        cache.extend(layer, keys, -keys)
    cache.advance(num_tokens)
    return keys


def stored(cache: KVCache, batch: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    nothing = torch.empty(batch, SIZES.num_kv_heads, 0, SIZES.head_dim)
    return cache.extend(0, nothing, nothing)


def test_what_is_stored_survives_growth_and_truncation():
    cache = KVCache(SIZES)
    parts = [filled(cache, length) for length in (1, 70, 79)]
    assert cache.length == 150 and cache.num_left == 0
    keys, values = stored(cache)
    assert torch.equal(keys, torch.cat(parts, dim=2)) and torch.equal(values, -keys)
    cache.truncate(71)
    new = filled(cache, 3)
    assert torch.equal(stored(cache)[0], torch.cat([*parts[:2], new], dim=2)) and cache.num_left == 76


def test_more_than_the_context_is_a_bug():
    cache = KVCache(SIZES)
    filled(cache, 149)
    with pytest.raises(AssertionError, match="2 more tokens where 1 have room"):
        cache.reserve(2)


def test_padding_takes_no_room_from_the_rows_that_are_left():
    cache = KVCache(SIZES, batch=3, starts=torch.tensor([0, 40, 10]))
    keys = filled(cache, 100, batch=3)
    assert cache.num_left == 50
    cache.keep([1, 2])
    assert cache.num_left == 60 and cache.starts.tolist() == [40, 10]
    assert torch.equal(stored(cache, batch=2)[0], keys[1:])
    filled(cache, 60, batch=2)
    cache.keep([0])
    assert cache.num_left == 30 and cache.length == 160


def test_queries_see_themselves_the_past_within_the_window_and_no_padding():
    cache = KVCache(SIZES, batch=2, starts=torch.tensor([0, 3]))
    filled(cache, 4, batch=2)
    cache.reserve(3)
    mask = cache.mask(3, 5)
    for row, start in ((0, 0), (1, 3)):
        for query in range(3):
            seen = [column for column in range(7) if mask[row, 0, query, column]]
            assert seen == [column for column in range(start, 4 + query + 1) if column > 4 + query - 5]
    assert cache.mask(3, 5) is mask


def test_one_new_token_that_sees_everything_needs_no_mask():
    cache = KVCache(SIZES)
    filled(cache, 4)
    cache.reserve(1)
    assert cache.mask(1, 150) is None and cache.mask(1, 5) is None
    assert cache.mask(1, 4).tolist() == [[[[False, True, True, True, True]]]]
