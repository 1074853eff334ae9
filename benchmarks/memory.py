"""Predicted peak memory beside what two steps really take, for several shapes. Prints JSON.

    python benchmarks/memory.py [--device cpu|cuda]

Each shape is a process of its own, as a peak is one of a process. On a CPU the resident memory is compared, on a GPU
what torch reserved, with a CUDA context's share added. A ratio below 1 would be a run that does not fit although it was
said to; above 1.1 a plan that is too timid.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from typing import Any

#: Depth, context, vocabulary, rows a micro-batch, recompute, replicas.
SHAPES: dict[str, list[tuple[int, int, int, int, str, int]]] = {
    "cpu": [
        (2, 128, 1024, 8, "off", 1), (2, 128, 1024, 8, "off", 2),
        (4, 512, 8192, 8, "off", 1), (4, 512, 8192, 8, "off", 2), (4, 512, 8192, 8, "off", 4),
        (4, 512, 8192, 2, "off", 2), (4, 512, 32768, 8, "off", 1), (4, 512, 32768, 8, "off", 2),
        (6, 512, 8192, 8, "off", 1), (6, 512, 8192, 8, "off", 2), (6, 512, 8192, 8, "on", 2),
        (8, 1024, 16384, 4, "off", 1), (8, 1024, 16384, 4, "off", 2),
        (4, 2048, 8192, 2, "off", 1), (4, 2048, 8192, 2, "off", 2),
    ],
    "cuda": [
        (4, 512, 8192, 64, "off", 1), (8, 1024, 16384, 16, "off", 1), (12, 2048, 32768, 2, "off", 1),
        (12, 2048, 32768, 8, "off", 1), (12, 2048, 32768, 16, "off", 1), (12, 2048, 32768, 16, "on", 1),
    ],
}


def main() -> None:
    """Measure all shapes, or (inside a process) one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=tuple(SHAPES), default="cpu")
    parser.add_argument("--shape", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.shape:
        print(json.dumps(measure(arguments.device, *json.loads(arguments.shape))))
        return
    results = []
    for shape in SHAPES[arguments.device]:
        command = [sys.executable, __file__, "--device", arguments.device, "--shape", json.dumps(shape)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{shape} failed:\n{done.stderr[-3000:]}")
        results.append(json.loads(done.stdout.strip().splitlines()[-1]))
    print(json.dumps({"device": arguments.device, "shapes": results}))


def measure(
    device: str, depth: int, context: int, vocabulary: int, rows: int, recompute: str, replicas: int
) -> dict[str, Any]:
    """Two rehearsed steps of two micro-batches each."""
    from coldframe.threads import share_the_cores

    share_the_cores()
    from coldframe.hardware import detect
    from coldframe.model.parallel import Ranks
    from coldframe.plan import make_plan
    from coldframe.settings import PlanSettings
    from coldframe.train.allocator import prepare_allocator
    from coldframe.train.probing import made_up_batch, peak_memory
    from coldframe.train.trainer import Trainer, prepare_torch

    prepare_allocator()
    settings = PlanSettings(
        depth=depth, context=context, vocab_size=vocabulary, device_batch=rows, recompute=recompute,  # type: ignore[arg-type]
        total_batch_tokens=2 * rows * context, device=device, threads=replicas, replicas=replicas,  # type: ignore[arg-type]
    )
    reasoned = make_plan(settings, detect(device))  # type: ignore[arg-type]
    plan = reasoned.plan
    prepare_torch(plan)
    trainer = Trainer(plan, Ranks(), horizon=lambda step: plan.num_steps)
    for _ in range(2):
        trainer.step(made_up_batch(plan, plan.batch_rows))
    measured = peak_memory(plan) + (reasoned.memory.process if device == "cuda" else 0)
    return {
        "depth": depth, "context": context, "vocab_size": vocabulary, "device_batch": rows, "recompute": recompute,
        "replicas": replicas,
        "predicted_bytes": plan.peak_memory_bytes, "measured_bytes": measured,
        "ratio": plan.peak_memory_bytes / measured,
    }


if __name__ == "__main__":
    main()
