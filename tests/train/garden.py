"""Copies of one small run that was stopped half-way, for tests to spoil."""

from __future__ import annotations

import os
import shutil
from typing import Any

from coldframe.run import checkpoints
from coldframe.run.paths import RunFolder
from tests.commands import Answer, Commands
from tests.train.running import Bench

RECIPE = """
[plan]
depth = 2
vocab_size = 300
context = 32
total_batch_tokens = 128
num_steps = 12
threads = 1
[train]
checkpoint_every = 2
evaluate_every = 0
sample_every = 0
evaluate_bytes = 1000
held_out = 0.1
[[corpus.source]]
name = "own"
kind = "prose"
path = "text"
"""
STEP, END = 6, 12


class Garden:
    """Copies of one run that was stopped half-way."""

    def __init__(self, bench: Bench, coldframe: Commands) -> None:
        self.bench, self.coldframe = bench, coldframe
        path = bench.folder / "garden.toml"
        path.write_text(RECIPE)
        self.number = 0
        for name, flags in (("garden", ["--stop-at", STEP]), ("garden-straight", [])):
            if not bench.run(name).exists:
                answer = coldframe("train", "--run", name, "--runs", bench.runs, "--recipe", path, "--json", *flags)
                assert answer.status == 0, answer.err
        newest = checkpoints.newest_sound(bench.run("garden-straight"), lambda text: None)
        assert newest is not None
        self.weights_sha256 = newest.weights_sha256

    def copy(self, of: str = "garden") -> RunFolder:
        """A run of its own to spoil."""
        self.number += 1
        folder = self.bench.run(f"copy-{os.getpid()}-{len(list(self.bench.runs.iterdir()))}")
        shutil.copytree(self.bench.run(of).path, folder.path)
        return folder

    def train(self, folder: RunFolder, *flags: object) -> Answer:
        """Resume it."""
        return self.coldframe("train", "--run", folder.name, "--runs", folder.runs, "--json", *flags)

    def ask(self, verb: str, folder: RunFolder, *flags: object) -> Answer:
        """Ask it something."""
        return self.coldframe(verb, folder.name, "--runs", folder.runs, "--json", *flags)

    def rows(self, folder: RunFolder, table: str) -> list[dict[str, Any]]:
        """What it recorded."""
        return self.bench.rows(folder.name, table)
