"""Causal self-attention of whole rows on a CPU, the way there and the way back by hand.

Row by row and by blocks of queries, each against only the keys that it may see, as plain matrix products: torch's own
CPU kernel is 1.5 times slower there and back at heads of 64 (docs/log.md). A thread takes whole rows. A row's queries,
keys, values and scores stay in its cache from one product to the next, and nothing is copied to another layout:
everything reads and writes slices of what the projection made.

Kept for the way back are the input, the rotated queries and keys, the values, and the probabilities of short rows;
those of long rows are made again. The gradients of norm and rotation need only what came out of them.

Shapes: B rows, T tokens, C width, H query heads, K key/value heads, G = H/K, D channels a head, R = D/2, N tokens of a
block, E = (H + 2K) * D.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from coldframe.model.fused import inverse_rms
from coldframe.model.rows import for_rows
from coldframe.model.sizes import BLOCK, KEPT_UP_TO
from coldframe.model.uncompiled import uncompiled


class Block(NamedTuple):
    """Queries that are taken together."""

    queries: slice
    keys: slice
    """Those that any of them may see."""
    masked: slice
    """Where among these some may not be seen by every query."""
    mask: Tensor
    """What to add to the scores there: 0 or -inf."""

    @property
    def num_scores(self) -> int:
        """Scores of one head."""
        return (self.queries.stop - self.queries.start) * (self.keys.stop - self.keys.start)


class Heads(NamedTuple):
    """How many there are, and how far they see."""

    queries: int
    keys: int
    window: int

    @property
    def split(self) -> tuple[int, int, int]:
        """Heads of queries, keys and values, as they stand one behind the other."""
        return self.queries, self.keys, self.keys


@uncompiled  # it works in place in parts of its tensors, which a compiler cannot follow
def self_attention(
    x_BTC: Tensor, qkv_EC: Tensor, cos_TR: Tensor, sin_TR: Tensor, added_BTKD: Tensor | None, heads: Heads
) -> Tensor:
    """Projection, norm and rotation of queries and keys, causal attention; gives what the heads saw (B, T, H*D).

    `added` is added to the values. Cosines and sines carry the scale of the scores.
    """
    return _SelfAttention.apply(x_BTC, qkv_EC, cos_TR, sin_TR, added_BTKD, heads)


def attend_blocked(q_BHTD: Tensor, k_BKTD: Tensor, v_BKTD: Tensor, window: int) -> Tensor:
    """Causal attention of rotated queries over their own keys, without a way back; gives B, H, T, D."""
    out = torch.empty_like(q_BHTD)
    blocks = blocks_of(q_BHTD.shape[2], window)
    nothing = [None] * len(blocks)
    for_rows(lambda row: _attend_row(q_BHTD[row], k_BKTD[row], v_BKTD[row], out[row], blocks, nothing), len(out))
    return out


class _SelfAttention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x_BTC: Tensor, qkv_EC: Tensor, cos_TR: Tensor, sin_TR: Tensor, added_BTKD: Tensor | None, heads: Heads
    ) -> Any:
        batch, length, _ = x_BTC.shape
        all_BTHD = torch.nn.functional.linear(x_BTC, qkv_EC).unflatten(2, (heads.queries + 2 * heads.keys, -1))
        qk_BTHD, v_BTKD = all_BTHD.split([heads.queries + heads.keys, heads.keys], dim=2)
        scale = x_BTC.new_empty(*qk_BTHD.shape[:3], 1)
        out = x_BTC.new_empty(batch, length, heads.queries, all_BTHD.shape[3])
        blocks = blocks_of(length, heads.window)
        keeps = length <= KEPT_UP_TO and any(ctx.needs_input_grad)
        kept = x_BTC.new_empty(batch, heads.queries * sum(block.num_scores for block in blocks) if keeps else 0)

        def attend_row(row: int) -> None:
            if added_BTKD is not None:
                v_BTKD[row].add_(added_BTKD[row])
            scale[row] = inverse_rms(qk_BTHD[row])
            rotate(qk_BTHD[row] * scale[row], cos_TR, sin_TR, out=qk_BTHD[row])
            parts = _by_head(all_BTHD[row], heads)
            _attend_row(*parts, out[row].transpose(0, 1), blocks, _kept(kept[row], heads, blocks))

        for_rows(attend_row, batch)
        ctx.save_for_backward(x_BTC, qkv_EC, all_BTHD, scale, cos_TR, sin_TR, kept)
        ctx.heads, ctx.adds = heads, added_BTKD is not None
        return out.flatten(2)

    @staticmethod
    def backward(ctx: Any, grad_BTE: Tensor) -> Any:
        x_BTC, qkv_EC, all_BTHD, scale, cos_TR, sin_TR, kept = ctx.saved_tensors
        heads, length = ctx.heads, x_BTC.shape[1]
        blocks = blocks_of(length, heads.window)
        grad_out = grad_BTE.unflatten(2, (heads.queries, -1))
        grad = torch.empty_like(all_BTHD)
        # the tables carry a scale, so that turning back and forth multiplies by its square
        square = float(cos_TR[0, 0].square() + sin_TR[0, 0].square())
        both = heads.queries + heads.keys

        def attend_row_back(row: int) -> None:
            of_row = x_BTC.new_empty(all_BTHD.shape[2], length, all_BTHD.shape[3])
            parts, grad_parts = _by_head(all_BTHD[row], heads), of_row.split(heads.split)
            seen_grad = grad_out[row].transpose(0, 1)
            _attend_row_back(*parts, seen_grad, grad_parts, blocks, _kept(kept[row], heads, blocks))
            qk, grad_qk = all_BTHD[row].transpose(0, 1)[:both], of_row[:both]
            along = (grad_qk * qk).mean(dim=-1, keepdim=True).mul_(-1 / square)
            grad_qk.addcmul_(qk, along).mul_(scale[row].transpose(0, 1))
            rotate_back(grad_qk, cos_TR, sin_TR, out=grad[row].transpose(0, 1)[:both])
            grad[row].transpose(0, 1)[both:] = of_row[both:]

        for_rows(attend_row_back, len(grad))
        flat = grad.flatten(2).flatten(0, 1)
        grad_x, grad_qkv = (flat @ qkv_EC).view_as(x_BTC), flat.t() @ x_BTC.flatten(0, 1)
        return grad_x, grad_qkv, None, None, grad[:, :, both:] if ctx.adds else None, None


def rotate(x: Tensor, cos: Tensor, sin: Tensor, *, out: Tensor) -> None:
    """Turn the pairs (channel i, channel i + R) of T, H, D by the angles of T, R, into `out`."""
    (left, right), (out_left, out_right) = x.chunk(2, dim=-1), out.chunk(2, dim=-1)
    cos, sin = cos.unsqueeze(1), sin.unsqueeze(1)
    torch.mul(left, cos, out=out_left).addcmul_(right, sin)
    torch.mul(right, cos, out=out_right).addcmul_(left, sin, value=-1)


def rotate_back(x: Tensor, cos: Tensor, sin: Tensor, *, out: Tensor) -> None:
    """The transpose of `rotate`, of H, T, D."""
    (left, right), (out_left, out_right) = x.chunk(2, dim=-1), out.chunk(2, dim=-1)
    torch.mul(left, cos, out=out_left).addcmul_(right, sin, value=-1)
    torch.mul(right, cos, out=out_right).addcmul_(left, sin)


def blocks_of(length: int, window: int) -> list[Block]:
    """The blocks of a row; only where a window is shorter than the row are there keys behind it."""
    found = []
    for start in range(0, length, BLOCK):
        stop = min(start + BLOCK, length)
        first = max(0, start + 1 - window)
        masked = slice(start - first if window >= length else 0, stop - first)
        query = torch.arange(start, stop).unsqueeze(1)
        key = torch.arange(first, stop)[masked]
        hidden = (key > query) | (key <= query - window)
        mask = torch.zeros(hidden.shape).masked_fill_(hidden, float("-inf"))
        found.append(Block(slice(start, stop), slice(first, stop), masked, mask))
    return found


def _by_head(all_THD: Tensor, heads: Heads) -> tuple[Tensor, ...]:
    """Queries, keys and values of a row, each heads, T, D."""
    return all_THD.transpose(0, 1).split(heads.split)


def _kept(kept_S: Tensor, heads: Heads, blocks: list[Block]) -> list[Tensor] | list[None]:
    """Where each block's probabilities of a row are kept (K, G*N, keys); None where they are made again."""
    if not kept_S.numel():
        return [None] * len(blocks)
    parts = kept_S.split([heads.queries * block.num_scores for block in blocks])
    shapes = [(heads.keys, -1, block.keys.stop - block.keys.start) for block in blocks]
    return [part.view(shape) for part, shape in zip(parts, shapes, strict=True)]


