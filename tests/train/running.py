"""Trainers as users start them: processes of their own, waited for, asked, signalled and killed."""

from __future__ import annotations

import contextlib
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import psutil

from coldframe.run.paths import RunFolder
from coldframe.run.view import RunView

PATIENCE = 120.0
ROOT = Path(__file__).parents[2]

WORDS = (
    "the frame of glass stood open while seeds took root and light fell upon warm soil where water ran down each pane "
    "of morning frost before any gardener came to lift its lid or read what had grown there over night in rows"
)


def write_text(folder: Path) -> None:
    """Thirty short documents of common words: under 100 rows of 64 tokens an epoch."""
    folder.mkdir(parents=True)
    draw, words = random.Random(1), WORDS.split()
    for number in range(30):
        sentences = (" ".join(draw.choices(words, k=draw.randint(4, 14))).capitalize() + "." for _ in range(8))
        (folder / f"{number:02}.txt").write_text(" ".join(sentences))


RECIPE = """
[plan]
depth = 2
vocab_size = 300
context = 64
total_batch_tokens = 512
num_steps = {num_steps}
threads = 1
[train]
checkpoint_every = {checkpoint_every}
evaluate_every = 15
evaluate_bytes = 3000
sample_every = 20
sample_tokens = 8
held_out = 0.1
[[corpus.source]]
name = "own"
kind = "prose"
path = "text"
"""


@dataclass(slots=True, kw_only=True)
class Ended:
    """How a process ended: its exit status, the JSON on its last line, and all that it said."""

    status: int
    json: dict[str, Any]
    said: str


class Running:
    """A process in a session of its own, so that it can be killed with its children."""

    started: ClassVar[list[Running]] = []

    def __init__(self, command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, start_new_session=True,
            env={**os.environ, "OMP_WAIT_POLICY": "PASSIVE", "OMP_NUM_THREADS": "1", **(environment or {})},
        )  # fmt: skip
        self.started.append(self)

    def end(self) -> Ended:
        """Wait for the end."""
        try:
            out, err = self.process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        lines = out.strip().splitlines()
        answer = json.loads(lines[-1]) if lines and lines[-1].startswith("{") else {}
        return Ended(status=self.process.returncode, json=answer, said=out + err)

    def signal(self, number: int) -> None:
        """Send a signal to the process."""
        self.process.send_signal(number)

    def kill(self) -> None:
        """End it and its children as a power cut would, and wait until nothing of it is left."""
        family = [psutil.Process(self.process.pid)]
        family += family[0].children(recursive=True)    # torchrun starts its ranks in sessions of their own
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self.process.communicate(timeout=PATIENCE)
        psutil.wait_procs(family[1:], timeout=PATIENCE)

    def wait_for(self, happened: Callable[[], object]) -> None:
        """Wait until something happened, looking a hundred times a second; fails when the process ended before."""
        deadline = time.monotonic() + PATIENCE
        while not happened():
            if self.process.poll() is not None:
                raise AssertionError(f"it ended with {self.process.returncode} instead:\n{self.end().said}")
            assert time.monotonic() < deadline, f"not within {PATIENCE:g} s"
            time.sleep(0.01)


@dataclass(frozen=True, slots=True)
class Bench:
    """A folder of runs that share a small text, and how they are trained."""

    folder: Path

    @property
    def runs(self) -> Path:
        """The folder of all runs."""
        return self.folder / "runs"

    def run(self, name: str) -> RunFolder:
        """A run's folder."""
        return RunFolder(self.runs / name)

    def recipe(self, *, num_steps: int = 60, checkpoint_every: int = 10) -> Path:
        """A recipe over the small text."""
        path = self.folder / f"steps-{num_steps}-{checkpoint_every}.toml"
        path.write_text(RECIPE.format(num_steps=num_steps, checkpoint_every=checkpoint_every))
        return path

    def start(self, name: str, *flags: str, recipe: Path | None = None, ranks: int = 1) -> Running:
        """A trainer."""
        words = ["train", "--run", name, "--runs", str(self.runs), "--json", *flags]
        if recipe is not None:
            words += ["--recipe", str(recipe)]
        if ranks == 1:
            return Running([sys.executable, "-m", "coldframe", *words])
        # Without the two dashes torchrun takes --run for the beginning of an option of its own.
        launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks)]
        return Running([*launcher, "-m", "--", "coldframe", *words])

    def train(self, name: str, *flags: str, recipe: Path | None = None, ranks: int = 1) -> Ended:
        """Train to the end."""
        return self.start(name, *flags, recipe=recipe, ranks=ranks).end()

    def ask(self, *words: str) -> Ended:
        """Any other verb on this bench's runs."""
        return self.start_verb(*words).end()

    def start_verb(self, *words: str) -> Running:
        """The same, not waited for."""
        return Running([sys.executable, "-m", "coldframe", *words, "--runs", str(self.runs), "--json"])

    def newest(self, name: str) -> int:
        """The step of the newest checkpoint folder, 0 without one; by name alone, which is quick."""
        try:
            names = os.listdir(self.run(name).checkpoints)
        except FileNotFoundError:
            return 0
        return max((int(found[5:13]) for found in names if found.startswith("step-")), default=0)

    def rows(self, name: str, table: str) -> list[dict[str, Any]]:
        """All rows of a table of run.db."""
        view = RunView(self.run(name))
        try:
            return view.rows(table, limit=100_000)
        finally:
            view.close()

    def series(self, name: str) -> dict[str, list[float]]:
        """What a run learned step by step: losses, gradients, the cursor; exactly as recorded."""
        view = RunView(self.run(name))
        try:
            columns = view.metrics(
                ["train_loss", "grad_norm", "update_norm_mlp", "learning_rate", "next_row", "num_tokens"]
            )
            return {column: values.tolist() for column, values in columns.items()}
        finally:
            view.close()
