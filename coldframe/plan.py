"""The one dial: depth and hardware in, every number of a run out, each with its reason.

Pure arithmetic: the same settings, hardware and corpus always give the same plan. It is printed, stored in run.toml and
never derived again for that run. Golden plans stand in tests/plans/.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from coldframe.errors import MemoryFitError, SettingsError
from coldframe.execution import USABLE, execution
from coldframe.hardware import Hardware
from coldframe.model.memory import MemoryNeed, memory_need
from coldframe.model.sizes import GATE_CHANNELS, Sizes, sizes_of_depth
from coldframe.settings import MOST_STEPS, PlanSettings

#: Tokens per scaling parameter (matrices and head) of a whole run.
TOKENS_PER_PARAMETER = 12
#: The batch that suits a horizon of 2**20 tokens; others grow with the square root of the horizon (docs/log.md).
BATCH_AT_A_MILLION = 2048
#: Where only steps are given, the batch grows with them until it suits so many times the dial's own horizon.
MOST_HORIZONS = 4
#: The width at which the learning rates below were tuned.
RATE_WIDTH = 256
#: Rate times decay, summed over all steps; and the most decay whatever the horizon.
DECAY_OVER_RUN = 10
MOST_DECAY = 1.0
#: Rows of a block of the mixture: a fixed unit, whatever the batch.
BLOCK_ROWS = 64
#: No number of a plan is larger; beyond it arithmetic would be at its end, not only any machine.
_MOST = 10**15


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything that a run was decided to be. Tokens, steps, bytes; rates are peaks that the schedule multiplies."""

    depth: int
    width: int
    num_layers: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    vocab_size: int
    context: int
    window_pattern: str
    architecture: Literal["native", "plain"]
    num_parameters: int
    flops_per_token: int
    num_steps: int
    total_tokens: int
    total_batch_tokens: int
    device_batch: int
    block_rows: int
    embedding_rate: float
    value_embedding_rate: float
    head_rate: float
    matrix_rate: float
    scalar_rate: float
    weight_decay: float
    warm_up: float
    warm_down: float
    final_rate: float
    clip_norm: float
    device: Literal["cpu", "cuda"]
    ranks: int
    dtype: Literal["float32", "bfloat16"]
    orthogonal_dtype: Literal["float32", "bfloat16"]
    attention: Literal["blocked", "fused"]
    recompute: bool
    compile: bool
    threads: int
    replicas: int
    deterministic: bool
    seed: int
    peak_memory_bytes: int
    free_memory_bytes: int
    fits: bool

    @property
    def sizes(self) -> Sizes:
        """The model's shape."""
        return Sizes(**{item.name: getattr(self, item.name) for item in dataclasses.fields(Sizes)})

    @property
    def batch_rows(self) -> int:
        """Rows of one optimizer step over all ranks."""
        return self.total_batch_tokens // self.context

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for TOML and JSON."""
        return dataclasses.asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reasoned:
    """A plan and why each of its numbers is what it is."""

    plan: Plan
    reasons: Mapping[str, str]
    memory: MemoryNeed


def plan_from(values: Mapping[str, Any]) -> Plan:
    """The plan that a run.toml holds."""
    names = {item.name for item in dataclasses.fields(Plan)}
    return Plan(**{name: value for name, value in values.items() if name in names})


def make_plan(settings: PlanSettings, hardware: Hardware, *, seed: int = 0, vocab_size: int | None = None) -> Reasoned:
    """Derive a plan; `vocab_size` is that of a tokenizer that exists already.

    Raises:
        SettingsError: for values that cannot go together.
    """
    why: dict[str, str] = {}
    _check(settings)
    depth = settings.depth if settings.depth is not None else 12 if hardware.device == "cuda" else 4
    why["depth"] = "given" if settings.depth is not None else f"not given; what suits a {hardware.device} device"
    if not 1 <= depth <= 128:
        raise SettingsError(
            f"plan.depth cannot be {depth}", advice="use 1 to 128 layers; 4 for a CPU, 12 for a small GPU"
        )
    sizes = _sizes(settings, depth, vocab_size, why)
    batch, num_steps = _horizon(settings, sizes, hardware, why)
    rates = _rates(settings, sizes, batch, num_steps, why)
    how = execution(settings, sizes, hardware, batch, why)
    need = memory_need(
        sizes,
        device=hardware.device,
        device_batch=how["device_batch"],
        replicas=how["replicas"],
        value_bytes=2 if how["dtype"] == "bfloat16" else 4,
        recompute=how["recompute"],
    )
    plan = Plan(
        depth=depth,
        **dataclasses.asdict(sizes),
        num_parameters=sizes.num_parameters,
        flops_per_token=sizes.flops_per_token,
        num_steps=num_steps,
        total_tokens=num_steps * batch,
        total_batch_tokens=batch,
        block_rows=BLOCK_ROWS,
        clip_norm=settings.clip_norm,
        device=hardware.device,
        ranks=hardware.ranks,
        deterministic=settings.deterministic,
        seed=seed,
        peak_memory_bytes=need.total,
        free_memory_bytes=hardware.free_memory,
        fits=need.total <= USABLE * hardware.free_memory,
        **rates,
        **how,
    )
    why |= {
        "num_parameters": f"{sizes.num_matrix_parameters:,} in matrices, {sizes.num_table_parameters:,} in tables",
        "total_tokens": f"{num_steps:,} steps of {batch:,} tokens",
        "peak_memory_bytes": ", ".join(
            f"{name} {gib(part)}" for name, part in dataclasses.asdict(need).items() if part
        ),
        "clip_norm": "the global gradient norm that no update may exceed",
        "block_rows": "the unit in which the mixture is decided; independent of the batch",
        "free_memory_bytes": "given" if settings.memory else "what is free here now",
        "fits": f"whether the peak stays within {USABLE:.0%} of what is free",
    }
    return Reasoned(plan=plan, reasons=why, memory=need)


def check_fits(reasoned: Reasoned, settings: PlanSettings, hardware: Hardware) -> None:
    """Refuse a plan that does not fit, saying what would; with the settings and the hardware that it was made from.

    Raises:
        MemoryFitError: with the need, what is free, and the nearest change that fits.
    """
    plan = reasoned.plan
    if not plan.fits:
        raise MemoryFitError(
            f"depth {plan.depth} needs {gib(plan.peak_memory_bytes)} with {plan.device_batch} rows a micro-batch, and "
            f"{gib(plan.free_memory_bytes)} are free",
            advice=what_would_fit(settings, hardware, plan),
        )


def gib(num_bytes: int) -> str:
    """Bytes for people."""
    return f"{num_bytes / 2**30:.2f} GiB" if num_bytes >= 2**30 else f"{num_bytes / 2**20:.0f} MiB"


def _check(settings: PlanSettings) -> None:
    """Refuse numbers that no plan can have, whatever the rest is."""
    names = ("width", "num_kv_heads", "threads", "replicas", "num_steps", "num_tokens", "total_batch_tokens", "minutes")
    for name in (*names, "learning_rate", "clip_norm"):
        value = getattr(settings, name)
        if value is not None and not 0 < value < math.inf:
            raise SettingsError(f"plan.{name} cannot be {value}", advice="use a positive number")
    for name in (*names, "context", "vocab_size", "head_dim", "device_batch"):
        value, most = getattr(settings, name), MOST_STEPS if name == "num_steps" else _MOST
        if value is not None and value > most:
            raise SettingsError(f"plan.{name} is too large", advice=f"use at most {most:,}")
    if settings.weight_decay is not None and not 0 <= settings.weight_decay < math.inf:
        raise SettingsError(f"plan.weight_decay cannot be {settings.weight_decay}", advice="use 0 or more")


def _sizes(settings: PlanSettings, depth: int, vocab_size: int | None, why: dict[str, str]) -> Sizes:
    vocabulary = settings.vocab_size or vocab_size or (8192 if depth < 8 else 16384 if depth < 12 else 32768)
    context = settings.context or (512 if depth < 8 else 1024 if depth < 12 else 2048)
    for name, value, low in (("vocab_size", vocabulary, 264), ("context", context, 16)):
        if value < low:
            raise SettingsError(f"plan.{name} cannot be {value}", advice=f"use at least {low}")
    if settings.head_dim is not None and (settings.head_dim < 2 or settings.head_dim % 2):
        raise SettingsError(
            f"plan.head_dim cannot be {settings.head_dim}", advice="use an even number, such as 64 or 128"
        )
    pattern = settings.window_pattern or "L"
    if set(pattern) - {"L", "S"}:
        raise SettingsError(
            f"plan.window_pattern cannot be {pattern!r}", advice="use the letters L and S, such as SSSL"
        )
    sizes = sizes_of_depth(
        depth,
        vocab_size=vocabulary,
        context=context,
        head_dim=settings.head_dim,
        num_kv_heads=settings.num_kv_heads,
        width=settings.width,
        window_pattern=pattern,
        architecture=settings.architecture,
    )
    if sizes.width < GATE_CHANNELS:
        advice = f"plan.width must be {GATE_CHANNELS} or more"
        raise SettingsError(f"a width of {sizes.width} is too small", advice=advice)
    if sizes.num_heads % sizes.num_kv_heads:
        raise SettingsError(
            f"{sizes.num_heads} query heads cannot share {sizes.num_kv_heads} key/value heads",
            advice=f"plan.num_kv_heads must divide {sizes.num_heads}",
        )
    why |= {
        "width": "given" if settings.width else f"64 a layer, rounded up to whole heads of {sizes.head_dim}",
        "num_layers": "the depth",
        "head_dim": "given" if settings.head_dim else "64 below depth 8, else 128",
        "num_heads": f"width {sizes.width} / heads of {sizes.head_dim}",
        "num_kv_heads": "given" if settings.num_kv_heads else "one for each query head",
        "vocab_size": "given"
        if settings.vocab_size
        else "the tokenizer's"
        if vocab_size
        else "tables, not matrices, fill a small model: 8,192 below depth 8, 16,384 below 12, else 32,768",
        "context": "given" if settings.context else "512 below depth 8, 1,024 below 12, else 2,048",
        "window_pattern": "given" if settings.window_pattern else "every layer sees the whole context",
        "architecture": "native unless plain is asked for (for export to other engines)",
        "flops_per_token": "6 per matrix and head entry, 12 per attended channel and position",
    }
    return sizes


def _horizon(settings: PlanSettings, sizes: Sizes, hardware: Hardware, why: dict[str, str]) -> tuple[int, int]:
    """Batch in tokens and number of steps."""
    chinchilla = TOKENS_PER_PARAMETER * sizes.num_scaling_parameters
    capped = False
    if settings.num_steps and settings.total_batch_tokens:
        tokens = float(settings.num_steps * settings.total_batch_tokens)
    elif settings.num_steps:  # the batch that suits the horizon that this batch and these steps make
        tokens = settings.num_steps**2 * BATCH_AT_A_MILLION**2 / 2**20
        capped = tokens > MOST_HORIZONS * chinchilla
        tokens = min(tokens, MOST_HORIZONS * chinchilla)
    else:
        tokens = settings.num_tokens or chinchilla
    rows_multiple = hardware.ranks
    batch = settings.total_batch_tokens or _batch_for(tokens, sizes.context * rows_multiple)
    if batch % (sizes.context * rows_multiple):
        raise SettingsError(
            f"a batch of {batch:,} tokens is not a whole number of rows of {sizes.context} on {rows_multiple} rank(s)",
            advice=f"use a multiple of {sizes.context * rows_multiple:,}",
        )
    num_steps = settings.num_steps or max(1, round(tokens / batch))
    why["total_batch_tokens"] = (
        "given"
        if settings.total_batch_tokens
        else (
            f"{BATCH_AT_A_MILLION:,} at a horizon of 2^20 tokens, growing with its square root; a power of two of rows"
            + (f"; for so many steps no more than suits {MOST_HORIZONS} times the dial's own horizon" if capped else "")
        )
    )
    why["num_steps"] = (
        "given"
        if settings.num_steps
        else (
            "the horizon in tokens that was given"
            if settings.num_tokens
            else f"{TOKENS_PER_PARAMETER} tokens for each of {sizes.num_scaling_parameters:,} scaling parameters"
        )
    )
    return batch, num_steps


def _batch_for(tokens: float, unit: int) -> int:
    """The nearest power of two (times `unit`) to the batch that suits a horizon."""
    return int(unit * 2 ** max(0, round(math.log2(_suited_batch(tokens) / unit))))


def _suited_batch(tokens: float) -> float:
    """The batch that suits a horizon: large enough to average out noise, small enough to leave many steps."""
    return BATCH_AT_A_MILLION * math.sqrt(tokens / 2**20)


def _rates(settings: PlanSettings, sizes: Sizes, batch: int, num_steps: int, why: dict[str, str]) -> dict[str, Any]:
    """Peak rates: the same at every horizon as long as the batch suits it; another batch changes them by its root."""
    suited = _suited_batch(batch * num_steps)
    by_batch = math.sqrt(batch / suited) * settings.learning_rate
    by_width = math.sqrt(RATE_WIDTH / sizes.width)
    scaling = f"tuned at width {RATE_WIDTH}; times sqrt(batch / the {suited:,.0f} that suit the horizon) {by_batch:.3g}"
    rates = {
        "embedding_rate": 0.26 * by_batch * by_width,
        "value_embedding_rate": 0.13 * by_batch * by_width,
        "head_rate": 0.0069 * by_batch * by_width,
        "scalar_rate": 0.05 * by_batch,
        "matrix_rate": 0.02 * by_batch,
    }
    for name in ("embedding_rate", "value_embedding_rate", "head_rate"):
        why[name] = f"{scaling}, times sqrt(width ratio) {by_width:.3g}"
    why["matrix_rate"] = why["scalar_rate"] = scaling
    decay = settings.weight_decay
    if decay is None:
        decay = min(MOST_DECAY, DECAY_OVER_RUN / (rates["matrix_rate"] * num_steps))
    warm_up = settings.warm_up if settings.warm_up is not None else 0.02
    warm_down = settings.warm_down if settings.warm_down is not None else 0.65
    for name, value in (("warm_up", warm_up), ("warm_down", warm_down)):
        if not 0 <= value <= 1:
            raise SettingsError(f"plan.{name} cannot be {value}", advice="it is a share of the horizon, from 0 to 1")
    why |= {
        "weight_decay": "given"
        if settings.weight_decay is not None
        else f"{DECAY_OVER_RUN} over the whole run at the peak rate, at most {MOST_DECAY:g}",
        "warm_up": f"{max(1, round(warm_up * num_steps)):,} steps",
        "warm_down": f"the last {round(warm_down * num_steps):,} steps",
        "final_rate": "where the rates end, as a share of their peaks",
    }
    return rates | {"weight_decay": decay, "warm_up": warm_up, "warm_down": warm_down, "final_rate": 0.05}


def what_would_fit(settings: PlanSettings, hardware: Hardware, plan: Plan) -> str:
    """The nearest change that fits: of how it is computed, the longest context at this depth, the largest depth."""
    usual = PlanSettings()
    freed = {name: getattr(usual, name) for name in ("device_batch", "recompute", "replicas")}

    loosened = dataclasses.replace(settings, **freed)

    def fits(changed: PlanSettings) -> bool:
        try:
            return make_plan(changed, hardware).plan.fits
        except SettingsError:
            return False

    given = [f"plan.{name}" for name, value in freed.items() if getattr(settings, name) != value]
    if given and fits(loosened):
        return f"it would fit without {' and '.join(given)}"
    also = f", without {' and '.join(given)}" if given else ""
    context = plan.context // 2
    while context >= 128:
        if fits(dataclasses.replace(loosened, context=context)):
            return f"a context of {context} would fit (--set plan.context={context}{also})"
        context //= 2
    for depth in range(plan.depth - 1, 0, -1):
        if fits(dataclasses.replace(loosened, depth=depth)):
            return f"depth {depth} would fit (--depth {depth}{also})"
    if (plan.vocab_size or 0) > 4096 and fits(dataclasses.replace(loosened, vocab_size=4096)):
        return f"a smaller vocabulary would fit (--set plan.vocab_size=4096{also})"
    smallest = dataclasses.replace(loosened, depth=1, context=128, vocab_size=1024, width=None, head_dim=None)
    least = make_plan(smallest, hardware).plan.peak_memory_bytes
    return f"free some memory: the smallest plan needs {gib(least)} (--depth 1, a context of 128, 1,024 tokens)"
