"""Attention: both backends against the definition in float64, forward and back, with windows and shared key heads."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from coldframe.model.attention import BLOCK, Backend, attend, causal_mask

SHAPES = [  # heads, key heads, tokens, window
    (1, 1, 1, 1),
    (2, 2, 7, 7),
    (3, 3, BLOCK, BLOCK),
    (2, 2, BLOCK + 1, BLOCK + 1),
    (4, 2, 3 * BLOCK - 5, 3 * BLOCK - 5),
    (4, 1, 2 * BLOCK, 2 * BLOCK),
    (2, 2, 2 * BLOCK + 9, 40),
    (4, 2, 2 * BLOCK + 9, BLOCK),
    (2, 1, 3 * BLOCK, 1),
    (2, 2, 3 * BLOCK, 2 * BLOCK + 3),
]


def by_definition(q: Tensor, k: Tensor, v: Tensor, window: int) -> Tensor:
    """softmax(q k / sqrt(D)) v over what each query may see, written out; any dtype."""
    repeat = q.shape[1] // k.shape[1]
    k, v = k.repeat_interleave(repeat, dim=1), v.repeat_interleave(repeat, dim=1)
    length = q.shape[2]
    hidden = torch.ones(length, length, dtype=torch.bool)
    for query in range(length):
        hidden[query, max(0, query + 1 - window) : query + 1] = False
    return (q @ k.mT / q.shape[-1] ** 0.5).masked_fill(hidden, float("-inf")).softmax(dim=-1) @ v


def made(heads: int, kv_heads: int, length: int) -> list[Tensor]:
    """Queries, keys, values and a gradient; queries sharp enough that the softmax has something to do."""
    generator = torch.Generator().manual_seed(length)

    def random(count: int, scale: float) -> Tensor:
        return torch.randn(2, count, length, 16, generator=generator, dtype=torch.float64) * scale

    return [random(heads, 3.0), random(kv_heads, 1.0), random(kv_heads, 1.0), random(heads, 1.0)]


@pytest.mark.parametrize("backend", ["blocked", "fused"])
@pytest.mark.parametrize("heads, kv_heads, length, window", SHAPES)
def test_forward_and_back(backend: Backend, heads: int, kv_heads: int, length: int, window: int) -> None:
    """Values and all three gradients are those of the definition, to float32's precision."""
    q, k, v, grad = made(heads, kv_heads, length)
    wanted_inputs = [tensor.clone().requires_grad_() for tensor in (q, k, v)]
    wanted = by_definition(*wanted_inputs, window)
    wanted_grads = torch.autograd.grad(wanted, wanted_inputs, grad)
    inputs = [tensor.float().requires_grad_() for tensor in (q, k, v)]
    found = attend(*inputs, window=window, backend=backend)
    grads = torch.autograd.grad(found, inputs, grad.float())
    torch.testing.assert_close(found.double(), wanted, atol=3e-6, rtol=1e-5)
    for name, one, other in zip("qkv", grads, wanted_grads, strict=True):
        error = float((one.double() - other).norm() / (other.norm() + grad.norm()))
        assert error < 3e-6, f"gradient of {name}"


def test_later_tokens_change_nothing_before_them() -> None:
    """Causality, to the bit: what stands later is never looked at."""
    q, k, v, _ = (tensor.float() for tensor in made(2, 2, 2 * BLOCK))
    found = attend(q, k, v, window=2 * BLOCK, backend="blocked")
    k[:, :, 150:], v[:, :, 150:] = 7.0, -7.0
    changed = attend(q, k, v, window=2 * BLOCK, backend="blocked")
    assert torch.equal(found[:, :, :150], changed[:, :, :150])
    assert not torch.equal(found[:, :, 150:], changed[:, :, 150:])


def test_mask_of_later_queries() -> None:
    """Of few queries and many keys, the last query stands at the last key."""
    mask = causal_mask(2, 5, 3, torch.device("cpu"))
    assert mask.tolist() == [[False, True, True, True, False], [False, False, True, True, True]]
