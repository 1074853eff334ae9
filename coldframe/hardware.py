"""What this machine is: the other half of what a plan depends on."""

from __future__ import annotations

import os
import re
import shutil
import sysconfig
from dataclasses import dataclass
from typing import Literal

import psutil

from coldframe.cgroups import cpu_quota, memory_left
from coldframe.errors import SettingsError
from coldframe.model.memory import PROCESS_BYTES

Device = Literal["cpu", "cuda"]

#: Dense bfloat16 peaks in teraflops by a piece of the card's name, from the vendors' data sheets (sparsity off).
PEAK_TERAFLOPS = {
    "H200": 989,
    "H100 PCIe": 756,
    "H100": 989,
    "A100": 312,
    "L40S": 362,
    "L4": 121,
    "A10": 125,
    "RTX 5090": 209,
    "RTX 5080": 113,
    "RTX 5070 Ti": 88,
    "RTX 4090": 165,
    "RTX 4080": 97,
    "RTX 4070 Ti": 80,
    "RTX 4070": 58,
    "RTX 4060": 30,
    "RTX 3090": 71,
    "RTX 3080": 60,
    "RTX 3070 Ti": 43,
    "RTX 3070": 41,
    "RTX 3060": 25,
}

#: What follows the number of another model of the same family.
_SISTER = r" (?:Ti|SUPER|Laptop|Mobile|D|with Max-Q)\b"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hardware:
    """What a plan needs to know of a machine."""

    device: Device
    name: str
    free_memory: int
    """Bytes that a run may take: on a GPU what is free on it, else what the system can give away."""
    num_cores: int
    ranks: int = 1
    bfloat16: bool = False
    """Whether the device multiplies bfloat16 faster than float32."""
    compiles: bool = False
    """Whether torch.compile has what it needs here."""
    peak_flops: float | None = None
    """The device's peak, floating-point operations a second, where its data sheet is known."""


def detect(device: Literal["auto", "cpu", "cuda"] = "auto", memory: str | None = None) -> Hardware:
    """Look at this machine.

    Raises:
        SettingsError: when a GPU is asked for and there is none, or for a memory that is no amount.
    """
    import torch  # here, so that verbs that never train start at once

    limit = parse_bytes(memory) if memory else None
    ranks = int(os.environ.get("WORLD_SIZE", "1"))
    has_cuda = torch.cuda.is_available()
    if device == "cuda" and not has_cuda:
        raise SettingsError(
            "device cuda was asked for, but torch sees no GPU",
            advice="use --device cpu, or see coldframe doctor; coldframe plan takes any card's --memory",
        )
    if has_cuda and device != "cpu":
        local = int(os.environ.get("LOCAL_RANK", "0"))
        if local >= torch.cuda.device_count():
            raise SettingsError(
                f"rank {local} of this machine has no GPU of its own: there are {torch.cuda.device_count()}",
                advice="start as many processes as there are GPUs (torchrun --nproc-per-node)",
            )
        free = torch.cuda.mem_get_info(local)[0] + PROCESS_BYTES["cuda"]  # the context of this process is there already
        properties = torch.cuda.get_device_properties(local)
        return Hardware(
            device="cuda",
            name=properties.name,
            free_memory=min(free, limit) if limit else free,
            num_cores=num_cores(),
            ranks=ranks,
            bfloat16=properties.major >= 8,
            compiles=_compiles_for_gpu(),
            peak_flops=peak_flops_of(properties.name),
        )
    sharing = int(os.environ.get("LOCAL_WORLD_SIZE", ranks))  # this machine's ranks share its cores and its memory
    free = _available_memory() // sharing
    return Hardware(
        device="cpu",
        name=_cpu_name(),
        free_memory=min(free, limit) if limit else free,
        num_cores=max(1, num_cores() // sharing),
        ranks=ranks,
        bfloat16=_cpu_multiplies_bfloat16(),
        compiles=shutil.which("g++") is not None or shutil.which("clang++") is not None,
    )


def assumed_card(memory: str) -> Hardware:
    """A present-day GPU with so much memory, for a plan made on a machine that has none.

    Raises:
        SettingsError: for an amount that is none.
    """
    return Hardware(
        device="cuda",
        name=f"an assumed card with {memory} free",
        free_memory=parse_bytes(memory),
        num_cores=num_cores(),
        bfloat16=True,
        compiles=True,
    )


def num_cores() -> int:
    """Cores that this process may use: those it is allowed, and no more than a container's quota pays for."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = cpu_quota()
    return allowed if quota is None else max(1, min(allowed, int(quota)))


def parse_bytes(text: str) -> int:
    """Bytes from an amount such as 8GB, 7.5 GiB or 512MB (GB and GiB both count 1024 cubed, as cards are sold).

    Raises:
        SettingsError: for anything else.
    """
    found = re.fullmatch(r"\s*([0-9]*\.?[0-9]+)\s*([KMGT])(?:i?B)?\s*", text, re.IGNORECASE)
    if not found or float(found[1]) <= 0:
        raise SettingsError(f"{text!r} is not an amount of memory", advice="write it like 8GB or 512MB")
    return int(float(found[1]) * 1024 ** (" KMGT".index(found[2].upper())))


def _available_memory() -> int:
    """What the system can give away, and no more than the limit of a container or job leaves."""
    available, left = int(psutil.virtual_memory().available), memory_left()
    return available if left is None else min(available, left)


def _cpu_name() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
        return names[0] if names else "CPU"
    except OSError:
        return "CPU"


def _cpu_multiplies_bfloat16() -> bool:
    """Whether the processor has instructions for bfloat16 products (AVX512-BF16 or AMX), twice as fast as float32."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            flags = next((line for line in file if line.startswith("flags")), "")
    except OSError:
        return False
    return "avx512_bf16" in flags.split() or "amx_bf16" in flags.split()


def _compiles_for_gpu() -> bool:
    """Triton writes the kernels, but a C compiler with Python's headers has to build what starts them."""
    from importlib.util import find_spec

    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    headers = os.path.join(sysconfig.get_paths()["include"], "Python.h")
    return find_spec("triton") is not None and bool(compiler) and os.path.exists(headers)


def peak_flops_of(name: str) -> float | None:
    """The data sheet's peak of a card by its name, whole words only; None for a sister model that is not listed."""
    for piece, teraflops in PEAK_TERAFLOPS.items():
        if re.search(rf"\b{re.escape(piece)}\b(?!{_SISTER})", name):
            return teraflops * 1e12
    return None
