"""One optimizer step: the hot path. Micro-batches forward and back, sum over ranks, clip, update, apply."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from coldframe.errors import MemoryFitError
from coldframe.mixture.stream import Batch
from coldframe.model.optimizer import Optimizer, Rates
from coldframe.model.parallel import Ranks, any_rank, sum_over_ranks
from coldframe.model.schedule import Schedule, StepRates
from coldframe.model.transformer import Transformer
from coldframe.model.uncompiled import keep_out_of_compiling
from coldframe.plan import Plan
from coldframe.train.allocator import give_back_memory
from coldframe.train.replicas import Replicas
from coldframe.train.state import TrainState

BETA1, BETA2, MATRIX_BETA2 = 0.8, 0.95, 0.9
MOMENTUM_START, MOMENTUM, MOMENTUM_END, MOMENTUM_WARM_UP = 0.85, 0.95, 0.9, 0.3
_log = logging.getLogger("coldframe")


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResult:
    """What a step found out; tensors stay on the device, so that a GPU is not made to wait for their values."""

    loss_sum: Tensor
    """Summed loss in nats of all ranks' targets; 0-d."""
    num_targets: int
    """Targets of all ranks together."""
    by_source: Tensor
    """Of each source, summed loss in nats and number of targets, over all ranks' rows [sources, 2]."""
    grad_norm: Tensor
    clip_scale: Tensor
    grad_norms: dict[str, Tensor]
    update_norms: dict[str, Tensor]
    rates: StepRates


class Trainer:
    """The model and its optimizer, and how one step changes them."""

    def __init__(self, plan: Plan, ranks: Ranks, *, horizon: Callable[[int], int]) -> None:
        self.plan, self.ranks, self._horizon = plan, ranks, horizon
        self.device = torch.device(plan.device, ranks.local) if plan.device == "cuda" else torch.device("cpu")
        self.state = TrainState(device_batch=plan.device_batch)
        self.model = Transformer(
            plan.sizes, backend=plan.attention, compute_dtype=getattr(torch, plan.dtype), recompute=plan.recompute
        )
        self.model.initialise(plan.seed)
        self.model.to(self.device)
        self.model.prepare_rotary(self.device)  # not within a compiled forward, which would be compiled again after it
        self.optimizer = Optimizer(self.model, rates_of(plan), orthogonal_dtype=getattr(torch, plan.orthogonal_dtype))
        if plan.compile:
            keep_out_of_compiling()
        self._forward = torch.compile(self.model, dynamic=False) if plan.compile else self.model
        self._compiles = plan.compile
        self.compile_failure: str | None = None
        several = plan.replicas > 1
        self._replicas = Replicas(self.model, count=plan.replicas, num_threads=plan.threads) if several else None

    def set_horizon(self, horizon: Callable[[int], int]) -> None:
        """Let another schedule hold from the next step on."""
        self._horizon = horizon

    def step(self, batch: Batch, num_sources: int = 1) -> StepResult:
        """Learn from this rank's rows of a batch, which are of so many sources, and move the state on by a step.

        When memory runs out, the micro-batch is halved and the step begins again; when the model cannot be compiled,
        it goes on without.

        Raises:
            MemoryFitError: when it runs out with one row.
        """
        tokens = torch.from_numpy(batch.tokens).to(self.device, torch.int64)
        mask = torch.from_numpy(batch.mask).to(self.device, torch.float32)
        num_targets = self._over_ranks(int(batch.mask.sum()))
        while True:
            ran_out = None
            try:
                loss_sum, row_losses = self._gradients(tokens, mask, num_targets)
            except Exception as error:
                if is_out_of_memory(error):
                    ran_out = str(error).splitlines()[0]
                elif self._compiles:
                    self._go_on_uncompiled(error)
                    continue
                else:
                    raise
            if not any_rank(ran_out is not None, self.ranks, self.device):  # before a sum that one would not join
                break
            self._make_smaller(ran_out or "another rank ran out of memory")
        self._compiles = False  # what fails from now on is not the compiler
        gradients = [parameter.grad for parameter in self.model.parameters() if parameter.grad is not None]
        of_source = torch.from_numpy(batch.source == np.arange(num_sources)[:, None]).to(self.device, torch.float32)
        by_source = of_source @ torch.stack([row_losses, mask.sum(dim=1)], dim=1)
        sum_over_ranks([loss_sum, by_source, *gradients], self.ranks)
        result = self._update(loss_sum, by_source, num_targets)
        self.state.step += 1
        self.state.num_updates = self.optimizer.num_updates
        self.state.num_tokens += num_targets
        return result

    def rehearse(self, batch: Batch) -> None:
        """Do a step and undo it, to see what it takes; what it found out about the micro-batch stays."""
        stages = self.state.stages
        self.step(batch)
        self.model.initialise(self.plan.seed)
        self.optimizer.reset()
        self.state = TrainState(device_batch=self.state.device_batch, stages=stages)

    def _gradients(self, tokens: Tensor, mask: Tensor, num_targets: int) -> tuple[Tensor, Tensor]:
        """This rank's part of the gradients of the mean loss over all targets, summed into the parameters."""
        self.optimizer.zero_gradients()

        def learn(
            forward: Callable[..., tuple[Tensor, Tensor]], rows: Tensor, row_mask: Tensor
        ) -> tuple[Tensor, Tensor]:
            loss_sum, token_losses = forward(rows[:, :-1], rows[:, 1:], row_mask)
            (loss_sum / max(num_targets, 1)).backward()  # of a batch without any target, zeros
            return loss_sum.detach(), token_losses.sum(dim=1)

        size = self.state.device_batch
        micro_batches = list(zip(tokens.split(size), mask.split(size), strict=True))
        if self._replicas:
            total, row_losses = self._replicas.learn(learn, micro_batches)
        else:
            losses, by_micro_batch = zip(*(learn(self._forward, *part) for part in micro_batches), strict=True)
            total, row_losses = torch.stack(losses).sum(), torch.cat(by_micro_batch)
        return total, row_losses

    def _update(self, loss_sum: Tensor, by_source: Tensor, num_targets: int) -> StepResult:
        schedule = schedule_of(self.plan, self._horizon(self.state.step))
        rates = schedule.at(self.state.step)
        grad_norms = self.optimizer.norms()
        grad_norm = torch.stack(list(grad_norms.values())).norm()
        clip_scale = (self.plan.clip_norm / (grad_norm + 1e-6)).clamp(max=1.0)
        self.optimizer.compute(rates, clip_scale)
        update_norms = self.optimizer.norms()
        self.optimizer.apply()
        return StepResult(
            loss_sum=loss_sum,
            num_targets=num_targets,
            by_source=by_source,
            grad_norm=grad_norm,
            clip_scale=clip_scale,
            grad_norms=grad_norms,
            update_norms=update_norms,
            rates=rates,
        )

    def _over_ranks(self, number: int) -> int:
        if self.ranks.count == 1:
            return number  # nothing that a GPU would have to be waited for
        total = torch.tensor(number, dtype=torch.float64, device=self.device)
        sum_over_ranks([total], self.ranks)
        return int(total.item())

    def _go_on_uncompiled(self, error: Exception) -> None:
        """What else is wrong will happen again without a compiler."""
        self._compiles, self._forward = False, self.model
        self.compile_failure = f"{type(error).__name__}: {error}".splitlines()[0]
        _log.warning("the model cannot be compiled and trains without: %s", self.compile_failure)

    def _make_smaller(self, message: str) -> None:
        if self.state.device_batch == 1:
            raise MemoryFitError(
                f"memory ran out with one row of {self.plan.context} tokens: {message}",
                advice="choose a smaller depth or context, or plan.recompute=on",
            )
        self.state.device_batch //= 2
        for parameter in self.model.parameters():
            parameter.grad = None
        give_back_memory(self.device)


