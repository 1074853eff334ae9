"""How a plan is computed on this hardware: type, attention, micro-batch, recomputation, compilation, threads.

None of it changes what is learned, up to rounding; the plan gives each choice with its reason.
"""

from __future__ import annotations

import math
from typing import Any

from coldframe.errors import SettingsError
from coldframe.hardware import Hardware
from coldframe.model.memory import memory_need
from coldframe.model.sizes import Sizes
from coldframe.settings import PlanSettings

#: Tokens of a CPU micro-batch: enough for whole-speed matrix products, few enough for the caches.
CPU_MICRO_BATCH_TOKENS = 4096
MOST_GPU_MICRO_BATCH_TOKENS = 65536
#: More replicas than this have not been measured, and each takes memory for its gradients.
MOST_REPLICAS = 8
#: How much of the free memory a plan may fill.
USABLE = 0.95


def execution(
    settings: PlanSettings, sizes: Sizes, hardware: Hardware, batch: int, why: dict[str, str]
) -> dict[str, Any]:
    """The plan's fields of how it is computed here; their reasons go into `why`.

    Raises:
        SettingsError: for what this device does not do.
    """
    cuda = hardware.device == "cuda"
    if settings.dtype == "bfloat16" and not cuda:
        raise SettingsError("plan.dtype=bfloat16 is for a GPU; a CPU trains in float32", advice="leave plan.dtype out")
    if settings.attention == "blocked" and cuda:
        raise SettingsError("plan.attention=blocked is for a CPU", advice="leave plan.attention out")
    dtype = settings.dtype if settings.dtype != "auto" else "bfloat16" if cuda and hardware.bfloat16 else "float32"
    attention = settings.attention if settings.attention != "auto" else "fused" if cuda else "blocked"
    rows = batch // sizes.context // hardware.ranks
    value_bytes = 2 if dtype == "bfloat16" else 4
    device_batch, recompute = _micro_batch(settings, sizes, hardware, rows, value_bytes, why)
    compiled = settings.compile == "on" or (settings.compile == "auto" and cuda and hardware.compiles)
    why |= {
        "device": f"{hardware.name}",
        "ranks": "processes that share the batch",
        "dtype": "given" if settings.dtype != "auto" else "bfloat16 on a GPU that multiplies it faster, else float32",
        "orthogonal_dtype": "for Muon's iteration: bfloat16 where the processor multiplies it, else float32",
        "attention": "given"
        if settings.attention != "auto"
        else "flash attention"
        if cuda
        else "blocks of queries: 1.5 times torch's CPU kernel at heads of 64",
        "compile": "given"
        if settings.compile != "auto"
        else "pays on a GPU"
        if compiled
        else "does not pay here: the hot parts are fused by hand",
        "threads": "given" if settings.threads else "every core",
        "deterministic": "given" if settings.deterministic else "a CPU always is; a GPU when asked",
        "seed": "first weights and order of reading",
    }
    threads = settings.threads or hardware.num_cores
    replicas = 1
    if cuda or compiled:
        why["replicas"] = "one: a GPU shares the work out itself" if cuda else "one: it is compiled as a whole"
        if settings.replicas not in (None, 1):
            raise SettingsError(
                f"plan.replicas={settings.replicas} is for a CPU without plan.compile", advice="leave plan.replicas out"
            )
    else:
        memory = {"device_batch": device_batch, "value_bytes": value_bytes, "recompute": recompute}
        replicas = _replicas(settings, sizes, hardware, threads, memory, why)
    return {
        "dtype": dtype,
        "orthogonal_dtype": "bfloat16" if hardware.bfloat16 else "float32",
        "attention": attention,
        "device_batch": device_batch,
        "recompute": recompute,
        "compile": compiled,
        "threads": threads,
        "replicas": replicas,
    }


def _micro_batch(
    settings: PlanSettings, sizes: Sizes, hardware: Hardware, rows: int, value_bytes: int, why: dict[str, str]
) -> tuple[int, bool]:
    """Rows a micro-batch and whether to recompute: the most that fits, without recomputation if that fits at all."""
    if settings.device_batch is not None and (settings.device_batch < 1 or rows % settings.device_batch):
        raise SettingsError(
            f"plan.device_batch cannot be {settings.device_batch}", advice=f"it must divide the {rows} rows of a step"
        )
    most = CPU_MICRO_BATCH_TOKENS if hardware.device == "cpu" else MOST_GPU_MICRO_BATCH_TOKENS
    candidates = (
        [settings.device_batch]
        if settings.device_batch
        else [size for size in range(max(1, min(rows, most // sizes.context)), 0, -1) if rows % size == 0]
    )
    choices = {"auto": (False, True), "off": (False,), "on": (True,)}[settings.recompute]
    for recompute in choices:
        for size in candidates:
            if _fits(sizes, hardware, device_batch=size, value_bytes=value_bytes, recompute=recompute):
                why["device_batch"] = (
                    "given"
                    if settings.device_batch
                    else (
                        f"{size * sizes.context:,} tokens keep the device busy"
                        if size == candidates[0]
                        else f"the most rows of {rows} that fit"
                    )
                )
                why["recompute"] = (
                    "needed to fit"
                    if recompute and settings.recompute == "auto"
                    else ("given" if settings.recompute != "auto" else "everything fits without")
                )
                return size, recompute
    why["device_batch"], why["recompute"] = "nothing fits", "nothing fits"
    return candidates[-1], choices[-1]


def _replicas(
    settings: PlanSettings,
    sizes: Sizes,
    hardware: Hardware,
    threads: int,
    memory: dict[str, Any],
    why: dict[str, str],
) -> int:
    """How many threads take rows there and back with gradients of their own: as many as help and fit."""
    rows = memory["device_batch"]
    if settings.replicas:
        if settings.replicas > min(rows, threads):
            raise SettingsError(
                f"plan.replicas cannot be {settings.replicas}",
                advice=f"use at most {min(rows, threads)}: one for each of {threads} thread(s) and {rows} row(s)",
            )
        why["replicas"] = "given"
        return settings.replicas
    # no more than it takes for none to have more rows than the fewest possible
    wanted = min(MOST_REPLICAS, math.ceil(rows / math.ceil(rows / threads)))
    replicas = next((count for count in range(wanted, 1, -1) if _fits(sizes, hardware, replicas=count, **memory)), 1)
    why["replicas"] = (
        f"a thread for each, over the {rows} rows of a micro-batch"
        if replicas == wanted
        else "as many as fit: each has gradients of its own"
    )
    return replicas


def _fits(sizes: Sizes, hardware: Hardware, **memory: Any) -> bool:
    return memory_need(sizes, device=hardware.device, **memory).total <= USABLE * hardware.free_memory
