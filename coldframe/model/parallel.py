"""Data parallelism over torch.distributed: the same model on every rank, gradients summed, decisions made by rank 0.

Started by torchrun (gloo on a CPU, NCCL on GPUs); without it there is one rank and nothing here does anything.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from coldframe.run.starting import end_with_parent

#: Ranks wait for each other as long as a pause lasts.
_PATIENCE = timedelta(days=365)
#: Numbers summed in one message: few messages, and little memory beside the gradients.
_BUCKET = 1 << 23


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranks:
    """This process among its peers."""

    rank: int = 0
    count: int = 1
    local: int = 0

    @property
    def leads(self) -> bool:
        """Whether this process records, saves and decides."""
        return self.rank == 0


def join_ranks(device: str) -> Ranks:
    """Join the process group that torchrun prepared; a single rank when it did not."""
    if "RANK" not in os.environ or int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return Ranks()
    end_with_parent()  # a rank whose launcher was killed would wait for its peers for as long as a pause may last
    local = int(os.environ.get("LOCAL_RANK", "0"))
    if device == "cuda":
        torch.cuda.set_device(local)
    if not dist.is_initialized():
        dist.init_process_group("nccl" if device == "cuda" else "gloo", timeout=_PATIENCE)
    return Ranks(rank=dist.get_rank(), count=dist.get_world_size(), local=local)


def leave_ranks() -> None:
    """Leave the process group, if any."""
    if dist.is_initialized():
        dist.destroy_process_group()


def sum_over_ranks(tensors: Sequence[Tensor], ranks: Ranks) -> None:
    """Replace each tensor by its sum over the ranks; the same bits on every rank."""
    if ranks.count == 1:
        return
    bucket: list[Tensor] = []
    size = 0
    for tensor in tensors:
        if bucket and size + tensor.numel() > _BUCKET:
            _sum_bucket(bucket)
            bucket, size = [], 0
        bucket.append(tensor)
        size += tensor.numel()
    if bucket:
        _sum_bucket(bucket)


def from_leader(value: Any, ranks: Ranks) -> Any:
    """Rank 0's value, on every rank; any picklable thing, sent only between the processes of one run."""
    if ranks.count == 1:
        return value
    box = [value]
    dist.broadcast_object_list(box, src=0)
    return box[0]


def any_rank(flag: bool, ranks: Ranks, device: torch.device) -> bool:
    """Whether the flag is set on any rank."""
    if ranks.count == 1:
        return flag
    number = torch.tensor([float(flag)], device=device)
    dist.all_reduce(number)
    return bool(number.item() > 0)


def _sum_bucket(tensors: list[Tensor]) -> None:
    flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
    dist.all_reduce(flat)
    for tensor, part in zip(tensors, flat.split([tensor.numel() for tensor in tensors]), strict=True):
        tensor.copy_(part.view_as(tensor))
