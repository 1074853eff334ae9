"""Predicted peak memory beside what whole short runs really take, for several shapes. Prints JSON.

    python benchmarks/memory.py [--device cpu|cuda] [--work FOLDER]

A run is `coldframe train` on the embedded corpus for six steps with the probe before them, samples, checkpoints and
evaluations between and after them; its text is prepared by a process before it. On a CPU the resident memory is
compared, on a GPU what torch reserved, with a CUDA context's share added. A ratio below 1 would be a run that does not
fit although it was said to; above 1.1 a plan that is too timid.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

#: Depth, context, vocabulary, rows a micro-batch, recompute, replicas.
SHAPES: dict[str, list[tuple[int, int, int, int, str, int]]] = {
    "cpu": [
        (1, 128, 1024, 1, "off", 1), (2, 128, 1024, 8, "off", 1), (2, 128, 1024, 8, "off", 2),
        (4, 512, 8192, 8, "off", 1), (4, 512, 8192, 8, "off", 2), (4, 512, 8192, 8, "off", 4),
        (4, 512, 8192, 1, "off", 1), (4, 512, 8192, 2, "off", 2), (4, 512, 32768, 8, "off", 2),
        (6, 512, 8192, 1, "off", 1), (6, 512, 8192, 1, "on", 1), (6, 512, 8192, 8, "off", 1),
        (6, 512, 8192, 8, "off", 2), (6, 512, 8192, 8, "on", 2),
        (8, 1024, 16384, 1, "off", 1), (8, 1024, 16384, 4, "off", 2),
        (4, 2048, 8192, 2, "off", 1), (4, 2048, 8192, 2, "off", 2),
    ],
    "cuda": [
        (4, 512, 8192, 64, "off", 1), (8, 1024, 16384, 16, "off", 1), (12, 2048, 32768, 2, "off", 1),
        (12, 2048, 32768, 8, "off", 1), (12, 2048, 32768, 16, "off", 1), (12, 2048, 32768, 16, "on", 1),
    ],
}  # fmt: skip


def main() -> None:
    """Measure all shapes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=tuple(SHAPES), default="cpu")
    parser.add_argument("--work", help="where tokenizers and shards are kept; else in a folder of the moment")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as moment:
        runs = Path(arguments.work or moment)
        for vocabulary in sorted({shape[2] for shape in SHAPES[arguments.device]}):
            train(runs, f"prepare-{vocabulary}", "cpu", (1, 128, vocabulary, 1, "off", 1), "--stop-at", "0")
        results = [measure(runs, arguments.device, shape) for shape in SHAPES[arguments.device]]
    print(json.dumps({"device": arguments.device, "shapes": results}))


def measure(runs: Path, device: str, shape: tuple[int, int, int, int, str, int]) -> dict[str, Any]:
    """One shape's run: what was predicted of it, and what it took."""
    name = "-".join(map(str, (device, *shape)))
    ended = train(runs, name, device, shape)
    plan = tomllib.loads((runs / name / "run.toml").read_text())["plan"]
    context = 600 << 20 if device == "cuda" else 0  # coldframe.model.memory.PROCESS_BYTES
    measured = ended["peak_memory_bytes"] + context
    names = ("depth", "context", "vocab_size", "device_batch", "recompute", "replicas")
    found = {
        **dict(zip(names, shape, strict=True)),
        "predicted_bytes": plan["peak_memory_bytes"],
        "measured_bytes": measured,
        "ratio": plan["peak_memory_bytes"] / measured,
    }
    sys.stderr.write(json.dumps(found) + "\n")
    return found


def train(
    runs: Path, name: str, device: str, shape: tuple[int, int, int, int, str, int], *flags: str
) -> dict[str, Any]:
    """A short run in a process of its own, as a peak is one of a process."""
    depth, context, vocabulary, rows, recompute, replicas = shape
    settings = {
        "plan.context": context, "plan.vocab_size": vocabulary, "plan.device_batch": rows, "plan.recompute": recompute,
        "plan.total_batch_tokens": 2 * rows * context, "plan.threads": replicas, "plan.replicas": replicas,
        "train.sample_every": 2, "train.checkpoint_every": 3, "train.evaluate_every": 3, "train.evaluate_bytes": 8000,
    }  # fmt: skip
    command = [sys.executable, "-m", "coldframe", "train", "--run", name, "--runs", str(runs), "--device", device]
    command += ["--depth", str(depth), "--steps", "6", "--json", "--quiet", *flags]
    command += [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{name} failed:\n{done.stderr[-3000:]}")
    ended: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return ended


if __name__ == "__main__":
    main()
