"""Steps on made-up tokens before step 1: does the plan fit the memory, and how fast is it here?"""

from __future__ import annotations

import logging
import resource
import sys
import time

import numpy as np
import torch

from coldframe.mixture.stream import Batch
from coldframe.model.memory import PROCESS_BYTES
from coldframe.model.parallel import Ranks
from coldframe.plan import Plan, Reasoned, gib
from coldframe.train.runfile import RunFile
from coldframe.train.trainer import Trainer, prepare_torch

_NUM_STEPS = 2
#: Of quick steps more are measured: a neighbour on the machine easily slows down two of them.
_SPEED_SECONDS, _MOST_SPEED_STEPS = 4.0, 10
_log = logging.getLogger("coldframe")


def probe(run_file: RunFile, trainer: Trainer) -> list[str]:
    """Two steps of two micro-batches each, undone again; what they took against what was predicted and what is free.

    Of two, because the second one's way there has the first one's gradients beside it.

    When memory runs out already here, the micro-batch is smaller before the first real step.
    """
    plan = run_file.plan
    rows = min(2 * plan.device_batch, plan.batch_rows // plan.ranks)
    for _ in range(_NUM_STEPS):
        trainer.rehearse(made_up_batch(plan, rows))
    taken, predicted, what = peak_memory(plan), plan.peak_memory_bytes, "resident"
    if plan.device == "cuda":  # which counts the card's context with it, and torch does not
        predicted, what = predicted - PROCESS_BYTES["cuda"], "reserved, without the card's context"
    free = plan.free_memory_bytes - (plan.peak_memory_bytes - predicted)
    lines = [f"two probe steps took {gib(taken)} ({what}); predicted {gib(predicted)}"]
    if taken > free:
        lines.append(f"that is more than the {gib(free)} that were free or allowed: training may run out of memory")
        _log.warning("%s", "; ".join(lines))
    if trainer.state.device_batch < plan.device_batch:
        lines.append(f"memory ran out: {trainer.state.device_batch} rows a micro-batch instead of {plan.device_batch}")
    return lines


def measured_speed(reasoned: Reasoned) -> float:
    """Tokens per second of a plan on this machine: the fastest of some steps on made-up tokens.

    Of several ranks only one measures; what they take to sum their gradients is left out.
    """
    plan = reasoned.plan
    prepare_torch(plan)
    trainer = Trainer(plan, Ranks(), horizon=lambda step: plan.num_steps)
    batch = made_up_batch(plan, plan.batch_rows // plan.ranks)  # every rank takes its share at the same time
    seconds: list[float] = []
    while len(seconds) <= _NUM_STEPS or (sum(seconds) < _SPEED_SECONDS and len(seconds) <= _MOST_SPEED_STEPS):
        began = time.perf_counter()
        trainer.step(batch)
        if plan.device == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - began)
    return plan.total_batch_tokens / min(seconds[1:])


def peak_memory(plan: Plan) -> int:
    """The peak so far in bytes: what torch reserved on a GPU, else the process's resident memory."""
    if plan.device == "cuda":
        return torch.cuda.max_memory_reserved()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * 1024 if sys.platform == "linux" else peak


def made_up_batch(plan: Plan, rows: int) -> Batch:
    """Random tokens in the shape of a batch of so many rows."""
    generator = np.random.default_rng(0)
    return Batch(
        tokens=generator.integers(0, plan.vocab_size, (rows, plan.context + 1), dtype=np.int32),
        mask=np.ones((rows, plan.context), dtype=np.uint8),
        source=np.zeros(rows, dtype=np.int32),
        rows=np.arange(rows, dtype=np.int64),
    )
