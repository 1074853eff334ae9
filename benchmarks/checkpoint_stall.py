"""For how much of the training time a checkpoint every 200 steps holds training up, at depth 6: prints JSON.

    python benchmarks/checkpoint_stall.py [--depth 6] [--every 200] [--steps 8] [--checkpoints 5] [--folder DIR]

Real optimizer steps at the depth's own plan are timed, then real checkpoints of that very model and optimizer are
written by the trainer's own writer (its flushes to the disk included) into DIR. The share is the median checkpoint's
seconds over those of the steps between two of them and its own.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from coldframe.hardware import detect
from coldframe.mixture.stream import Batch
from coldframe.model.parallel import Ranks
from coldframe.plan import Plan, make_plan
from coldframe.run.checkpoints import write_checkpoint
from coldframe.run.paths import RunFolder
from coldframe.settings import PlanSettings
from coldframe.train.allocator import prepare_allocator
from coldframe.train.trainer import Trainer, prepare_torch


def made_up(plan: Plan) -> Batch:
    """A batch of random tokens: arithmetic does not care."""
    tokens = np.random.default_rng(0).integers(0, plan.vocab_size, (plan.batch_rows, plan.context + 1), dtype=np.int32)
    return Batch(
        tokens=tokens,
        mask=np.ones((plan.batch_rows, plan.context), dtype=np.uint8),
        source=np.zeros(plan.batch_rows, dtype=np.int32),
        rows=np.arange(plan.batch_rows, dtype=np.int64),
    )


def step_seconds(trainer: Trainer, plan: Plan, count: int) -> list[float]:
    """Seconds of each step, the first (which warms up) left out."""
    batch, seconds = made_up(plan), []
    for _ in range(count + 1):
        began = time.perf_counter()
        trainer.step(batch)
        seconds.append(time.perf_counter() - began)
    return seconds[1:]


def checkpoint_seconds(trainer: Trainer, folder: Path, count: int) -> tuple[list[float], int]:
    """Seconds of each checkpoint, and the bytes of one."""
    run = RunFolder(folder / "stall")
    run.create()
    seconds, num_bytes = [], 0
    for number in range(count):
        began = time.perf_counter()
        written = write_checkpoint(
            run, number, model=trainer.model.state_dict(), optimizer=trainer.optimizer.state,
            state=trainer.state.as_json(), reason="benchmark",
        )  # fmt: skip
        seconds.append(time.perf_counter() - began)
        num_bytes = sum(entry["bytes"] for entry in written.manifest["files"].values())
        shutil.rmtree(written.path)
    return seconds, num_bytes


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--depth", type=int, default=6)
    parser.add_argument("--every", type=int, default=200)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--checkpoints", type=int, default=5)
    parser.add_argument("--batch", type=int, default=8192, help="tokens of an optimizer step")
    parser.add_argument("--folder", type=Path, default=None, help="where to write; a temporary folder unless given")
    arguments = parser.parse_args()
    settings = PlanSettings(depth=arguments.depth, total_batch_tokens=arguments.batch, num_steps=1000, device="cpu")
    plan = make_plan(settings, detect("cpu")).plan
    prepare_allocator()
    prepare_torch(plan)
    trainer = Trainer(plan, Ranks(), horizon=lambda step: plan.num_steps)
    steps = step_seconds(trainer, plan, arguments.steps)
    if arguments.folder:
        arguments.folder.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="stall-", dir=arguments.folder))
    try:
        writes, num_bytes = checkpoint_seconds(trainer, folder, arguments.checkpoints)
    finally:
        shutil.rmtree(folder)
    step, write = statistics.median(steps), statistics.median(writes)
    between = arguments.every * step
    print(json.dumps({
        "depth": arguments.depth, "total_batch_tokens": plan.total_batch_tokens, "every": arguments.every,
        "checkpoint_bytes": num_bytes, "checkpoint_seconds": [round(second, 3) for second in writes],
        "step_seconds": [round(second, 3) for second in steps], "stall_share": write / (write + between),
        "worst_stall_share": max(writes) / (max(writes) + between),
    }))  # fmt: skip


if __name__ == "__main__":
    main()
