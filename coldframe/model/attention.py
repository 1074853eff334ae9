"""Causal attention, as fast as each device allows.

Shapes: B batch, H query heads, K key/value heads, T tokens, D channels a head.

blocked  on a CPU: `coldframe.model.blocked`, which also knows the way back.
fused    torch's scaled_dot_product_attention: flash attention on CUDA.

Scores are taken as they come: the scale is in the queries and keys (`transformer.rotary_tables`).
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from coldframe.model.blocked import attend_blocked

Backend = Literal["blocked", "fused"]


def attend(q_BHTD: Tensor, k_BKTD: Tensor, v_BKTD: Tensor, *, window: int, backend: Backend) -> Tensor:
    """Causal attention of a whole row: each query sees itself and the window - 1 tokens before it; gives B, H, T, D.

    The blocked one has no way back: training goes through `blocked.self_attention`.
    """
    if backend == "blocked":
        return attend_blocked(q_BHTD, k_BKTD, v_BKTD, window)
    grouped = q_BHTD.shape[1] != k_BKTD.shape[1]
    length = q_BHTD.shape[2]
    mask = None if window >= length else causal_mask(length, length, window, q_BHTD.device)
    return torch.nn.functional.scaled_dot_product_attention(
        q_BHTD, k_BKTD, v_BKTD, attn_mask=mask, is_causal=mask is None, enable_gqa=grouped, scale=1.0
    )


def attend_once(q_BH1D: Tensor, k_BKTD: Tensor, v_BKTD: Tensor, mask_B11T: Tensor | None) -> Tensor:
    """One new query a row over all that came before, as two plain products: on a CPU less to set up than the kernel."""
    batch, num_kv_heads, length, channels = k_BKTD.shape
    q = q_BH1D.reshape(batch * num_kv_heads, -1, channels)  # query heads that share a key head stand together
    k, v = k_BKTD.reshape(-1, length, channels), v_BKTD.reshape(-1, length, channels)
    scores = torch.bmm(q, k.mT)
    if mask_B11T is not None:
        scores.view(batch, -1, length).masked_fill_(~mask_B11T.flatten(1, 2), float("-inf"))
    return torch.bmm(torch.softmax(scores, dim=-1), v).view(q_BH1D.shape)


def causal_mask(num_queries: int, num_keys: int, window: int, device: torch.device) -> Tensor:
    """True where a query may look; the last query stands at the last key."""
    query = torch.arange(num_keys - num_queries, num_keys, device=device).unsqueeze(1)
    key = torch.arange(num_keys, device=device)
    return (key <= query) & (key > query - window)
