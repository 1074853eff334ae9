"""Chunked cross-entropy: loss and gradients of the plain one in float64, with masks, extremes and ragged chunks."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from coldframe.model.loss import cross_entropy_rows, cross_entropy_sum
from coldframe.model.sizes import ROWS_ON_CPU


def made(rows: int, vocab: int, scale: float = 1.0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Hidden rows, a head, targets and a mask that leaves out about a third."""
    generator = torch.Generator().manual_seed(rows)
    hidden = torch.randn(rows, 24, generator=generator, dtype=torch.float64) * scale
    head = torch.randn(vocab, 24, generator=generator, dtype=torch.float64)
    targets = torch.randint(vocab, (rows,), generator=generator)
    mask = (torch.rand(rows, generator=generator) > 0.3).float()
    return hidden, head, targets, mask


def reference(hidden: Tensor, head: Tensor, targets: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Sum, rows, and both gradients times 0.5, in float64."""
    hidden, head = hidden.clone().requires_grad_(), head.clone().requires_grad_()
    rows = F.cross_entropy(hidden @ head.T, targets, reduction="none") * mask
    grads = torch.autograd.grad(0.5 * rows.sum(), [hidden, head])
    return rows.sum().detach(), rows.detach(), *grads


@pytest.mark.parametrize("scale", [0.1, 1.0, 30.0], ids=["flat", "usual", "extreme"])
@pytest.mark.parametrize("rows", [1, 5, ROWS_ON_CPU, ROWS_ON_CPU + 7])
def test_against_the_plain_one(rows: int, scale: float) -> None:
    """Also where a target's probability is below what float32 can hold."""
    hidden, head, targets, mask = made(rows, 50, scale)
    total, losses, grad_hidden, grad_head = reference(hidden, head, targets, mask)
    one, other = hidden.float().requires_grad_(), head.float().requires_grad_()
    found_total, found = cross_entropy_sum(one, other, targets, mask)
    found_grads = torch.autograd.grad(0.5 * found_total, [one, other])
    assert not found.requires_grad
    tolerance = {"atol": 2e-5 * max(1.0, scale**2), "rtol": 2e-5}
    torch.testing.assert_close(found.double(), losses, **tolerance)
    torch.testing.assert_close(found_total.double(), total, **tolerance)
    torch.testing.assert_close(found_grads[0].double(), grad_hidden, **tolerance)
    torch.testing.assert_close(found_grads[1].double(), grad_head, **tolerance)


def test_masked_rows_teach_nothing() -> None:
    """Their loss and their gradient are exactly 0, whatever stands in them; all masked is a loss of 0."""
    hidden, head, targets, _ = made(9, 30)
    mask = torch.tensor([1.0, 0, 1, 1, 0, 0, 1, 1, 0])
    one, other = hidden.float().requires_grad_(), head.float().requires_grad_()
    total, losses = cross_entropy_sum(one, other, targets, mask)
    [grad] = torch.autograd.grad(total, [one])
    assert torch.equal(losses == 0, mask == 0)
    assert torch.equal(grad.abs().sum(dim=1) == 0, mask == 0)
    total, _ = cross_entropy_sum(one, other, targets, torch.zeros(9))
    assert float(total.detach()) == 0.0


def test_without_gradients_it_is_the_same() -> None:
    """Scoring gives the same numbers as training."""
    hidden, head, targets, mask = (tensor.float() if tensor.is_floating_point() else tensor for tensor in made(40, 30))
    with torch.no_grad():
        total, losses = cross_entropy_sum(hidden, head, targets, mask)
    trained, _ = cross_entropy_sum(hidden, head.requires_grad_(), targets, mask)
    torch.testing.assert_close(total, trained.detach())
    torch.testing.assert_close(losses, cross_entropy_rows(hidden, head, targets) * mask)


def test_bfloat16_rows_with_float32_masters() -> None:
    """On a GPU the rows are bfloat16 and the head's gradient is float32; here, on a CPU, the same arithmetic."""
    hidden, head, targets, mask = made(64, 40)
    total, _, grad_hidden, grad_head = reference(hidden, head, targets, mask)
    one, other = hidden.bfloat16().requires_grad_(), head.float().requires_grad_()
    found, _ = cross_entropy_sum(one, other, targets, mask)
    grads = torch.autograd.grad(0.5 * found, [one, other])
    assert (grads[0].dtype, grads[1].dtype, found.dtype) == (torch.bfloat16, torch.float32, torch.float32)
    assert float((found.detach().double() - total).abs() / total) < 0.01
    for one_grad, wanted in zip(grads, (grad_hidden, grad_head), strict=True):
        assert float((one_grad.double() - wanted).norm() / wanted.norm()) < 0.02
