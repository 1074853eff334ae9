"""The model: against its definition in float64, with every way of computing it, cached and not, recomputed and not."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from coldframe.model.attention import Backend
from coldframe.model.cache import KVCache
from coldframe.model.fused import EPSILON
from coldframe.model.sizes import GATE_CHANNELS, Architecture, Sizes
from coldframe.model.transformer import QK_SCALE, ROTARY_BASE, Transformer

SIZES = Sizes(
    num_layers=3, width=64, num_heads=4, num_kv_heads=2, head_dim=16, vocab_size=97, context=192, window_pattern="SL"
)


def model(sizes: Sizes = SIZES, backend: Backend = "blocked", *, recompute: bool = False) -> Transformer:
    """A model of which every part takes part: nothing is zero as it is at the start."""
    made = Transformer(sizes, backend=backend, recompute=recompute)
    made.initialise(5)
    generator = torch.Generator().manual_seed(6)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.05)
    return made


def data(length: int, rows: int = 2, vocab: int = SIZES.vocab_size) -> tuple[Tensor, Tensor, Tensor]:
    """Tokens, targets, and a mask that leaves out a few."""
    generator = torch.Generator().manual_seed(7)
    tokens = torch.randint(vocab, (rows, length + 1), generator=generator)
    mask = (torch.rand(rows, length, generator=generator) > 0.2).float()
    return tokens[:, :-1], tokens[:, 1:], mask


def by_definition(model: Transformer, tokens: Tensor) -> Tensor:
    """Logits as the module's page describes the model, in float64, one operation after the other."""
    s = model.sizes
    p = {name: parameter.double() for name, parameter in model.named_parameters()}
    length = tokens.shape[1]

    def norm(x: Tensor) -> Tensor:
        return x / (x.square().mean(dim=-1, keepdim=True) + EPSILON).sqrt()

    angles = torch.arange(length).double().unsqueeze(1) * ROTARY_BASE ** (
        -torch.arange(0, s.head_dim, 2).double() / s.head_dim
    )

    def rotate(x: Tensor) -> Tensor:  # B, H, T, D
        left, right = x.chunk(2, dim=-1)
        return QK_SCALE * torch.cat(
            [left * angles.cos() + right * angles.sin(), right * angles.cos() - left * angles.sin()], dim=-1
        )

    first = x = norm(p["embedding"][tokens])
    for n in range(s.num_layers):
        if s.architecture == "native":
            x = p["stream_scale"][n] * x + p["first_scale"][n] * first
        h = norm(x)
        q, k, v = (h @ p[f"layers.{n}.qkv"].T).split([s.num_heads * s.head_dim, s.kv_width, s.kv_width], dim=-1)
        if s.has_value_embedding(n):
            gate = 2 * torch.sigmoid(h[..., :GATE_CHANNELS] @ p[f"layers.{n}.value_gate"].T)
            v = v + gate.repeat_interleave(s.head_dim, dim=-1) * p[f"value_embeddings.{n}"][tokens]
        q, k, v = (part.unflatten(-1, (-1, s.head_dim)).transpose(1, 2) for part in (q, k, v))
        group = s.num_heads // s.num_kv_heads
        q, k, v = rotate(norm(q)), rotate(norm(k)).repeat_interleave(group, dim=1), v.repeat_interleave(group, dim=1)
        seen = torch.ones(length, length).tril() - torch.ones(length, length).tril(-s.window(n))
        scores = (q @ k.mT / s.head_dim**0.5).masked_fill(seen == 0, float("-inf"))
        x = x + (scores.softmax(dim=-1) @ v).transpose(1, 2).flatten(2) @ p[f"layers.{n}.output"].T
        x = x + F.relu(norm(x) @ p[f"layers.{n}.up"].T).square() @ p[f"layers.{n}.down"].T
    return norm(x) @ p["head"].T


