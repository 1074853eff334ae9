"""How much memory training takes, predicted from the sizes alone and held against measurements (benchmarks/memory.py)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

from coldframe.model.sizes import ROWS_ON_CPU, ROWS_ON_GPU, Sizes

#: Numbers kept per token and layer for the way back, in units of the width: counted from the forward pass (stream 2,
#: norms 2, queries, keys and values twice 3, attention's result 2, squared ReLU and its input 2 * 4, value embedding 1).
_KEPT_WIDTHS = 20.0
#: The same with recomputation: the input of each layer; one layer's own activations then come on top, once.
_KEPT_WIDTHS_RECOMPUTED = 1.0
#: Python, torch and the libraries of a CPU process; a CUDA context with its libraries.
_PROCESS_BYTES = {"cpu": 430 << 20, "cuda": 600 << 20}
#: What the allocator holds on top of what is asked for.
_FRAGMENTATION = 1.04


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryNeed:
    """Bytes at the peak, part by part."""

    parameters: int
    gradients: int
    optimizer: int
    activations: int
    logits: int
    snapshot: int
    process: int

    @property
    def total(self) -> int:
        """The peak: all parts and what the allocator adds to them."""
        return self.process + int(_FRAGMENTATION * (sum(asdict(self).values()) - self.process))


def memory_need(
    sizes: Sizes, *, device: Literal["cpu", "cuda"], device_batch: int, value_bytes: int, recompute: bool
) -> MemoryNeed:
    """Peak memory of a training step with `device_batch` rows a micro-batch and activations of `value_bytes` each.

    On a CPU the resident memory of the process; on a GPU what torch reserves plus the context.
    """
    num_tokens = device_batch * sizes.context
    tables = sizes.num_table_parameters + sizes.num_scalar_parameters
    chunk = min(num_tokens, ROWS_ON_GPU if device == "cuda" else ROWS_ON_CPU)
    layer = int(num_tokens * sizes.width * _KEPT_WIDTHS * value_bytes)
    kept = sizes.num_layers * layer
    if recompute:
        kept = layer + int(sizes.num_layers * num_tokens * sizes.width * _KEPT_WIDTHS_RECOMPUTED * value_bytes)
    casts = sizes.num_matrix_parameters * value_bytes if value_bytes < 4 else 0
    return MemoryNeed(
        parameters=4 * sizes.num_parameters,
        gradients=4 * sizes.num_parameters,
        optimizer=8 * tables + 4 * sizes.num_matrix_parameters,
        activations=kept + casts,
        logits=chunk * sizes.vocab_size * (4 + 2 * value_bytes) + 4 * sizes.vocab_size * sizes.width,
        snapshot=0,
        process=_PROCESS_BYTES[device],
    )
