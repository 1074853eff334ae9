"""The model that learns: one forward, with named tap points, for training, probing and speaking alike.

Pre-norm transformer without biases: RMS norm without gain, rotary positions, normalised queries and keys, squared ReLU,
untied embedding and head, on alternating layers an embedding of the token that is added to the attention's values
through a learned gate, and per layer two learned scalars that weigh the stream and the first embedding.

Shapes: B rows, T tokens, C width, H query heads, K key/value heads, D channels a head, V vocabulary.

| parameter               | shape          | begins as                                      | learned by |
|-------------------------|----------------|------------------------------------------------|------------|
| embedding               | V, C           | normal, 0.8                                    | AdamW      |
| head                    | V, C           | normal, 0.001                                  | AdamW      |
| value_embeddings.N      | V, K*D         | uniform, deviation 1/sqrt(C)                   | AdamW      |
| layers.N.qkv            | (H+2K)*D, C    | uniform, deviation 1/sqrt(C)                   | Muon       |
| layers.N.output         | C, H*D         | zero                                           | Muon       |
| layers.N.up             | 4C, C          | uniform, deviation 0.4/sqrt(C)                 | Muon       |
| layers.N.down           | C, 4C          | zero                                           | Muon       |
| layers.N.value_gate     | K, 32          | zero (a gate of 1)                             | AdamW      |
| stream_scale            | layers         | 1                                              | AdamW      |
| first_scale             | layers         | 0.1                                            | AdamW      |
"""

from __future__ import annotations

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from coldframe.model.attention import Backend, attend, attend_once
from coldframe.model.blocked import Heads, self_attention
from coldframe.model.cache import KVCache
from coldframe.model.fused import norm, squared_relu_mlp, weighted_sum
from coldframe.model.loss import cross_entropy_sum
from coldframe.model.sizes import GATE_CHANNELS, Sizes

ROTARY_BASE = 100_000.0
#: Normalised queries and keys would leave every score within +-sqrt(D); this lets attention be sharper.
QK_SCALE = 1.2


class Tap(Protocol):
    """Sees (and may replace) an activation: embedding, layers.N.attention, layers.N.mlp, layers.N.stream, final."""

    def __call__(self, name: str, activation_BTC: Tensor) -> Tensor:
        """Give the activation to go on with."""