@pytest.mark.parametrize("architecture", ["native", "plain"])
@pytest.mark.parametrize("backend", ["blocked", "fused"])
def test_logits_loss_and_gradients(backend: Backend, architecture: Architecture) -> None:
    """The forward of training, its loss and every parameter's gradient are those of the definition."""
    import dataclasses

    made = model(dataclasses.replace(SIZES, architecture=architecture), backend)
    tokens, targets, mask = data(150)
    wanted = by_definition(made, tokens)
    losses = F.cross_entropy(wanted.flatten(0, 1), targets.flatten(), reduction="none").view(targets.shape) * mask
    wanted_grads = torch.autograd.grad(losses.sum(), list(made.parameters()))
    total, found = made(tokens, targets, mask)
    grads = torch.autograd.grad(total, list(made.parameters()))
    torch.testing.assert_close(found.double(), losses, atol=2e-5, rtol=2e-5)
    torch.testing.assert_close(total.double(), losses.sum(), atol=1e-3, rtol=1e-6)
    for (name, _), one, other in zip(made.named_parameters(), grads, wanted_grads, strict=True):
        assert float((one - other).norm() / other.norm()) < 1e-4, name
    with torch.no_grad():
        logits = made.logits(made.hidden(tokens))
        assert logits.dtype == torch.float32
        torch.testing.assert_close(logits.double(), wanted, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("backend", ["blocked", "fused"])
@pytest.mark.parametrize("split", [[1] * 12, [150, 1, 1], [40, 1, 59, 50], [190, 2]])
def test_cached_is_uncached(backend: Backend, split: list[int]) -> None:
    """Read piece by piece with a cache, windows and shared key heads included: the same logits."""
    made = model(backend=backend)
    tokens, _, _ = data(sum(split))
    with torch.no_grad():
        whole = made.logits(made.hidden(tokens))
        cache = KVCache(SIZES, batch=2)
        parts = [made.logits(made.hidden(piece, cache=cache)) for piece in tokens.split(split, dim=1)]
    torch.testing.assert_close(torch.cat(parts, dim=1), whole, atol=2e-5, rtol=1e-4)


def test_recomputed_is_the_same_to_the_bit() -> None:
    """Keeping activations or making them again on the way back."""
    tokens, targets, mask = data(100)
    results = []
    for recompute in (False, True):
        made = model(recompute=recompute)
        total, _ = made(tokens, targets, mask)
        results.append((total, torch.autograd.grad(total, list(made.parameters()))))
    assert torch.equal(results[0][0], results[1][0])
    assert all(torch.equal(one, other) for one, other in zip(results[0][1], results[1][1], strict=True))


def test_two_models_of_a_seed_are_one() -> None:
    """The same seed, the same bits; another seed, others; and training twice gives the same bits."""
    one, other, third = (Transformer(SIZES, backend="blocked") for _ in range(3))
    one.initialise(1)
    other.initialise(1)
    third.initialise(2)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
    assert not torch.equal(one.embedding, third.embedding)
    tokens, targets, mask = data(100)
    losses = [made(tokens, targets, mask)[0] for made in (one, other)]
    grads = [torch.autograd.grad(loss, list(made.parameters()))
             for loss, made in zip(losses, (one, other), strict=True)]  # fmt: skip
    assert all(torch.equal(a, b) for a, b in zip(*grads, strict=True))


def test_it_begins_indifferent() -> None:
    """Before any step every next token is nearly as likely, and no layer adds anything."""
    made = Transformer(SIZES, backend="blocked")
    made.initialise(0)
    tokens, targets, _ = data(100)
    total, _ = made(tokens, targets, torch.ones(targets.shape))
    assert float(total.detach()) / targets.numel() == pytest.approx(torch.log(torch.tensor(97.0)).item(), abs=0.01)


def test_one_micro_batch_or_several() -> None:
    """Rows forward together or one by one: the same sums, to float32's precision."""
    made = model()
    tokens, targets, mask = data(64, rows=4)
    together = torch.autograd.grad(made(tokens, targets, mask)[0], list(made.parameters()))
    sums = [torch.zeros_like(parameter) for parameter in made.parameters()]
    for row in range(4):
        rows = slice(row, row + 1)
        grads = torch.autograd.grad(made(tokens[rows], targets[rows], mask[rows])[0], list(made.parameters()))
        sums = [total + grad for total, grad in zip(sums, grads, strict=True)]
    for one, other in zip(together, sums, strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-3)


def test_taps_see_and_may_replace() -> None:
    """Every named point is passed once in order; looking changes no bit; replacing changes what follows."""
    made = model()
    tokens, _, _ = data(40)
    seen: list[str] = []

    def look(name: str, activation: Tensor) -> Tensor:
        seen.append(name)
        assert activation.shape == (2, 40, SIZES.width)
        return activation

    def silence(name: str, activation: Tensor) -> Tensor:
        return torch.zeros_like(activation) if name == "layers.1.mlp" else activation

    with torch.no_grad():
        plain = made.hidden(tokens)
        assert torch.equal(made.hidden(tokens, tap=look), plain)
        assert not torch.equal(made.hidden(tokens, tap=silence), plain)
        without = copy.deepcopy(made)
        without.layers[1].down.zero_()
        torch.testing.assert_close(made.hidden(tokens, tap=silence), without.hidden(tokens))
    expected = ["embedding"]
    for layer in range(SIZES.num_layers):
        expected += [f"layers.{layer}.attention", f"layers.{layer}.mlp", f"layers.{layer}.stream"]
    assert seen == [*expected, "final"]


@pytest.mark.parametrize("change", [lambda t: t, lambda t: t.contiguous()], ids=["view", "copy"])
def test_a_later_token_changes_nothing_before_it(change: Callable[[Tensor], Tensor]) -> None:
    """Causality through the whole model, to the bit."""
    made = model()
    tokens, _, _ = data(150)
    with torch.no_grad():
        before = made.hidden(change(tokens))
        tokens = tokens.clone()
        tokens[:, 100:] = (tokens[:, 100:] + 1) % SIZES.vocab_size
        after = made.hidden(change(tokens))
    assert torch.equal(before[:, :100], after[:, :100])
    assert not torch.equal(before[:, 100:], after[:, 100:])
