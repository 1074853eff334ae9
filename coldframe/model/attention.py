"""Causal attention, as fast as each device allows.

Shapes: B batch, H query heads, K key/value heads, T tokens, D channels a head.

blocked  CPU training: query blocks against only the keys that they may see, as plain matrix products. Torch's own CPU
         kernel is 1.5 times slower forward and backward at heads of 64 (docs/log.md).
fused    torch's scaled_dot_product_attention: flash attention on CUDA.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from coldframe.model.sizes import BLOCK

Backend = Literal["blocked", "fused"]


def attend(q_BHTD: Tensor, k_BKTD: Tensor, v_BKTD: Tensor, *, window: int, backend: Backend) -> Tensor:
    """Causal attention of a whole row: each query sees itself and the window - 1 tokens before it; gives B, H, T, D."""
    if backend == "blocked":
        return _BlockedAttention.apply(q_BHTD, k_BKTD, v_BKTD, window)
    grouped = q_BHTD.shape[1] != k_BKTD.shape[1]
    length = q_BHTD.shape[2]
    mask = None if window >= length else causal_mask(length, length, window, q_BHTD.device)
    return torch.nn.functional.scaled_dot_product_attention(
        q_BHTD, k_BKTD, v_BKTD, attn_mask=mask, is_causal=mask is None, enable_gqa=grouped
    )


def attend_once(q_BH1D: Tensor, k_BKTD: Tensor, v_BKTD: Tensor, mask_B11T: Tensor | None) -> Tensor:
    """One new query a row over all that came before, as two plain products: on a CPU less to set up than the kernel."""
    batch, num_kv_heads, length, channels = k_BKTD.shape
    q = q_BH1D.reshape(batch * num_kv_heads, -1, channels)  # query heads that share a key head stand together
    k, v = k_BKTD.reshape(-1, length, channels), v_BKTD.reshape(-1, length, channels)
    scores = torch.baddbmm(q.new_empty(1), q, k.mT, beta=0, alpha=channels**-0.5)
    if mask_B11T is not None:
        scores.view(batch, -1, length).masked_fill_(~mask_B11T.flatten(1, 2), float("-inf"))
    return torch.bmm(torch.softmax(scores, dim=-1), v).view(q_BH1D.shape)


def causal_mask(num_queries: int, num_keys: int, window: int, device: torch.device) -> Tensor:
    """True where a query may look; the last query stands at the last key."""
    query = torch.arange(num_keys - num_queries, num_keys, device=device).unsqueeze(1)
    key = torch.arange(num_keys, device=device)
    return (key <= query) & (key > query - window)


class _BlockedAttention(torch.autograd.Function):
    """Attention by blocks of queries; probabilities are made again on the way back: cheaper than keeping them."""

    @staticmethod
    def forward(ctx: Any, q_BHTD: Tensor, k_BKTD: Tensor, v_BKTD: Tensor, window: int) -> Any:
        q, k, v = _grouped(q_BHTD, k_BKTD), k_BKTD.flatten(0, 1), v_BKTD.flatten(0, 1)
        out = torch.empty_like(q)
        for queries, keys, mask in _blocks(q.shape[2], window):
            probabilities = _probabilities(q[:, :, queries], k[:, keys], mask)
            out[:, :, queries] = torch.bmm(probabilities, v[:, keys]).view_as(out[:, :, queries])
        ctx.save_for_backward(q, k, v)
        ctx.window, ctx.kv_shape = window, k_BKTD.shape
        return out.view_as(q_BHTD)

    @staticmethod
    def backward(ctx: Any, grad_BHTD: Tensor) -> Any:
        q, k, v = ctx.saved_tensors
        grad = grad_BHTD.reshape(q.shape)
        grad_q, grad_k, grad_v = torch.empty_like(q), torch.zeros_like(k), torch.zeros_like(v)
        scale = q.shape[-1] ** -0.5
        for queries, keys, mask in _blocks(q.shape[2], ctx.window):
            block_q = q[:, :, queries].flatten(1, 2)
            block_grad = grad[:, :, queries].flatten(1, 2)
            probabilities = _probabilities(q[:, :, queries], k[:, keys], mask)
            grad_v[:, keys].baddbmm_(probabilities.mT, block_grad)
            grad_scores = torch.bmm(block_grad, v[:, keys].mT)
            grad_scores = torch._softmax_backward_data(grad_scores, probabilities, -1, grad_scores.dtype)
            grad_q[:, :, queries] = torch.bmm(grad_scores, k[:, keys]).mul_(scale).view_as(grad_q[:, :, queries])
            grad_k[:, keys].baddbmm_(grad_scores.mT, block_q, alpha=scale)
        return grad_q.view(grad_BHTD.shape), grad_k.view(ctx.kv_shape), grad_v.view(ctx.kv_shape), None


def _grouped(q_BHTD: Tensor, k_BKTD: Tensor) -> Tensor:
    """Queries by the key head they share: B*K, H/K, T, D."""
    batch, kv_heads = k_BKTD.shape[:2]
    return q_BHTD.reshape(batch * kv_heads, -1, *q_BHTD.shape[2:])


def _blocks(length: int, window: int) -> list[tuple[slice, slice, Tensor]]:
    """Per block: its queries, the keys they may see, and a float mask to add to their scores (0 or -inf)."""
    found = []
    for start in range(0, length, BLOCK):
        stop = min(start + BLOCK, length)
        first_key = max(0, start + 1 - window)
        allowed = causal_mask(stop - start, stop - first_key, window, torch.device("cpu"))
        mask = torch.zeros(allowed.shape).masked_fill_(~allowed, float("-inf"))
        found.append((slice(start, stop), slice(first_key, stop), mask))
    return found


def _probabilities(q_NGTD: Tensor, k_NTD: Tensor, mask: Tensor) -> Tensor:
    """Softmax of the masked scores of one block of queries: N, G*T, keys."""
    groups = q_NGTD.shape[1]
    mask = mask.repeat(groups, 1) if groups > 1 else mask
    scores = torch.baddbmm(mask, q_NGTD.flatten(1, 2), k_NTD.mT, alpha=q_NGTD.shape[-1] ** -0.5)
    return torch.softmax(scores, dim=-1, out=scores)
