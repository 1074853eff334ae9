"""How much memory training takes, predicted from the sizes and held against measurements (benchmarks/memory.py)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

from coldframe.model.sizes import BLOCK, KEPT_UP_TO, ROWS_ON_CPU, ROWS_ON_GPU, Sizes

#: Numbers kept per token and layer for the way back, in units of the width; fitted to benchmarks/memory.py on a CPU.
#: On a GPU they are counted from the operations, not yet measured.
_KEPT_WIDTHS = {"cpu": 17.0, "cuda": 20.0}
#: The same for the one layer whose way back is being computed.
_WORKING_WIDTHS = {"cpu": 12.5, "cuda": 26.0}
#: With recomputation each layer keeps its input and what it was made from; one layer's activations come on top.
_KEPT_WIDTHS_RECOMPUTED = 3.0
#: Python, torch and the libraries of a CPU process, with what samples and evaluations leave behind; a CUDA context.
PROCESS_BYTES = {"cpu": 410_000_000, "cuda": 600 << 20}
#: A CPU process has more with recomputation, for which torch imports its compiler, and with each further replica.
_RECOMPUTATION_BYTES, _REPLICA_BYTES = 85_000_000, 10_000_000
#: What a GPU's allocator holds on top of what it is asked for, as a share.
_FRAGMENTATION = {"cpu": 0.0, "cuda": 0.05}


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryNeed:
    """Bytes at the peak, part by part."""

    parameters: int
    gradients: int
    optimizer: int
    activations: int
    logits: int
    allocator: int
    process: int

    @property
    def total(self) -> int:
        """The peak: all parts together."""
        return sum(asdict(self).values())


def memory_need(
    sizes: Sizes,
    *,
    device: Literal["cpu", "cuda"],
    device_batch: int,
    replicas: int = 1,
    value_bytes: int,
    recompute: bool,
) -> MemoryNeed:
    """Peak memory of a training step with `device_batch` rows a micro-batch and activations of `value_bytes` each.

    Each of the `replicas` has a part of the rows, gradients of its own and a chunk of logits of its own.

    On a CPU the resident memory of the process; on a GPU what torch reserves plus the context.
    """
    num_tokens = device_batch * sizes.context
    tables = sizes.num_table_parameters + sizes.num_scalar_parameters
    one_width = num_tokens * sizes.width * value_bytes
    kept, working = _KEPT_WIDTHS[device], _WORKING_WIDTHS[device]
    if recompute:
        layers_kept, widths = 1, sizes.num_layers * _KEPT_WIDTHS_RECOMPUTED + kept + 2.5 * working
    else:
        layers_kept, widths = sizes.num_layers, sizes.num_layers * kept + working
    scores = _scores_on_cpu(sizes, num_tokens, layers_kept) if device == "cpu" else 0
    casts = sizes.num_matrix_parameters * value_bytes if value_bytes < 4 else 0
    chunk = min(num_tokens, ROWS_ON_GPU if device == "cuda" else replicas * ROWS_ON_CPU)
    logits_bytes = 6 if device == "cpu" else 8 + value_bytes  # GPU: scores, their exponentials within logsumexp, logits
    parts = {
        "parameters": 4 * sizes.num_parameters,
        "gradients": replicas * 4 * sizes.num_parameters,
        "optimizer": 8 * tables + 4 * sizes.num_matrix_parameters,
        "activations": int(widths * one_width) + scores + casts,
        "logits": chunk * sizes.vocab_size * logits_bytes + replicas * 2 * 4 * sizes.vocab_size * sizes.width,
    }
    allocator = int(_FRAGMENTATION[device] * sum(parts.values()))
    process = PROCESS_BYTES[device]
    if device == "cpu":
        process += recompute * _RECOMPUTATION_BYTES + (replicas - 1) * _REPLICA_BYTES
    return MemoryNeed(**parts, allocator=allocator, process=process)


def _scores_on_cpu(sizes: Sizes, num_tokens: int, layers_kept: int) -> int:
    """Bytes of blocked attention's scores: kept for the way back in short rows, else holes of many lengths."""
    numbers = 4 * num_tokens * sizes.num_heads
    if sizes.context <= KEPT_UP_TO:
        return layers_kept * numbers * (sizes.context + BLOCK) // 2
    return numbers * BLOCK * sizes.context // KEPT_UP_TO
