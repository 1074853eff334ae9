"""Sizes: arithmetic that agrees with the model that is built from it."""

from __future__ import annotations

import pytest
import torch

from coldframe.model.sizes import Architecture, sizes_of_depth
from coldframe.model.transformer import Transformer


def test_depth_twelve_is_the_reference() -> None:
    """12 layers, 768 wide, 6 heads of 128, 286M parameters with value embeddings on alternating layers."""
    sizes = sizes_of_depth(12, vocab_size=32768, context=2048)
    assert (sizes.num_layers, sizes.width, sizes.num_heads, sizes.head_dim) == (12, 768, 6, 128)
    assert sizes.num_value_embeddings == 6
    assert round(sizes.num_parameters / 1e6) == 286


@pytest.mark.parametrize("depth, width, head_dim", [
    (1, 64, 64), (4, 256, 64), (7, 448, 64), (8, 512, 128), (9, 640, 128), (11, 768, 128), (20, 1280, 128),
])  # fmt: skip
def test_width_follows_depth(depth: int, width: int, head_dim: int) -> None:
    """64 channels a layer, rounded up to whole heads: of 64 below depth 8, else of 128."""
    sizes = sizes_of_depth(depth, vocab_size=512, context=64)
    assert (sizes.width, sizes.head_dim, sizes.num_heads) == (width, head_dim, width // head_dim)


@pytest.mark.parametrize("architecture", ["native", "plain"])
@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("num_kv_heads", [None, 1])
def test_parameters_are_counted_as_they_are(depth: int, architecture: Architecture, num_kv_heads: int | None) -> None:
    """The arithmetic gives the very number that the built model has."""
    sizes = sizes_of_depth(
        depth, vocab_size=300, context=32, width=128, num_kv_heads=num_kv_heads, architecture=architecture
    )
    with torch.device("meta"):
        model = Transformer(sizes)
    assert sum(parameter.numel() for parameter in model.parameters()) == sizes.num_parameters
    assert sizes.num_parameters == (
        sizes.num_matrix_parameters + sizes.num_table_parameters + sizes.num_scalar_parameters
    )


def test_value_embeddings_alternate_and_the_last_layer_has_one() -> None:
    """Every second layer, counted from the last."""
    for depth in range(1, 9):
        sizes = sizes_of_depth(depth, vocab_size=300, context=32)
        has = [sizes.has_value_embedding(layer) for layer in range(depth)]
        assert has[-1]
        assert all(one != other for one, other in zip(has, has[1:], strict=False))


def test_windows() -> None:
    """S is the last quarter in whole 128s and never more than the context; the last layer always sees everything."""
    sizes = sizes_of_depth(8, vocab_size=300, context=2048, window_pattern="SSSL")
    assert [sizes.window(layer) for layer in range(8)] == [512, 512, 512, 2048, 512, 512, 512, 2048]
    assert sizes_of_depth(2, vocab_size=300, context=64, window_pattern="S").window(0) == 64
    short = sizes_of_depth(2, vocab_size=300, context=512, window_pattern="S")
    assert (short.window(0), short.window(1)) == (128, 512)
    assert short.flops_per_token < sizes_of_depth(2, vocab_size=300, context=512).flops_per_token
