"""Memory in real processes: a pause gives it back; running out of it makes the micro-batch smaller, not the batch."""

from __future__ import annotations

import signal
import sys
from typing import Any

import psutil
import pytest

from coldframe.run.requests import new_request, send
from tests.commands import Commands
from tests.train.running import ROOT, Bench, Running

WIDE = """
[plan]
depth = 2
width = 512
vocab_size = 300
context = 32
total_batch_tokens = 64
num_steps = 4000
threads = 1
[train]
checkpoint_every = 0
evaluate_every = 0
sample_every = 0
[[corpus.source]]
name = "own"
kind = "prose"
path = "text"
"""

LONG_BATCH = """
[plan]
depth = 2
width = 256
vocab_size = 300
context = 128
total_batch_tokens = 8192
device_batch = 64
num_steps = 3
threads = 2
[train]
checkpoint_every = 0
evaluate_every = 0
sample_every = 0
[[corpus.source]]
name = "own"
kind = "prose"
path = "text"
"""

# What Python and torch map before training counts too, so the limit is set from within, once they are there.
WITH_A_LIMIT = """
import os, resource, sys
import torch, coldframe.train.session, coldframe.train.verbs, coldframe.beside
import psutil
from coldframe.cli import main
torch.set_num_threads(2)
torch.ones(1 << 20).add_(1)  # begins OpenMP's threads, which can do nothing else than abort when there is no memory
limit = psutil.Process().memory_info().vms + (int(sys.argv[1]) << 20)
if os.environ.get("RANK") != "0":
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
sys.exit(main(sys.argv[2:]))
"""


def test_a_pause_gives_the_memory_back(bench: Bench) -> None:
    """Resident memory falls by nearly all that the model took; stopped while it sleeps, it leaves with 0."""
    recipe = bench.folder / "wide.toml"
    recipe.write_text(WIDE)
    trainer = bench.start("wide", recipe=recipe)
    folder = bench.run("wide")
    trainer.wait_for(lambda: folder.exists and len(bench.rows("wide", "steps")) > 2)
    process = psutil.Process(trainer.process.pid)
    training = process.memory_info().rss
    pause = new_request("pause", {})
    send(folder, pause)
    trainer.wait_for(lambda: any(row["request"] == pause.id for row in bench.rows("wide", "outcomes")))
    asleep = process.memory_info().rss
    num_bytes = bench.rows("wide", "checkpoints")[-1]["num_bytes"]  # weights and moments
    assert num_bytes > 50 << 20
    assert training - asleep > 0.8 * num_bytes, (training >> 20, asleep >> 20, num_bytes >> 20)
    for verb in ("checkpoint", "pause"):
        send(folder, new_request(verb, {}))
    send(folder, new_request("extend", {"num_steps": 9000}))
    trainer.wait_for(lambda: len(bench.rows("wide", "outcomes")) == 4)
    for row in bench.rows("wide", "outcomes")[1:]:
        assert row["outcome"] == "refused"
        assert "paused" in row["detail"]
    trainer.signal(signal.SIGUSR1)  # there is nothing new to save; it sleeps on
    answer = bench.ask("stop", "wide")
    assert (answer.status, answer.json["outcome"]) == (0, "applied"), answer.said
    ended = trainer.end()
    assert (ended.status, ended.json["status"]) == (0, "stopped"), ended.said
    assert bench.rows("wide", "heartbeats")[-1]["status"] == "stopped"


def train_with_limit(bench: Bench, name: str, limit_mib: int, *flags: str, ranks: int = 1) -> Running:
    """A trainer that may map so much more than Python and torch have mapped; of two ranks, only the second."""
    script = bench.folder / "with_a_limit.py"
    script.write_text(WITH_A_LIMIT)
    launcher = [sys.executable]
    if ranks > 1:
        launcher += ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks), "--"]
    words = [str(script), str(limit_mib), "train", "--run", name, "--runs", str(bench.runs), "--json", *flags]
    # Each arena of glibc's maps 64 MB for later; how many there are is the threads' timing.
    return Running([*launcher, *words], {"MALLOC_ARENA_MAX": "1", "PYTHONPATH": str(ROOT)})


def memory_warnings(bench: Bench, name: str) -> list[dict[str, Any]]:
    """The events that tell of memory having run out."""
    return [row for row in bench.rows(name, "events") if row["kind"] == "memory" and row["level"] == "warning"]


def test_running_out_of_memory(bench: Bench, coldframe: Commands) -> None:
    """Amid training on two threads: the micro-batch is halved, with an event, and steps learn from the whole batch."""
    recipe = bench.folder / "long-batch.toml"
    recipe.write_text(LONG_BATCH)
    for name, flags in (("tight", ["--stop-at", 1]), ("roomy", [])):
        answer = coldframe("train", "--run", name, "--runs", bench.runs, "--recipe", recipe, "--json", *flags)
        assert answer.status == 0, answer.err
    ended = train_with_limit(bench, "tight", 330).end()
    assert ended.status == 0, ended.said
    assert (ended.json["status"], ended.json["step"]) == ("done", 3)
    events = memory_warnings(bench, "tight")
    assert events, ended.said
    assert events[0]["detail"]["before"] == 64
    assert events[-1]["detail"]["device_batch"] < 64
    series = bench.series("tight")
    assert series["next_row"] == [64.0 * step for step in range(1, 4)]
    assert series["train_loss"] == pytest.approx(bench.series("roomy")["train_loss"], rel=2e-3)


@pytest.mark.long
def test_one_of_two_ranks_runs_out(bench: Bench) -> None:
    """Both go on with smaller micro-batches and learn the same as two that have room."""
    recipe = bench.folder / "two-ranks.toml"
    half = LONG_BATCH.replace("device_batch = 64", "device_batch = 32")
    recipe.write_text(half.replace("threads = 2", "threads = 1"))
    for name, flags in (("tight-ranks", ["--stop-at", "1"]), ("roomy-ranks", [])):
        ended = bench.train(name, *flags, recipe=recipe, ranks=2)
        assert ended.status == 0, ended.said
    ended = train_with_limit(bench, "tight-ranks", 225, ranks=2).end()
    assert (ended.status, ended.json["step"]) == (0, 3), ended.said
    events = memory_warnings(bench, "tight-ranks")
    assert events[0]["detail"]["before"] == 32, ended.said
    roomy = bench.series("roomy-ranks")["train_loss"]
    assert bench.series("tight-ranks")["train_loss"] == pytest.approx(roomy, rel=2e-3)


def test_not_even_one_row(bench: Bench) -> None:
    """With no room for a single row: one clear line and status 1."""
    # One tensor of such a row takes over 100 MB. When small pieces fill the memory to its last bytes instead, oneDNN
    # follows a null pointer of its own (it makes a kernel for each length of keys, and does not look at what it got).
    row = LONG_BATCH.replace("context = 128", "context = 32768")
    recipe = bench.folder / "long-row.toml"
    recipe.write_text(row.replace("= 8192", "= 32768").replace("device_batch = 64", "device_batch = 1"))
    ended = train_with_limit(bench, "tighter", 150, "--recipe", str(recipe)).end()
    assert ended.status == 1, ended.said
    assert ended.json["error"]["kind"] == "MemoryFit", ended.said
    assert "Traceback" not in ended.said
