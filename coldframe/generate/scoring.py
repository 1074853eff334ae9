"""How surprised a model is by tokens that stand already: the loss of each, whatever shares its batch.

Shapes: B rows, T tokens, N tokens over all rows, C width.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import torch

from coldframe.errors import ContextFullError
from coldframe.model.loss import cross_entropy_rows
from coldframe.model.transformer import Transformer

#: Tokens of one forward, padding included.
BATCH_TOKENS = 8192


@torch.inference_mode()  # type: ignore[untyped-decorator]
def token_losses(
    model: Transformer,
    rows: Sequence[npt.ArrayLike],
    *,
    skip: Sequence[int] | None = None,
    batch_tokens: int = BATCH_TOKENS,
) -> list[npt.NDArray[np.float32]]:
    """For each row of token ids, the loss in nats of every token after the first, given those before it.

    `skip` says how many of these each row does not need; they are left out. Rows of similar length share a forward;
    padding stands on the right, where causal attention cannot see it.

    Raises:
        ContextFullError: for a row of more than the context and one.
    """
    arrays = [np.asarray(row, dtype=np.int64) for row in rows]
    _check_lengths(arrays, model.sizes.context)
    skipped = [0] * len(arrays) if skip is None else skip
    losses = [np.empty(0, dtype=np.float32)] * len(arrays)
    for batch in _batches([len(row) - 1 for row in arrays], batch_tokens):
        found = _losses(model, [arrays[index] for index in batch], [skipped[index] for index in batch])
        for index, of_row in zip(batch, found, strict=True):
            losses[index] = of_row
    return losses


def _losses(
    model: Transformer, rows: Sequence[npt.NDArray[np.int64]], skip: Sequence[int]
) -> list[npt.NDArray[np.float32]]:
    width = max(len(row) for row in rows)
    padded = np.zeros((len(rows), width), dtype=np.int64)
    wanted = np.zeros((len(rows), width - 1), dtype=bool)
    for index, (row, first) in enumerate(zip(rows, skip, strict=True)):
        padded[index, : len(row)] = row
        wanted[index, first : len(row) - 1] = True
    tokens_BT = torch.from_numpy(padded).to(model.head.device)
    wanted_BT = torch.from_numpy(wanted).to(model.head.device)
    hidden_NC = model.hidden(tokens_BT[:, :-1])[wanted_BT]  # the head is spared padding and what is not wanted
    losses = cross_entropy_rows(hidden_NC, model.head, tokens_BT[:, 1:][wanted_BT]).cpu().numpy()
    return np.split(losses, np.cumsum(wanted.sum(axis=1))[:-1])


def _batches(lengths: Sequence[int], batch_tokens: int) -> Iterator[list[int]]:
    """Indices of rows that are not empty, longest first, so many together that padded they stay within a forward."""
    batch: list[int] = []
    longest_first = sorted(range(len(lengths)), key=lambda index: (-lengths[index], index))
    for index in filter(lambda index: lengths[index] > 0, longest_first):
        if batch and (len(batch) + 1) * lengths[batch[0]] > batch_tokens:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def _check_lengths(rows: Sequence[npt.NDArray[np.int64]], context: int) -> None:
    longest = max((len(row) for row in rows), default=0)
    if longest > context + 1:
        raise ContextFullError(
            f"a row of {longest} tokens cannot be scored at once by a model with a context of {context}",
            advice=f"cut it into rows of at most {context + 1} tokens",
        )
