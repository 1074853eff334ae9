"""Training speed and memory on a CPU, beside a peer's on the same work, in turns. Prints JSON.

    python benchmarks/training.py --depth 4 [--threads 1] [--peer PATH_TO_NANOCHAT] [--turns 3] [--steps 4]

Same work: heads of 64, context 512, vocabulary 8,192, micro-batches of 8 rows, 8,192 tokens a step, optimizer included,
random tokens. Every turn is a process of its own; first steps (compilation) are left out; the figure is the median
step. On one thread, processor time is measured, which a noisy machine disturbs least; on more, the clock. The peer is
compiled, as its users run it. Nothing of the peer is part of coldframe: it is imported from its own checkout.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

CONTEXT, VOCABULARY, ROWS, BATCH = 512, 8192, 8, 8192


def main() -> None:
    """Run turns and print medians and their ratio, or (inside a turn) one measurement."""
    arguments = _arguments()
    if arguments.role:
        print(json.dumps(_turn(arguments)))
        return
    turns: dict[str, list[dict[str, Any]]] = {"coldframe": []}
    if arguments.peer:
        turns["peer"] = []
    for _ in range(arguments.turns):
        for role in turns:
            turns[role].append(_run_turn(role, arguments))
    result: dict[str, Any] = {
        "depth": arguments.depth, "threads": arguments.threads, "machine": platform.processor() or platform.machine(),
        "clock": "processor" if arguments.threads == 1 else "wall", "turns": turns,
    }
    for role, measured in turns.items():
        result[role] = {
            "tokens_per_second": statistics.median(turn["tokens_per_second"] for turn in measured),
            "peak_memory_bytes": statistics.median(turn["peak_memory_bytes"] for turn in measured),
        }
    if "peer" in result:
        result["speed_ratio"] = result["coldframe"]["tokens_per_second"] / result["peer"]["tokens_per_second"]
        result["memory_ratio"] = result["coldframe"]["peak_memory_bytes"] / result["peer"]["peak_memory_bytes"]
    print(json.dumps(result))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--depth", type=int, default=4)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--peer", default="")
    parser.add_argument("--role", choices=("coldframe", "peer"), help=argparse.SUPPRESS)
    return parser.parse_args()


def _run_turn(role: str, arguments: argparse.Namespace) -> dict[str, Any]:
    command = [sys.executable, __file__, "--role", role, "--depth", str(arguments.depth), "--threads",
               str(arguments.threads), "--steps", str(arguments.steps), "--peer", arguments.peer]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{role} failed:\n{done.stderr[-3000:]}")
    turn: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return turn


def _turn(arguments: argparse.Namespace) -> dict[str, Any]:
    step = _coldframe(arguments) if arguments.role == "coldframe" else _peer(arguments)
    clock = time.process_time if arguments.threads == 1 else time.perf_counter
    for _ in range(2):
        step()
    seconds = []
    for _ in range(arguments.steps):
        began = clock()
        step()
        seconds.append(clock() - began)
    return {
        "tokens_per_second": BATCH / statistics.median(seconds), "seconds": seconds,
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


def _coldframe(arguments: argparse.Namespace) -> Callable[[], None]:
    from coldframe.threads import share_the_cores

    share_the_cores()
    import numpy as np
    import torch

    from coldframe.hardware import detect
    from coldframe.mixture.stream import Batch
    from coldframe.model.parallel import Ranks
    from coldframe.plan import make_plan
    from coldframe.settings import PlanSettings
    from coldframe.train.allocator import prepare_allocator
    from coldframe.train.trainer import Trainer, prepare_torch

    prepare_allocator()
    settings = PlanSettings(depth=arguments.depth, context=CONTEXT, vocab_size=VOCABULARY, head_dim=64,
                            total_batch_tokens=BATCH, device_batch=ROWS, threads=arguments.threads, device="cpu")
    plan = make_plan(settings, detect("cpu")).plan
    prepare_torch(plan)
    torch.set_num_threads(arguments.threads)
    trainer = Trainer(plan, Ranks(), horizon=lambda step: plan.num_steps)
    random, rows = np.random.default_rng(0), BATCH // CONTEXT

    def step() -> None:
        trainer.step(Batch(
            tokens=random.integers(0, VOCABULARY, (rows, CONTEXT + 1), dtype=np.int32),
            mask=np.ones((rows, CONTEXT), dtype=np.uint8), source=np.zeros(rows, dtype=np.int32), rows=np.arange(rows),
        ))

    return step


def _peer(arguments: argparse.Namespace) -> Callable[[], None]:
    import torch
    from peer import peer_model

    torch.set_num_threads(arguments.threads)
    model = peer_model(arguments.peer, depth=arguments.depth, context=CONTEXT, vocab_size=VOCABULARY)
    optimizer = model.setup_optimizer()
    compiled = torch.compile(model, dynamic=False)
    generator = torch.Generator().manual_seed(0)

    def step() -> None:
        tokens = torch.randint(VOCABULARY, (BATCH // CONTEXT, CONTEXT + 1), generator=generator)
        for rows in tokens.split(ROWS):
            loss = compiled(rows[:, :-1].contiguous(), rows[:, 1:].contiguous())
            (loss * ROWS * CONTEXT / BATCH).backward()
        optimizer.step()
        model.zero_grad(set_to_none=True)

    return step


if __name__ == "__main__":
    main()