class Transformer(nn.Module):
    """The model; `backend` and `compute_dtype` are how it computes here, not what it is."""

    def __init__(self, sizes: Sizes, *, backend: Backend = "fused", compute_dtype: torch.dtype = torch.float32,
                 recompute: bool = False) -> None:
        super().__init__()
        self.sizes, self.backend, self.compute_dtype, self.recompute = sizes, backend, compute_dtype, recompute
        self.embedding = nn.Parameter(torch.empty(sizes.vocab_size, sizes.width))
        self.head = nn.Parameter(torch.empty(sizes.vocab_size, sizes.width))
        self.value_embeddings = nn.ParameterDict({
            str(layer): nn.Parameter(torch.empty(sizes.vocab_size, sizes.kv_width))
            for layer in range(sizes.num_layers) if sizes.has_value_embedding(layer)
        })
        self.layers = nn.ModuleList(Layer(sizes, layer) for layer in range(sizes.num_layers))
        if sizes.architecture == "native":
            self.stream_scale = nn.Parameter(torch.empty(sizes.num_layers))
            self.first_scale = nn.Parameter(torch.empty(sizes.num_layers))
        self._rotary: tuple[Tensor, Tensor] | None = None

    @torch.no_grad()
    def initialise(self, seed: int) -> None:
        """Fill every parameter from the seed; the same on every device, as the numbers are drawn on the CPU."""
        generator = torch.Generator().manual_seed(seed)
        deviation = self.sizes.width ** -0.5
        _normal(self.embedding, 0.8, generator)
        _normal(self.head, 0.001, generator)
        for table in self.value_embeddings.values():
            _uniform(table, deviation, generator)
        for layer in self.layers:
            _uniform(layer.qkv, deviation, generator)
            _uniform(layer.up, 0.4 * deviation, generator)
            layer.output.zero_()
            layer.down.zero_()
            if layer.value_gate is not None:
                layer.value_gate.zero_()
        if self.sizes.architecture == "native":
            self.stream_scale.fill_(1.0)
            self.first_scale.fill_(0.1)

    def hidden(self, tokens_BT: Tensor, cache: KVCache | None = None, tap: Tap | None = None) -> Tensor:
        """The final normalised residual stream (B, T, C), ready for the head."""
        start = cache.length if cache is not None else 0
        if cache is not None:
            cache.reserve(tokens_BT.shape[1])
        assert cache is not None or tokens_BT.shape[1] <= self.sizes.context, f"{tokens_BT.shape[1]} tokens at once"
        cos, sin = self._rotary_tables(start, tokens_BT)
        first = norm(F.embedding(tokens_BT, self.embedding).to(self.compute_dtype))
        first = tap("embedding", first) if tap else first
        stream, native = first, self.sizes.architecture == "native"
        scales = list(zip(self.stream_scale.unbind(), self.first_scale.unbind(), strict=True)) if native else []
        for number, layer in enumerate(self.layers):
            if native:
                stream = weighted_sum(stream, first, *scales[number])
            table = self.value_embeddings[str(number)] if self.sizes.has_value_embedding(number) else None
            arguments = (stream, tokens_BT, table, cos, sin, self.backend, cache, tap)
            if self.recompute and torch.is_grad_enabled():
                stream = torch.utils.checkpoint.checkpoint(
                    layer, *arguments, use_reentrant=False, preserve_rng_state=False  # nothing in a layer is random
                )
            else:
                stream = layer(*arguments)
            stream = tap(f"layers.{number}.stream", stream) if tap else stream
        if cache is not None:
            cache.advance(tokens_BT.shape[1])
        final = norm(stream)
        return tap("final", final) if tap else final

    def logits(self, hidden_BTC: Tensor) -> Tensor:
        """Scores of every next token, float32."""
        return F.linear(hidden_BTC, self.head.to(hidden_BTC.dtype)).float()

    def forward(self, tokens_BT: Tensor, targets_BT: Tensor, mask_BT: Tensor) -> tuple[Tensor, Tensor]:
        """Summed loss in nats over the targets whose mask is 1, and every target's own loss (B, T; detached)."""
        hidden = self.hidden(tokens_BT).flatten(0, 1)
        total, losses = cross_entropy_sum(hidden, self.head, targets_BT.flatten(), mask_BT.flatten())
        return total, losses.view(targets_BT.shape)

    def prepare_rotary(self, device: torch.device) -> None:
        """Make the tables of a whole context now."""
        self._rotary_tables(0, torch.empty(1, self.sizes.context, device=device))

    def _rotary_tables(self, start: int, tokens_BT: Tensor) -> tuple[Tensor, Tensor]:
        """The cosines and sines of these positions, from tables that grow for a cache with padding before its rows."""
        stop = start + tokens_BT.shape[1]
        if self._rotary is None or self._rotary[0].device != tokens_BT.device or len(self._rotary[0]) < stop:
            length = max(self.sizes.context, stop)
            with torch.inference_mode(False):  # made while sampling, used in training afterwards
                self._rotary = rotary_tables(length, self.sizes.head_dim, tokens_BT.device, self.compute_dtype)
        return self._rotary[0][start:stop], self._rotary[1][start:stop]


