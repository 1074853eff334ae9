"""Exact resume, with real processes and real kills: the same losses at every step, and the same weights to the bit."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from coldframe.mixture.stages import append, stage_from_json
from coldframe.mixture.stream import Stream
from coldframe.run import checkpoints
from coldframe.run.lock import holder
from coldframe.run.requests import new_request, send
from coldframe.tokens.shards import TokenSource
from coldframe.tokens.tokenizer import Tokenizer
from coldframe.train.opening import open_sources_of
from coldframe.train.runfile import read_run_file
from tests.commands import Commands
from tests.train.running import Bench, Ended, Running


@dataclass(frozen=True, slots=True, kw_only=True)
class Straight:
    """A run that nothing ever interrupted."""

    series: dict[str, list[float]]
    weights_sha256: str


def straight(bench: Bench, name: str, recipe: Path | None, *, ranks: int = 1) -> Straight:
    """Train without interruption."""
    ended = bench.train(name, recipe=recipe, ranks=ranks)
    assert ended.status == 0, ended.said
    assert len(bench.rows(name, "segments")) == 1
    return Straight(series=bench.series(name), weights_sha256=ended.json["weights_sha256"])


def assert_the_same(bench: Bench, name: str, ended: Ended, expected: Straight) -> None:
    """The run ended as the straight one did: every number of every step, every bit of the weights."""
    assert ended.status == 0, ended.said
    assert ended.json["status"] == "done"
    assert bench.series(name) == expected.series
    assert ended.json["weights_sha256"] == expected.weights_sha256
    for line in ended.said.splitlines():
        assert "is not a whole checkpoint" not in line


def sources_of(bench: Bench, name: str) -> tuple[TokenSource, ...]:
    """What a run reads."""
    folder = bench.run(name)
    return open_sources_of(folder, read_run_file(folder), Tokenizer.load(folder.tokenizer))


@pytest.fixture(scope="module")
def once(bench: Bench) -> Straight:
    """The straight run of sixty steps, over several epochs."""
    found = straight(bench, "straight", bench.recipe())
    [source] = sources_of(bench, "straight")
    assert found.series["num_tokens"][-1] > 3 * source.num_tokens  # so every stretch crosses the border of an epoch
    return found


def saved_on_signal(bench: Bench, name: str, trainer: Running) -> bool:
    """Send SIGUSR1, and say whether there is a checkpoint that an earlier one made (a step that has one makes none)."""
    trainer.signal(signal.SIGUSR1)
    return any(row["reason"] == "signal" for row in bench.rows(name, "checkpoints"))


def test_stopped_paused_and_woken(bench: Bench, once: Straight, coldframe: Commands) -> None:
    """A run that is stopped at a step, signalled, paused, woken and sent away goes on as if nothing had been."""
    name, folder = "interrupted", bench.run("interrupted")
    ended = coldframe(
        "train", "--run", name, "--runs", bench.runs, "--json", "--recipe", bench.recipe(), "--stop-at", 7
    )
    assert (ended.status, ended.json["status"], ended.json["step"]) == (0, "stopped", 7)
    trainer = bench.start(name, "--set", "train.sample_every=30")
    trainer.wait_for(lambda: bench.newest(name) >= 10)
    trainer.wait_for(lambda: saved_on_signal(bench, name, trainer))
    request = new_request("pause", {})
    send(folder, request)
    trainer.wait_for(lambda: any(row["request"] == request.id for row in bench.rows(name, "outcomes")))
    assert bench.rows(name, "heartbeats")[-1]["status"] == "paused"
    assert trainer.process.poll() is None
    after = bench.newest(name)
    send(folder, new_request("resume", {}))
    trainer.wait_for(lambda: bench.newest(name) > after)
    trainer.signal(signal.SIGTERM)
    ended = trainer.end()
    assert (ended.status, ended.json["status"]) == (0, "stopped"), ended.said
    assert ended.json["step"] < 60
    assert bench.rows(name, "heartbeats")[-1]["status"] == "stopped"
    reasons = {row["reason"] for row in bench.rows(name, "checkpoints")}
    assert reasons - {"best"} == {"signal", "pause", "stop", "schedule"}
    assert_the_same(bench, name, bench.train(name), once)
    assert [row["reason"] for row in bench.rows(name, "segments")] == [
        "start",
        "resume",
        "resume after a pause",
        "resume",
    ]
    changed = [row["changed"] for row in bench.rows(name, "segments")]
    assert changed == [{}, {"train.sample_every": "20 -> 30"}, {}, {}], "a change is told once, not at every waking"


def killed_and_resumed(bench: Bench, name: str, recipe: Path, seed: int, *, kills: int, ranks: int = 1) -> Ended:
    """Kill a run so many times, at instants that the seed decides, then let it finish."""
    draw = random.Random(seed)
    for _ in range(kills):
        before = len(bench.rows(name, "segments")) if bench.run(name).exists else 0
        trainer = bench.start(name, recipe=recipe if before == 0 else None, ranks=ranks)
        if draw.random() < 0.2:  # while it still starts
            time.sleep(draw.uniform(0.0, 2.5))
        else:
            trainer.wait_for(lambda known=before: bench.run(name).exists and len(bench.rows(name, "segments")) > known)
            if draw.random() < 0.3:  # amid a checkpoint
                trainer.wait_for(lambda: any(".tmp-" in path for path in os.listdir(bench.run(name).checkpoints)))
                time.sleep(draw.uniform(0.0, 0.004))
            else:
                time.sleep(draw.uniform(0.0, 0.5))
        trainer.kill()
    return bench.train(name, recipe=None if bench.run(name).exists else recipe, ranks=ranks)


def test_killed_twice_between_two_checkpoints(bench: Bench, once: Straight) -> None:
    """Two kills that both go back to the same checkpoint, and one amid writing the next."""
    name, recipe = "twice", bench.recipe()
    draw = random.Random(2)
    trainer = bench.start(name, recipe=recipe)
    trainer.wait_for(lambda: bench.newest(name) >= 20)
    time.sleep(draw.uniform(0.0, 0.05))
    trainer.kill()
    for _ in range(2):
        segments = len(bench.rows(name, "segments"))
        trainer = bench.start(name)
        trainer.wait_for(lambda expected=segments: len(bench.rows(name, "segments")) > expected)
        time.sleep(draw.uniform(0.0, 0.03))
        trainer.kill()
    trainer = bench.start(name)
    trainer.wait_for(lambda: any(".tmp-" in path for path in os.listdir(bench.run(name).checkpoints)))
    trainer.kill()
    assert_the_same(bench, name, bench.train(name), once)
    starts = [row["start_step"] for row in bench.rows(name, "segments")]
    assert len(starts) == 5
    assert any(starts.count(step) >= 2 for step in starts if step > 0), starts


def test_two_ranks(bench: Bench) -> None:
    """Under torchrun, killed at a random instant: the same as two ranks that nothing interrupted."""
    recipe = bench.recipe(num_steps=16, checkpoint_every=6)
    expected = straight(bench, "ranks-straight", recipe, ranks=2)
    name = "ranks-killed"
    trainer = bench.start(name, recipe=recipe, ranks=2)
    trainer.wait_for(lambda: bench.newest(name) >= 6)
    time.sleep(random.Random(3).uniform(0.0, 0.2))
    trainer.kill()
    assert bench.rows(name, "heartbeats")[-1]["status"] != "done"  # the kill came in time
    assert_the_same(bench, name, bench.train(name, ranks=2), expected)
    counted = sum(row["num_tokens"] for row in bench.rows("ranks-straight", "source_losses"))
    assert counted == bench.series("ranks-straight")["num_tokens"][-1], "losses by source are of all ranks' rows"


def change_the_mixture(bench: Bench, name: str) -> dict[str, Any]:
    """What a polish does at a stop: append a stage behind what was read, and keep it in the checkpoint's state."""
    folder = bench.run(name)
    newest = checkpoints.newest_sound(folder, lambda text: None)
    assert newest is not None
    state = checkpoints.read_state(newest)
    run_file = read_run_file(folder)
    stages = [stage_from_json(stage) for stage in state["stages"]]
    first_free = -(-state["next_row"] // run_file.plan.block_rows)
    stage = stage_from_json(
        {
            **state["stages"][0],
            "start_block": first_free,
            "by": "user",
            "why": "polish",
            "skip_blocks": [first_free + 1],
        }
    )
    state["stages"] = [stage.as_json() for stage in append(stages, stage, first_free_block=first_free)]
    checkpoints.write_checkpoint(
        folder,
        newest.step,
        model=checkpoints.read_weights(newest),
        optimizer=checkpoints.read_optimizer(newest),
        state=state,
        reason="polish",
    )
    return dict(state["stages"][-1])


def test_after_a_change_of_the_mixture(bench: Bench, once: Straight, coldframe: Commands) -> None:
    """A stage that was appended at a stop is what is read from then on, however often the run is resumed."""
    polished = ["train", "--run", "polished", "--runs", bench.runs, "--json"]
    assert coldframe(*polished, "--recipe", bench.recipe(), "--stop-at", 22).status == 0
    stage = change_the_mixture(bench, "polished")
    shutil.copytree(bench.run("polished").path, bench.run("polished-killed").path)
    ended = coldframe(*polished)
    expected = Straight(series=bench.series("polished"), weights_sha256=ended.json["weights_sha256"])
    assert expected.series["train_loss"][:22] == once.series["train_loss"][:22]
    assert expected.series["train_loss"] != once.series["train_loss"]
    assert expected.weights_sha256 != once.weights_sha256
    trainer = bench.start("polished-killed")
    trainer.wait_for(lambda: bench.newest("polished-killed") >= 30)
    time.sleep(random.Random(4).uniform(0.0, 0.05))
    trainer.kill()
    assert_the_same(bench, "polished-killed", bench.train("polished-killed"), expected)
    newest = checkpoints.newest_sound(bench.run("polished-killed"), lambda text: None)
    assert newest is not None
    assert checkpoints.read_state(newest)["stages"][-1] == json.loads(json.dumps(stage))
    read_file = read_run_file(bench.run("polished"))
    stream = Stream(
        sources_of(bench, "polished"),
        [stage_from_json(one) for one in checkpoints.read_state(newest)["stages"]],
        seed=read_file.plan.seed, context=64, block_rows=read_file.plan.block_rows,
    )  # fmt: skip
    assert int(expected.series["next_row"][-1]) > int(once.series["next_row"][-1])  # the skipped block was passed over
    assert stream.explain(int(expected.series["next_row"][-1]) - 1).stage.why == "polish"


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", range(10))
def test_fifty_kills(bench: Bench, once: Straight, seed: int) -> None:
    """Ten runs, each killed five times: while starting, training, saving, measuring."""
    name = f"fifty-{seed}"
    assert_the_same(bench, name, killed_and_resumed(bench, name, bench.recipe(), seed, kills=5), once)


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", range(4))
def test_two_ranks_killed_often(bench: Bench, seed: int) -> None:
    """The same with two ranks."""
    recipe, name = bench.recipe(num_steps=24, checkpoint_every=8), f"ranks-{seed}"
    expected = straight(bench, f"ranks-straight-{seed}", recipe, ranks=2)
    assert_the_same(bench, name, killed_and_resumed(bench, name, recipe, seed, kills=3, ranks=2), expected)


@pytest.mark.long
def test_a_launcher_that_is_killed_takes_its_ranks_along(bench: Bench) -> None:
    """Only torchrun dies: its ranks save, end and let go of the lock."""
    recipe = bench.recipe(num_steps=400, checkpoint_every=8)
    trainer = bench.start("launcher", recipe=recipe, ranks=2)
    trainer.wait_for(lambda: bench.newest("launcher") >= 8)
    trainer.signal(signal.SIGKILL)
    trainer.end()  # returns once the ranks have closed their output
    assert holder(bench.run("launcher").lock) is None
    assert bench.rows("launcher", "heartbeats")[-1]["status"] == "stopped"
