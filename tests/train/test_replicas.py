"""Replicas on threads: the gradients and losses of one model over the same rows, and the same bits every time."""

from __future__ import annotations

import threading

import pytest
import torch
from torch import Tensor

from coldframe.model.rows import threads
from coldframe.model.sizes import Sizes
from coldframe.model.transformer import Transformer
from coldframe.train.replicas import Learn, Replicas

SIZES = Sizes(num_layers=2, width=64, num_heads=2, num_kv_heads=2, head_dim=32, vocab_size=97, context=48)


def model() -> Transformer:
    """One whose every matrix does something."""
    made = Transformer(SIZES, backend="blocked")
    made.initialise(0)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return made


def micro_batches(*rows: int) -> list[tuple[Tensor, Tensor]]:
    """Tokens and masks of micro-batches of so many rows; one target in eight does not count."""
    generator = torch.Generator().manual_seed(2)
    tokens = [torch.randint(97, (count, 49), generator=generator) for count in rows]
    return [(part, (torch.rand(len(part), 48, generator=generator) > 0.125).float()) for part in tokens]


def learn(made: Transformer, rows: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """As the trainer does."""
    loss_sum, losses = made(rows[:, :-1], rows[:, 1:], mask)
    (loss_sum / 100).backward()
    return loss_sum.detach(), losses.sum(dim=1)


def outcome(count: int, batches: list[tuple[Tensor, Tensor]], *, learn: Learn = learn) -> list[Tensor]:
    """Total, rows' losses and gradients after learning twice; the second time adds to what is there."""
    made = model()
    replicas = Replicas(made, count=count, num_threads=count)
    for _ in range(2):
        total, row_losses = replicas.learn(learn, batches)
    return [total, row_losses, *(parameter.grad for parameter in made.parameters() if parameter.grad is not None)]


@pytest.mark.parametrize("rows", [(8, 8), (7, 5), (2, 1)])
@pytest.mark.parametrize("count", [2, 3])
def test_the_same_as_one_model(rows: tuple[int, ...], count: int) -> None:
    """Also when the rows cannot be shared out evenly, or there are fewer of them than replicas."""
    batches = micro_batches(*rows)
    made = model()
    for _ in range(2):
        plain = [learn(made, *batch) for batch in batches]
    expected = [
        torch.stack([total for total, _ in plain]).sum(),
        torch.cat([losses for _, losses in plain]),
        *(parameter.grad for parameter in made.parameters() if parameter.grad is not None),
    ]
    found = outcome(count, batches)
    assert len(found) == len(expected) > 10
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)


def test_the_same_bits_whoever_is_first() -> None:
    """Gradients are added up in the replicas' order, not in the order in which they come."""
    batches, last = micro_batches(6), threading.Event()

    def hurried(made: Transformer, rows: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        if torch.equal(rows, batches[0][0][:2]):  # the first part waits until another is done
            last.wait(60)
        found = learn(made, rows, mask)
        last.set()
        return found

    for one, other in zip(outcome(3, batches), outcome(3, batches, learn=hurried), strict=True):
        assert torch.equal(one, other)


def test_what_failed_leaves_nothing_behind() -> None:
    """An error of one replica comes out when all have ended, and no gradient of theirs is in the next step."""
    made, batches = model(), micro_batches(4)
    replicas, running = Replicas(made, count=2, num_threads=2), []

    def fails(made_here: Transformer, rows: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        running.append(1)
        found = learn(made_here, rows, mask)
        running.pop()
        if made_here is made:
            raise RuntimeError("no memory")
        return found

    with pytest.raises(RuntimeError, match="no memory"):
        replicas.learn(fails, batches)
    assert not running
    made.zero_grad()
    replicas.learn(learn, batches)
    once = {name: parameter.grad for name, parameter in made.named_parameters()}
    other = model()
    Replicas(other, count=2, num_threads=2).learn(learn, batches)
    for name, parameter in other.named_parameters():
        assert parameter.grad is None or torch.equal(parameter.grad, once[name]), name  # type: ignore[arg-type]


def test_weights_are_shared() -> None:
    """A change of the model's weights, in place as the optimizer does it, is every replica's."""
    made, batches = model(), micro_batches(4)
    replicas = Replicas(made, count=2, num_threads=2)
    before, _ = replicas.learn(learn, batches)
    with torch.no_grad():
        made.head.zero_()
    after, _ = replicas.learn(learn, batches)
    counted = float(batches[0][1].sum())
    assert float(after) == pytest.approx(counted * float(torch.log(torch.tensor(97.0))), rel=1e-5)
    assert float(before) != pytest.approx(float(after), rel=1e-3)


def test_threads_keep_their_number() -> None:
    """What a thread was told to use is still so at its first operation, and nobody else's number has changed."""
    here = torch.get_num_threads()
    pool = threads(2, torch_threads=1)
    torch.set_num_threads(3)
    try:
        assert pool.submit(torch.get_num_threads).result() == 1
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(here)
