"""Whether a run that is killed again and again learns the same as one that nothing interrupts: prints JSON.

    python benchmarks/exact_resume.py TEXT_FOLDER [--kills 10] [--depth 2] [--steps 120] [--seed 0] [--folder DIR]

Trains once straight and once with SIGKILL at instants drawn at random between the start of the process and somewhat
after its first steps, each time resumed by its name alone. Compares every recorded number of every step, bit by bit,
and the weights at the end. With `--ranks 2` both are trained under torchrun.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

import coldframe

COLUMNS = ["train_loss", "grad_norm", "update_norm_mlp", "learning_rate", "next_row", "num_tokens"]


def command(arguments: argparse.Namespace, runs: Path, name: str) -> list[str]:
    """The command line that starts the run, and resumes it."""
    recipe = runs / "recipe.toml"
    words = ["train", "--run", name, "--runs", str(runs), "--json"]
    if not (runs / name / "run.toml").exists():
        words += ["--recipe", str(recipe)]
    if arguments.ranks == 1:
        return [sys.executable, "-m", "coldframe", *words]
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(arguments.ranks)]
    return [*launcher, "-m", "--", "coldframe", *words]


def write_recipe(arguments: argparse.Namespace, runs: Path) -> None:
    """Short intervals, so that kills fall before, amid and after checkpoints."""
    runs.mkdir(parents=True)
    (runs / "recipe.toml").write_text(
        f"[plan]\ndepth = {arguments.depth}\ndevice = 'cpu'\nvocab_size = 1024\ncontext = 128\n"
        f"total_batch_tokens = 2048\nnum_steps = {arguments.steps}\n"
        "[train]\ncheckpoint_every = 10\nevaluate_every = 25\nevaluate_bytes = 4000\n"
        "sample_every = 20\nsample_tokens = 8\n"
        f"[[corpus.source]]\nname = 'text'\nkind = 'prose'\npath = {json.dumps(str(arguments.text.resolve()))}\n"
    )


def to_the_end(words: list[str]) -> dict[str, Any]:
    """Train until the process ends by itself; the JSON on its last line."""
    ended = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
    return dict(json.loads(ended.stdout.splitlines()[-1]))


def killed(words: list[str], seconds: float) -> bool:
    """Kill the process and its children after so many seconds; False when it had ended before."""
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        time.sleep(seconds)
        if process.poll() is not None:
            return False
        for one in [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]:
            one.kill()
    return True


def learned(runs: Path, name: str) -> dict[str, list[float]]:
    """Every recorded number of every step."""
    with coldframe.open_run(runs / name) as run:
        return {column: values.tolist() for column, values in run.metrics(COLUMNS).items()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("text", type=Path)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--depth", type=int, default=2)
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--ranks", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=None, help="where to write; a temporary folder unless given")
    arguments = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    folder = Path(tempfile.mkdtemp(prefix="resume-", dir=arguments.folder))
    try:
        runs = folder / "runs"
        write_recipe(arguments, runs)
        began = time.monotonic()
        straight = to_the_end(command(arguments, runs, "straight"))
        seconds = time.monotonic() - began
        draw, kills = random.Random(arguments.seed), 0
        for _ in range(arguments.kills):
            kills += killed(command(arguments, runs, "killed"), draw.uniform(1.0, 4.0 + seconds / arguments.kills))
        resumed = to_the_end(command(arguments, runs, "killed"))
        with coldframe.open_run(runs / "killed") as run:
            starts = [row["start_step"] for row in run.rows("segments")]
        print(json.dumps({
            "depth": arguments.depth, "steps": arguments.steps, "ranks": arguments.ranks, "kills": kills,
            "resumed_from_steps": starts, "same_series": learned(runs, "straight") == learned(runs, "killed"),
            "same_weights": straight["weights_sha256"] == resumed["weights_sha256"],
            "weights_sha256": resumed["weights_sha256"],
        }))  # fmt: skip
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
