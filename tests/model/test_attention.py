"""Attention: every way of computing it against the definition in float64, with windows and shared key heads."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor

from coldframe.model.attention import attend, causal_mask
from coldframe.model.blocked import Heads, self_attention
from coldframe.model.fused import EPSILON
from coldframe.model.sizes import BLOCK
from coldframe.model.transformer import rotary_tables, rotated

WIDTH, CHANNELS = 24, 16

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
    """softmax(q k) v over what each query may see, written out; any dtype."""
    repeat = q.shape[1] // k.shape[1]
    k, v = k.repeat_interleave(repeat, dim=1), v.repeat_interleave(repeat, dim=1)
    length = q.shape[2]
    hidden = torch.ones(length, length, dtype=torch.bool)
    for query in range(length):
        hidden[query, max(0, query + 1 - window) : query + 1] = False
    return (q @ k.mT).masked_fill(hidden, float("-inf")).softmax(dim=-1) @ v


def there_and_back(
    function: Callable[..., Tensor], inputs: Sequence[Tensor], grad: Tensor
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """What a function gives, and the gradients of its inputs."""
    inputs = [tensor.clone().requires_grad_() for tensor in inputs]
    found = function(*inputs)
    return found, torch.autograd.grad(found, inputs, grad)


def made(heads: int, kv_heads: int, length: int) -> list[Tensor]:
    """Queries, keys, values and a gradient; queries sharp enough that the softmax has something to do."""
    generator = torch.Generator().manual_seed(length)

    def random(count: int, scale: float) -> Tensor:
        return torch.randn(2, count, length, 16, generator=generator, dtype=torch.float64) * scale

    return [random(heads, 0.75), random(kv_heads, 1.0), random(kv_heads, 1.0), random(heads, 1.0)]


@pytest.mark.parametrize("heads, kv_heads, length, window", SHAPES)
def test_fused_forward_and_back(heads: int, kv_heads: int, length: int, window: int) -> None:
    """Values and all three gradients are those of the definition, to float32's precision."""
    q, k, v, grad = made(heads, kv_heads, length)
    wanted, wanted_grads = there_and_back(lambda *parts: by_definition(*parts, window), [q, k, v], grad)
    inputs = [tensor.float() for tensor in (q, k, v)]
    found, grads = there_and_back(lambda *parts: attend(*parts, window=window, backend="fused"), inputs, grad.float())
    torch.testing.assert_close(found.double(), wanted, atol=3e-6, rtol=1e-5)
    for name, one, other in zip("qkv", grads, wanted_grads, strict=True):
        error = float((one.double() - other).norm() / (other.norm() + grad.norm()))
        assert error < 3e-6, f"gradient of {name}"


@pytest.mark.parametrize("heads, kv_heads, length, window", SHAPES)
def test_blocked_forward(heads: int, kv_heads: int, length: int, window: int) -> None:
    """Without a way back, as a prompt is read: the definition's values."""
    q, k, v, _ = made(heads, kv_heads, length)
    found = attend(q.float(), k.float(), v.float(), window=window, backend="blocked")
    torch.testing.assert_close(found.double(), by_definition(q, k, v, window), atol=3e-6, rtol=1e-5)


@pytest.mark.parametrize("adds", [True, False])
@pytest.mark.parametrize("heads, kv_heads, length, window", SHAPES)
def test_self_attention_forward_and_back(heads: int, kv_heads: int, length: int, window: int, adds: bool) -> None:
    """From the projection to what the heads saw: values and every gradient are those of plain operations in float64."""
    generator = torch.Generator().manual_seed(length)
    x, weight, added, grad = (
        torch.randn(shape, generator=generator, dtype=torch.float64)
        for shape in (
            (2, length, WIDTH),
            ((heads + 2 * kv_heads) * CHANNELS, WIDTH),
            (2, length, kv_heads, CHANNELS),
            (2, length, heads * CHANNELS),
        )
    )
    cos, sin = rotary_tables(length, CHANNELS, torch.device("cpu"), torch.float64)

    def by_operations(x: Tensor, weight: Tensor, added: Tensor | None = None) -> Tensor:
        qk, v = (x @ weight.T).unflatten(2, (-1, CHANNELS)).split([heads + kv_heads, kv_heads], dim=2)
        v = v if added is None else v + added
        normed = qk / (qk.square().mean(dim=-1, keepdim=True) + EPSILON).sqrt()
        q, k = rotated(normed, cos, sin).split([heads, kv_heads], dim=1)
        return by_definition(q, k, v.transpose(1, 2), window).transpose(1, 2).flatten(2)

    def by_hand(x: Tensor, weight: Tensor, added: Tensor | None = None) -> Tensor:
        tables = (cos.squeeze(1).float(), sin.squeeze(1).float())
        return self_attention(x, weight, *tables, added, Heads(heads, kv_heads, window))

    inputs = [x, weight, added] if adds else [x, weight]
    wanted, wanted_grads = there_and_back(by_operations, inputs, grad)
    found, grads = there_and_back(by_hand, [tensor.float() for tensor in inputs], grad.float())
    torch.testing.assert_close(found.double(), wanted, atol=2e-5, rtol=1e-5)
    for name, one, other in zip(("x", "weight", "added"), grads, wanted_grads, strict=False):
        error = float((one.double() - other).norm() / (other.norm() + grad.norm()))
        assert error < 1e-5, f"gradient of {name}"


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