def prepare_torch(plan: Plan) -> None:
    """Set what torch keeps for the whole process: threads, how float32 is multiplied, determinism."""
    torch.set_num_threads(plan.threads)
    if plan.device == "cpu":
        # Lets oneDNN do the products, a tenth faster; on processors with AMX units they are then done in bfloat16.
        torch.set_float32_matmul_precision("medium")
    else:
        torch.set_float32_matmul_precision("high")
        torch.use_deterministic_algorithms(plan.deterministic)


#: How else it is said: by torch's CPU allocator, oneDNN's, C++'s; by cuBLAS and CUDA outside torch's allocator.
_NO_MEMORY = (
    "DefaultCPUAllocator: can't allocate memory",
    "could not create a primitive",
    "std::bad_alloc",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDA error: out of memory",
)


def is_out_of_memory(error: Exception) -> bool:
    """Whether an error means that a device or the system has no more memory."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return any(words in str(error) for words in _NO_MEMORY)


def rates_of(plan: Plan) -> Rates:
    """The optimizer's peak rates of a plan."""
    return Rates(
        embedding=plan.embedding_rate,
        value_embedding=plan.value_embedding_rate,
        head=plan.head_rate,
        matrix=plan.matrix_rate,
        scalar=plan.scalar_rate,
        weight_decay=plan.weight_decay,
        table_weight_decay=0.0,
        beta1=BETA1,
        beta2=BETA2,
        matrix_beta2=MATRIX_BETA2,
    )


def schedule_of(plan: Plan, num_steps: int) -> Schedule:
    """The schedule of a plan over a horizon."""
    return Schedule(
        num_steps=num_steps,
        warm_up=plan.warm_up,
        warm_down=plan.warm_down,
        final=plan.final_rate,
        momentum_start=MOMENTUM_START,
        momentum=MOMENTUM,
        momentum_end=MOMENTUM_END,
        momentum_warm_up=MOMENTUM_WARM_UP,
    )