class Layer(nn.Module):
    """One block: attention, then MLP, each added to the stream."""

    def __init__(self, sizes: Sizes, number: int) -> None:
        super().__init__()
        self.sizes, self.number = sizes, number
        self.qkv = nn.Parameter(torch.empty(sizes.qkv_width, sizes.width))
        self.output = nn.Parameter(torch.empty(sizes.width, sizes.num_heads * sizes.head_dim))
        self.up = nn.Parameter(torch.empty(sizes.mlp_width, sizes.width))
        self.down = nn.Parameter(torch.empty(sizes.width, sizes.mlp_width))
        self.value_gate = (
            nn.Parameter(torch.empty(sizes.num_kv_heads, GATE_CHANNELS)) if sizes.has_value_embedding(number) else None
        )

    def forward(self, stream_BTC: Tensor, tokens_BT: Tensor, value_table: Tensor | None, cos: Tensor, sin: Tensor,
                backend: Backend, cache: KVCache | None, tap: Tap | None) -> Tensor:
        """The stream after this block (B, T, C)."""
        added = self.attention(norm(stream_BTC), tokens_BT, value_table, cos, sin, backend, cache)
        added = tap(f"layers.{self.number}.attention", added) if tap else added
        stream_BTC = stream_BTC + added
        added = squared_relu_mlp(norm(stream_BTC), self.up, self.down)
        added = tap(f"layers.{self.number}.mlp", added) if tap else added
        return stream_BTC + added

    def attention(self, x_BTC: Tensor, tokens_BT: Tensor, value_table: Tensor | None, cos: Tensor, sin: Tensor,
                  backend: Backend, cache: KVCache | None) -> Tensor:
        """What attention adds to the stream (B, T, C)."""
        s = self.sizes
        added_BTKD = self._looked_up(x_BTC, tokens_BT, value_table)
        if backend == "blocked" and cache is None:
            heads = Heads(s.num_heads, s.num_kv_heads, s.window(self.number))
            seen_BTE = self_attention(x_BTC, self.qkv, cos.squeeze(1), sin.squeeze(1), added_BTKD, heads)
            return linear(seen_BTE, self.output)
        all_BTHD = linear(x_BTC, self.qkv).unflatten(2, (-1, s.head_dim))
        qk_BTHD, v_BTKD = all_BTHD.split([s.num_heads + s.num_kv_heads, s.num_kv_heads], dim=2)
        v = (v_BTKD if added_BTKD is None else v_BTKD + added_BTKD).transpose(1, 2)
        q, k = rotated(norm(qk_BTHD), cos, sin).split([s.num_heads, s.num_kv_heads], dim=1)
        if cache is None:
            out_BHTD = attend(q, k, v, window=s.window(self.number), backend=backend)
        else:
            out_BHTD = attend_cached(
                q, k, v, layer=self.number, window=s.window(self.number), backend=backend, cache=cache
            )
        return linear(out_BHTD.transpose(1, 2).flatten(2), self.output)

    def _looked_up(self, x_BTC: Tensor, tokens_BT: Tensor, value_table: Tensor | None) -> Tensor | None:
        """What the tokens' value embeddings add to the values, through their gate (B, T, K, D)."""
        if value_table is None or self.value_gate is None:
            return None
        gate_BTK1 = 2 * torch.sigmoid(linear(x_BTC[..., :GATE_CHANNELS], self.value_gate)).unsqueeze(-1)
        looked_up = F.embedding(tokens_BT, value_table).to(x_BTC.dtype)
        return gate_BTK1 * looked_up.unflatten(2, (-1, self.sizes.head_dim))


def rotated(x_BTHD: Tensor, cos_T1R: Tensor, sin_T1R: Tensor) -> Tensor:
    """Each head's pairs (channel i, channel i + R) turned by their position's angle; gives B, H, T, D."""
    left, right = x_BTHD.chunk(2, dim=-1)
    turned = torch.cat([left * cos_T1R + right * sin_T1R, right * cos_T1R - left * sin_T1R], dim=-1)
    return turned.transpose(1, 2)


def linear(x: Tensor, weight: Tensor) -> Tensor:
    """x @ weight.T in x's type: the float32 master is cast on the way in, its gradient on the way back."""
    return F.linear(x, weight if weight.dtype == x.dtype else weight.to(x.dtype))


def rotary_tables(length: int, head_dim: int, device: torch.device, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Cosines and sines of every position (T, 1, D/2) for rotary embeddings (Su et al., 2021), scaled.

    Queries and keys are both scaled by QK_SCALE and the fourth root of D, so that their product is the score: nothing
    has to divide it by sqrt(D).
    """
    scale = QK_SCALE * head_dim**-0.25
    frequencies = ROTARY_BASE ** (-torch.arange(0, head_dim, 2, device=device, dtype=torch.float64) / head_dim)
    angles = torch.arange(length, device=device, dtype=torch.float64).unsqueeze(1) * frequencies
    return (
        (angles.cos() * scale).to(dtype).unsqueeze(1),
        (angles.sin() * scale).to(dtype).unsqueeze(1),
    )


def attend_cached(q_BHTD: Tensor, k_BKTD: Tensor, v_BKTD: Tensor, *, layer: int, window: int, backend: Backend,
                  cache: KVCache) -> Tensor:
    """Attention of new queries over everything that a cache holds, to which their keys and values are added first."""
    num_queries, first = q_BHTD.shape[2], cache.length == 0 and cache.starts is None
    keys, values = cache.extend(layer, k_BKTD, v_BKTD)
    if first:  # nothing came before: the same as a whole row
        return attend(q_BHTD, k_BKTD, v_BKTD, window=window, backend=backend)
    mask = cache.mask(num_queries, window)
    if num_queries == 1 and backend == "blocked":
        return attend_once(q_BHTD, keys, values, mask)
    return F.scaled_dot_product_attention(
        q_BHTD, keys, values, attn_mask=mask, enable_gqa=q_BHTD.shape[1] != keys.shape[1], scale=1.0
    )


def _normal(tensor: Tensor, deviation: float, generator: torch.Generator) -> None:
    tensor.copy_(torch.randn(tensor.shape, generator=generator) * deviation)


def _uniform(tensor: Tensor, deviation: float, generator: torch.Generator) -> None:
    tensor.copy_((torch.rand(tensor.shape, generator=generator) * 2 - 1) * deviation * 3**0.5)