def _attend_row(
    q_HTD: Tensor, k_KTD: Tensor, v_KTD: Tensor, out_HTD: Tensor, blocks: list[Block], kept: Sequence[Tensor | None]
) -> None:
    k_KDT, queries, places = k_KTD.mT, _by_block(q_HTD, k_KTD), out_HTD.split(BLOCK, dim=1)
    for block, q, out, place in zip(blocks, queries, places, kept, strict=True):
        probabilities = _probabilities(q, k_KDT[:, :, block.keys], block, out=place)
        out.copy_(_ungrouped(torch.bmm(probabilities, v_KTD[:, block.keys]), out))


def _attend_row_back(
    q_HTD: Tensor,
    k_KTD: Tensor,
    v_KTD: Tensor,
    grad_HTD: Tensor,
    into: tuple[Tensor, ...],
    blocks: list[Block],
    kept: Sequence[Tensor | None],
) -> None:
    """Gradients of a row's rotated queries, of its rotated keys and of its values, written over `into`."""
    grad_q_HTD, grad_k_KTD, grad_v_KTD = into
    grad_k_KTD.zero_()
    grad_v_KTD.zero_()
    k_KDT, v_KDT = k_KTD.mT, v_KTD.mT
    queries, grads, places = _by_block(q_HTD, k_KTD), _by_block(grad_HTD, k_KTD), grad_q_HTD.split(BLOCK, dim=1)
    for block, q, grad, grad_q, place in zip(blocks, queries, grads, places, kept, strict=True):
        probabilities = _probabilities(q, k_KDT[:, :, block.keys], block) if place is None else place
        grad_v_KTD[:, block.keys].baddbmm_(probabilities.mT, grad)
        grad_scores = torch.bmm(grad, v_KDT[:, :, block.keys])
        grad_scores = torch._softmax_backward_data(grad_scores, probabilities, -1, grad_scores.dtype)
        grad_q.copy_(_ungrouped(torch.bmm(grad_scores, k_KTD[:, block.keys]), grad_q))
        grad_k_KTD[:, block.keys].baddbmm_(grad_scores.mT, q)


def _by_block(x_HTD: Tensor, k_KTD: Tensor) -> Sequence[Tensor]:
    """Each block's rows of x, the heads that share a key head one below the other: K, G*N, D."""
    parts = x_HTD.split(BLOCK, dim=1)
    if len(x_HTD) == len(k_KTD):
        return parts
    return [part.reshape(len(k_KTD), -1, part.shape[-1]) for part in parts]


def _ungrouped(x_KND: Tensor, like_HND: Tensor) -> Tensor:
    return x_KND if len(x_KND) == len(like_HND) else x_KND.view(like_HND.shape)


def _probabilities(q_KND: Tensor, k_KDT: Tensor, block: Block, out: Tensor | None = None) -> Tensor:
    """Softmax of a block's scores: K, G*N, keys."""
    scores = torch.bmm(q_KND, k_KDT, out=out)
    by_head = scores if scores.shape[1] == len(block.mask) else scores.unflatten(1, (-1, len(block.mask)))
    by_head[..., block.masked].add_(block.mask)
    return torch.softmax(scores, dim=-1, out=scores)
