"""A micro-batch's rows over a processor's threads, there and back: one replica of the model for each thread.

The replicas share the parameters; each has gradients of its own, which are added up in a fixed order when all threads
are done. Two threads that do not wait for each other within a step do 2% (depth 4) to 6% (depth 6) more than two that
share every operation (docs/log.md), for the memory of another set of gradients.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import wait

import torch
from torch import Tensor

from coldframe.model.rows import threads
from coldframe.model.transformer import Transformer

#: Forward and back of a model over rows with this mask; gives their summed loss and each row's own, in nats.
Learn = Callable[[Transformer, Tensor, Tensor], tuple[Tensor, Tensor]]


class Replicas:
    """A model and its replicas, each on a thread of its own."""

    def __init__(self, model: Transformer, *, count: int, num_threads: int) -> None:
        self._model = model
        self._others = [_sharing_weights(model) for _ in range(count - 1)]
        self._pool = threads(count, torch_threads=max(1, num_threads // count))

    def learn(self, learn: Learn, micro_batches: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
        """Every micro-batch over all threads: the summed loss of all rows, and each row's own.

        The gradients are in the model's parameters afterwards, added to what was there.
        """
        for replica in self._others:
            _forget_gradients(replica)  # of a step that ran out of memory
        models = [self._model, *self._others]
        parts = [
            [(rows.tensor_split(len(models))[number], mask.tensor_split(len(models))[number])
             for rows, mask in micro_batches]
            for number in range(len(models))
        ]  # fmt: skip
        futures = [self._pool.submit(_learn_all, learn, model, own) for model, own in zip(models, parts, strict=True)]
        wait(futures)  # an error of one must not leave the others running
        found = [future.result() for future in futures]
        for replica in self._others:
            _move_gradients(replica, self._model)
        by_micro_batch = [outcome for outcomes in zip(*found, strict=True) for outcome in outcomes if outcome]
        losses, row_losses = zip(*by_micro_batch, strict=True)
        return torch.stack(losses).sum(), torch.cat(row_losses)


def _learn_all(
    learn: Learn, model: Transformer, parts: Sequence[tuple[Tensor, Tensor]]
) -> list[tuple[Tensor, Tensor] | None]:
    """One thread's part of every micro-batch; a micro-batch of fewer rows than threads leaves some nothing."""
    return [learn(model, rows, mask) if len(rows) else None for rows, mask in parts]


def _sharing_weights(model: Transformer) -> Transformer:
    with torch.device("meta"):
        replica = Transformer(
            model.sizes, backend=model.backend, compute_dtype=model.compute_dtype, recompute=model.recompute
        )
    replica.load_state_dict(model.state_dict(), assign=True)
    return replica


def _forget_gradients(model: Transformer) -> None:
    for parameter in model.parameters():
        parameter.grad = None


@torch.no_grad()
def _move_gradients(source: Transformer, target: Transformer) -> None:
    for parameter, own in zip(source.parameters(), target.parameters(), strict=True):
        if parameter.grad is not None and own.grad is not None:
            own.grad.add_(parameter.grad)
        parameter.grad = None
